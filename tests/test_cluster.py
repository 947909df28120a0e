"""Local processes, a Ray cluster that loses or gains nodes, and a job array make the same bytes."""

import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from benchmark import run
from benchmark.results.result_file import Result, read_result
from loopcraft import generate, masks
from loopcraft.core.errors import UserError
from loopcraft.core.urls import AnyPath, files_below, path_at
from loopcraft.executors.base import Executor
from loopcraft.executors.choice import WorkerFlags, open_executor
from models import encode
from tests.fakes.benchmark_data import write_dataset
from tests.fakes.folder_content import content
from tests.fakes.growing_cluster import growing_cluster
from tests.fakes.object_store import BUCKET, use_s3
from tests.fakes.ray_cluster import be_killed_once, be_spent_once, die, die_once, fail, state_of, two_nodes
from tests.fakes.worker_models import SECOND

ROOT = Path(__file__).resolve().parents[1]
EPISODES = 6
RECIPE = ["--split", "val", "--num-episodes", str(EPISODES), "--candidates", "8", "--num-frames", "96"]
RECIPE += ["--world", "plaza-v1", "--resolution", "32"]
ENCODED = ["--preset", "trial", "--max-videos", "2"]

needs_ray = pytest.mark.skipif(find_spec("ray") is None, reason="Ray is not installed: .[cluster]")


@pytest.fixture(scope="module")
def expected(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """The files of a data set with masks that one process makes."""
    root = tmp_path_factory.mktemp("local") / "set"
    assert generate.main(["--out", str(root), *RECIPE, "--workers", "1"]) == 0
    assert masks.main([str(root), "--workers", "1"]) == 0
    return content(root)


@pytest.fixture(scope="module")
def latents(expected: dict[str, bytes], tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """The latents that one process encodes the data set to."""
    root, out = (tmp_path_factory.mktemp(name) for name in ("set", "latents"))
    for name, data in expected.items():
        (root / name).parent.mkdir(exist_ok=True)
        (root / name).write_bytes(data)
    assert encode.main([str(root), "--out", str(out), *ENCODED]) == 0
    return content(out)


@pytest.fixture(scope="module")
def cluster() -> Iterator[tuple[Any, Any]]:
    """A cluster and its node, with a connection shared by all tests, and an S3 server that both can reach."""
    with pytest.MonkeyPatch.context() as patch:
        use_s3(patch)
        patch.setenv("RAY_worker_niceness", "0")  # at Ray's niceness of 15 they wait for other tests
        with two_nodes() as nodes, open_executor(one_worker(nodes[0].address)):
            yield nodes


@pytest.fixture
def executor(cluster: tuple[Any, Any]) -> Iterator[Executor]:
    with open_executor(one_worker(cluster[0].address)) as executor:
        yield executor


@needs_ray
def test_a_killed_worker_loses_only_its_range(executor: Executor, tmp_path: Path) -> None:
    results = dict(executor.run(die_once, range(6), make_state=state_of(tmp_path)))
    assert results == {item: item * item for item in range(6)}
    assert (tmp_path / "3.died").exists()


@needs_ray
def test_an_exception_of_a_job_arrives_intact(executor: Executor, tmp_path: Path) -> None:
    with pytest.raises(OSError, match="No space left") as caught:
        list(executor.run(fail, range(3), make_state=state_of(tmp_path)))
    assert caught.value.filename == "/disk/000.mp4"


@needs_ray
def test_a_range_that_kills_every_worker_ends_in_one_sentence(
    cluster: tuple[Any, Any], tmp_path: Path
) -> None:
    with (
        open_executor(one_worker(cluster[0].address), retries=1) as executor,
        pytest.raises(UserError, match=r"lost the worker of some items 2 times .*run the same command"),
    ):
        list(executor.run(die, range(2), make_state=state_of(tmp_path)))


@needs_ray
def test_a_spent_worker_is_replaced(executor: Executor, tmp_path: Path) -> None:
    process_ids = dict(executor.run(be_spent_once, range(4), make_state=state_of(tmp_path)))
    assert len(set(process_ids.values())) == 2
    assert (tmp_path / "3.died").exists()


def one_worker(address: str) -> WorkerFlags:
    return WorkerFlags(executor="ray", workers=1, address=address)


def score(model: str, data: AnyPath, out: AnyPath, *more: str, code: int = 0) -> Result:
    assert run.main(flags_of_run(model, data, out, *more)) == code
    return read_result(out / "result.json")


def flags_of_run(model: str, data: AnyPath, out: AnyPath, *more: str) -> list[str]:
    flags = ["--model", f"tests.fakes.worker_models:{model}", "--data", str(data), "--out", str(out)]
    return [*flags, "--protocol", "loopcraft-mini", "--save-videos", "2", "--no-isolate", *more]


def without_seconds(result: Result) -> Result:
    """A result without the time it took."""
    return replace(result, provenance=replace(result.provenance, seconds=0.0))


@needs_ray
def test_a_run_that_loses_a_worker_has_the_local_result(cluster: tuple[Any, Any], tmp_path: Path) -> None:
    """One worker scores a shard first, then two workers the rest."""
    data, out = write_dataset(tmp_path / "data"), tmp_path / "ray"
    marker = tmp_path / "killed"
    arguments = ["--model-args", f'{{"marker": "{marker}"}}']
    on_ray = [*arguments, "--executor", "ray", "--address", cluster[0].address]
    shard = ["--workers", "1", "--shard", "3/3"]
    assert run.main(flags_of_run("KilledOnce", data, out, *on_ray, *shard)) == 0
    shard_files = content(out)
    assert not marker.exists()
    assert "result.json" not in shard_files
    result = score("KilledOnce", data, out, *on_ray, "--workers", "2")
    assert marker.exists()
    assert shard_files.items() <= content(out).items()
    assert without_seconds(result) == without_seconds(
        score("KilledOnce", data, tmp_path / "local", *arguments)
    )
    files = content(tmp_path / "ray")
    assert files.keys() == content(tmp_path / "local").keys()  # no partial file, no crash report
    assert {name: files[name] for name in files if name.endswith(".mp4")} == {
        name: data for name, data in content(tmp_path / "local").items() if name.endswith(".mp4")
    }


@needs_ray
def test_a_video_that_crashes_its_workers_fails(
    cluster: tuple[Any, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data, out = write_dataset(tmp_path / "data"), tmp_path / "ray"
    on_ray = ["--executor", "ray", "--address", cluster[0].address, "--workers", "1"]
    result = score("Crashing", data, out, *on_ray, code=1)
    assert result.failed == {SECOND: "noise crashed the process (Segmentation fault)"}
    assert "scoring: 3 of 3 videos, 1 failed, " in capsys.readouterr().err
    assert "string_at" in (out / "failures" / f"{SECOND}.txt").read_text()
    others = score("Noise", data, tmp_path / "local").metrics["psnr"].videos
    assert result.metrics["psnr"].videos == {name: (all_[0], all_[2]) for name, all_ in others.items()}
    assert not list(out.glob(".*"))


@needs_ray
def test_a_run_with_all_files_at_addresses_retries_failed_videos(
    cluster: tuple[Any, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data, address = write_dataset(tmp_path / "data"), path_at(f"s3://{BUCKET}/data")
    for path in files_below(data):
        (address / path.relative_to(data)).put(path)
    marker, out = tmp_path / "healed", path_at(f"s3://{BUCKET}/run")
    arguments = ["--model-args", f'{{"marker": "{marker}"}}']
    on_ray = [*arguments, "--executor", "ray", "--address", cluster[0].address, "--workers", "1"]
    failed = score("FailingUnless", address, out, *on_ray, code=1).failed
    assert failed == {SECOND: "noise raised RuntimeError: not yet"}
    marker.touch()
    capsys.readouterr()
    result = score("FailingUnless", address, out, *on_ray, "--retry-failed")
    assert "scoring: 1 of 1 videos, " in capsys.readouterr().err
    assert without_seconds(result) == without_seconds(
        score("FailingUnless", data, tmp_path / "local", *arguments)
    )
    assert content(out).keys() == content(tmp_path / "local").keys()


@needs_ray
def test_a_cluster_that_loses_a_node_and_workers_makes_the_same_bytes(
    cluster: tuple[Any, Any],
    expected: dict[str, bytes],
    latents: dict[str, bytes],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    root = Path("set")
    on_ray = ["--executor", "ray", "--address", cluster[0].address]
    rows_left: list[int] = []

    def kill_a_node() -> None:
        while not list(root.glob("000/*.json")):
            time.sleep(0.02)
        cluster[0].remove_node(cluster[1], allow_graceful=False)
        rows_left.append(EPISODES - len(list(root.glob("000/*.json"))))

    killer = threading.Thread(target=kill_a_node, daemon=True)
    killer.start()
    assert generate.main(["--out", str(root), *RECIPE, *on_ray]) == 0
    killer.join(10)
    assert rows_left[0] > 0  # the node died during the run
    markers = [tmp_path / "masks", tmp_path / "encode"]
    for marker, command, job in zip(markers, (masks, encode), ("make_masks", "encode_video"), strict=True):
        monkeypatch.setattr(command, job, partial(be_killed_once, marker, command.__name__, job))
    assert masks.main([str(root), *on_ray]) == 0
    out = f"s3://{BUCKET}/latents"
    assert encode.main([str(root), "--out", out, *ENCODED, *on_ray]) == 0
    assert all(marker.exists() for marker in markers)  # the workers died during the run
    assert content(root) == expected
    assert content(path_at(out)) == latents


@needs_ray
def test_a_cluster_that_grows_makes_the_same_bytes(expected: dict[str, bytes], tmp_path: Path) -> None:
    """The head has no processor, so nodes that the autoscaler adds do all the work."""
    root = tmp_path / "set"
    with growing_cluster(most_nodes=2) as growing:
        command = [sys.executable, "-m", "loopcraft.generate", "--out", str(root), *RECIPE, "--workers", "2"]
        command += ["--executor", "ray", "--address", growing.address]
        done = subprocess.run(command, env=growing.environment, capture_output=True, text=True, timeout=300)
        assert done.returncode == 0, done.stderr
        assert growing.num_nodes == 2
    assert masks.main([str(root), "--workers", "1"]) == 0
    assert content(root) == expected


def test_a_job_array_makes_the_same_bytes(
    expected: dict[str, bytes], latents: dict[str, bytes], tmp_path: Path
) -> None:
    """Run docs/slurm.sh as a plain process, then the commands with its flags in this process."""
    root, out = tmp_path / "set", tmp_path / "latents"
    generating = ["--out", str(root), *RECIPE]
    task = start_task(["loopcraft.generate", *generating], 1, 2)
    assert generate.main([*generating, "--workers", "1", "--shard", "2/2"]) == 0
    assert task.wait(120) == 0
    for main, flags, shards in (
        (generate.main, generating, ["1/1"]),
        (masks.main, [str(root)], ["1/2", "2/2", "1/1"]),
        (encode.main, [str(root), "--out", str(out), *ENCODED], ["1/2", "2/2", "1/1"]),
    ):
        for shard in shards:
            assert main([*flags, "--workers", "1", "--shard", shard]) == 0
    assert content(root) == expected
    assert content(out) == latents


def test_a_job_array_has_the_result_of_one_process(tmp_path: Path) -> None:
    """Run docs/slurm.sh as a plain process while this one does the other task, then an array of one task."""
    data, out = write_dataset(tmp_path / "data"), tmp_path / "array"
    scoring = flags_of_run("Noise", data, out)
    task = start_task(["benchmark.run", *scoring], 1, 2)
    assert run.main([*scoring, "--workers", "1", "--shard", "2/2"]) == 0
    assert task.wait(120) == 0
    shard_files = content(out)
    assert not [name for name in shard_files if name.endswith((".lock", "result.json"))]
    result = score("Noise", data, out, "--workers", "1", "--shard", "1/1")
    assert without_seconds(result) == without_seconds(score("Noise", data, tmp_path / "local"))
    files, local = content(out), content(tmp_path / "local")
    assert files.keys() == local.keys()
    assert all(files[name] == shard_files[name] for name in shard_files)  # nothing was rewritten
    assert all(files[name] == local[name] for name in files if name.endswith((".mp4", "run.json")))


def start_task(command: list[str], task: int, count: int) -> subprocess.Popen[bytes]:
    slurm = {"SLURM_ARRAY_TASK_ID": task, "SLURM_ARRAY_TASK_COUNT": count, "SLURM_CPUS_PER_TASK": 1}
    environment = {**os.environ, **{name: str(value) for name, value in slurm.items()}}
    environment["PYTHONPATH"] = str(ROOT)
    environment["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{environment['PATH']}"
    bash = shutil.which("bash")
    assert bash is not None
    script = [bash, str(ROOT / "docs" / "slurm.sh"), *command]
    return subprocess.Popen(script, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (["--address", "auto"], "--address auto: is for --executor ray"),
        (["--executor", "ray", "--workers", "-1"], "--workers -1"),
    ],
)
def test_unsuitable_flags_are_refused_in_one_sentence(
    flags: list[str], said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert generate.main(["--out", str(tmp_path / "set"), *RECIPE, *flags]) == 2
    assert f"error: {said}" in capsys.readouterr().err
    assert not (tmp_path / "set").exists()


def test_without_ray_the_error_names_the_remedy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    monkeypatch.delitem(sys.modules, "loopcraft.executors.ray_cluster", raising=False)
    out = tmp_path / "out"
    scoring = ["--model", "copy-last", "--data", "/nowhere"]
    for main, flags in ((generate.main, RECIPE), (run.main, scoring)):
        assert main(["--out", str(out), *flags, "--executor", "ray"]) == 2
        assert "needs Ray: pip install" in capsys.readouterr().err
        assert not out.exists()
