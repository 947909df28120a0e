"""Tests of runs and latents at URLs: equal to local folders, resumed, repaired, and read by commands."""

import os
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

import benchmark
from benchmark import publish, recall, report, run
from benchmark.results.result_file import Result, read_result
from leaderboard import build, compare, submit, validate
from loopcraft.core.errors import UserError
from loopcraft.core.urls import AnyPath, UrlPath, existing, files_below, path_at
from loopcraft.views import side_by_side
from models.latents.store import open_latents
from tests.fakes import nursery
from tests.fakes.benchmark_data import write_dataset
from tests.fakes.object_store import BUCKET, use_s3
from tests.fakes.training_runs import train as train_video
from tests.fakes.training_runs import write_latents

KEYS = ["000/000", "000/001", "000/002"]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_dataset(tmp_path_factory.mktemp("data"))


def memory(name: str) -> UrlPath:
    root = path_at(f"memory://runs/{name}")
    assert isinstance(root, UrlPath)
    return root


def score(data: Path, out: AnyPath, *more: str, model: str = "copy-last", code: int = 0) -> Result:
    flags = ["--model", model, "--data", str(data), "--out", str(out), "--protocol", "loopcraft-mini"]
    assert run.main([*flags, "--metrics", "psnr,ssim", "--no-isolate", *more]) == code
    return read_result(out / "result.json")


def names(root: AnyPath) -> set[str]:
    return {path.relative_to(root).as_posix() for path in files_below(root)}


def without_seconds(result: Result) -> Result:
    """A result without the time it took."""
    return replace(result, provenance=replace(result.provenance, seconds=0.0))


@pytest.mark.filterwarnings("ignore:.* some turn of yaw does not match")
def test_a_run_at_an_address_equals_one_in_a_folder(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    remote, local = memory("whole"), tmp_path / "run"
    assert without_seconds(score(data, remote)) == without_seconds(score(data, local))
    assert "wrote memory://runs/whole/result.json\n" in capsys.readouterr().out
    assert names(remote) == names(local)
    for name in sorted(name for name in names(local) if name.endswith((".mp4", "run.json"))):
        assert (remote / name).read_bytes() == (local / name).read_bytes()
    result = benchmark.evaluate(
        "copy-last", data, protocol="loopcraft-mini", metrics=["psnr", "ssim"], out=str(remote)
    )
    assert result == read_result(remote / "result.json")


def test_data_at_an_address_is_named_by_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    remote = memory("short")
    for path in files_below(write_dataset(tmp_path, num_videos=1)):
        assert isinstance(path, Path)
        (remote / path.relative_to(tmp_path).as_posix()).put(path)
    flags = ["--model", "copy-last", "--protocol", "loopcraft-v1", "--out", str(tmp_path / "out")]
    assert run.main([*flags, "--data", str(remote)]) == 2
    assert f"error: {remote}: video 000/000 has 256 frames but" in capsys.readouterr().err


def test_a_run_at_an_address_resumes(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    remote = memory("resumed")
    whole = score(data, remote)
    (remote / "scores/000/001.safetensors").unlink()
    (remote / "videos/000/002.mp4").unlink()
    capsys.readouterr()
    assert without_seconds(score(data, remote)) == without_seconds(whole)
    assert "scoring: 2 of 2 videos, " in capsys.readouterr().err
    assert names(remote) >= {f"videos/{key}.mp4" for key in KEYS}
    other = ["--model", "other-video", "--protocol", "loopcraft-mini", "--metrics", "psnr,ssim"]
    assert run.main([*other, "--data", str(data), "--out", str(remote)]) == 2
    assert "error: memory://runs/resumed: holds another run (" in capsys.readouterr().err


def test_damaged_scores_are_made_again(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    remote = memory("damaged")
    whole = score(data, remote)
    scores = remote / "scores/000/002.safetensors"
    content = bytearray(scores.read_bytes())
    content[-1] ^= 1
    (tmp_path / "damaged").write_bytes(content)
    scores.put(tmp_path / "damaged")
    assert without_seconds(score(data, remote)) == without_seconds(whole)
    assert (
        f"{scores}: damaged (not a complete score file (its SHA-256 does not match its header))"
        in capsys.readouterr().err
    )


def test_failures_are_kept_and_tried_again(data: Path, tmp_path: Path) -> None:
    remote, marker = memory("failed"), tmp_path / "healed"
    model = "tests.fakes.worker_models:FailingUnless"
    arguments = ["--model-args", f'{{"marker": "{marker}"}}']
    assert score(data, remote, *arguments, model=model, code=1).failed == {
        "000/001": "noise raised RuntimeError: not yet"
    }
    assert b"not yet" in (remote / "failures/000/001.txt").read_bytes()
    marker.touch()
    assert score(data, remote, *arguments, "--retry-failed", model=model).failed == {}
    assert "failures/000/001.txt" not in names(remote)


def test_commands_read_runs_at_addresses(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    remote, local = memory("read"), tmp_path / "read"
    score(data, remote)
    score(data, local)
    monkeypatch.setattr(side_by_side, "PANEL", 64)
    outputs = []
    for root in (local, remote):
        capsys.readouterr()
        assert compare.main([str(root)]) == 0
        assert recall.main([str(root), "--data", str(data)]) == 0
        out = capsys.readouterr().out
        assert "PSNR" in out
        assert "other frames" in out
        outputs.append(out.replace(str(root), "ROOT"))
        flags = ["--data", str(data), "--out", str(tmp_path / f"report-{len(outputs)}"), "--videos", "1"]
        assert report.main([str(root), *flags]) == 0
        outputs.append((tmp_path / f"report-{len(outputs)}" / "report.html").read_text())
    assert outputs[0] == outputs[2]
    assert "data:video/mp4" in outputs[3]
    (remote / "scores/000/001.safetensors").unlink()
    assert recall.main([str(remote), "--data", str(data)]) == 2
    message = "scores/000/001.safetensors: no such file; give the whole run folder, not only its result file"
    assert f"{remote}/{message}" in capsys.readouterr().err


def test_commands_for_local_folders_refuse_addresses(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    address = "memory://lab/run"
    for main, flags in (
        (submit.main, [address, "--card", "card.json"]),
        (validate.main, [address]),
        (run.main, ["--data", str(data), "--out", "out", "--predictions", address, "--name", "a"]),
        (build.main, [address, "--out", "site"]),
        (publish.main, [address, "--repo", "lab/results"]),
    ):
        assert main(flags) == 2
        message = f"error: {address}: is a URL, but this command reads local folders; copy it to one\n"
        assert capsys.readouterr().err == message
    assert not list(tmp_path.iterdir())


def test_latents_at_an_address_equal_those_in_a_folder(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, remote = write_latents(tmp_path / "latents"), memory("latents")
    for path in files_below(folder):
        (remote / path.relative_to(folder)).put(path)
    expected, actual = (open_latents(root).read("000/001", 3, 9, first_level=1) for root in (folder, remote))
    assert all(torch.equal(one, other) for one, other in zip(expected[0], actual[0], strict=True))
    assert np.array_equal(expected[1], actual[1])
    for root in (folder, remote):
        out = tmp_path / f"trained-on-{type(root).__name__}"
        assert train_video("framepack", root, out, "--steps", "2") == 0
    assert len({path.read_bytes() for path in tmp_path.glob("trained-on-*/framepack.safetensors")}) == 1
    (tmp_path / "cut").write_bytes((folder / "000/001.safetensors").read_bytes()[:-1])
    (remote / "000/001.safetensors").put(tmp_path / "cut")
    with pytest.raises(UserError, match=r"memory://runs/latents/000/001.safetensors: not a whole file"):
        open_latents(remote).read("000/001")
    (remote / "index.json").unlink()
    with pytest.raises(UserError, match=r"memory://runs/latents: holds no index.json"):
        open_latents(remote)


PUT = """
import sys, s3fs
for name in sys.stdin:
    s3fs.S3FileSystem().pipe_file(name.strip(), b"")
    print("put", flush=True)
"""


def test_files_that_other_processes_write_are_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    root = path_at(f"{use_s3(monkeypatch)}/shared")
    assert isinstance(root, UrlPath)
    (root / "000/a").put(Path(__file__))
    assert names(root) == existing(root, ["000/a", "000/b"]) == {"000/a"}
    streams = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen([sys.executable, "-c", PUT], text=True, **streams) as other:

        def put(name: str) -> None:
            print(f"{BUCKET}/shared/{name}", file=other.stdin, flush=True)
            assert other.stdout.readline() == "put\n"

        put("000/b")
        assert names(root) == {"000/a", "000/b"}
        put("000/c")
        assert existing(root, ["000/a", "000/c"]) == {"000/a", "000/c"}
        put("000/d")
        assert (root / "000/d").exists()


def test_a_killed_run_at_an_address_resumes(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    remote = path_at(f"{use_s3(monkeypatch)}/killed")
    flags = [
        "--model",
        "tests.benchmark.test_run:Shimmer",
        "--data",
        str(data),
        "--protocol",
        "loopcraft-mini",
    ]
    flags += ["--metrics", "psnr", "--no-isolate"]
    store = {name: value for name, value in os.environ.items() if name.startswith("AWS_")}
    stalled = nursery.start(tmp_path, "benchmark.run", *flags, "--out", str(remote), STALL="1", **store)
    deadline = time.monotonic() + 60
    while not existing(remote, ["scores/000/000.safetensors"]) and time.monotonic() < deadline:
        time.sleep(0.1)
    stalled.kill()
    assert stalled.wait() == -9
    assert "result.json" not in names(remote)
    assert run.main([*flags, "--out", str(remote)]) == 0
    assert run.main([*flags, "--out", str(tmp_path / "run")]) == 0
    assert without_seconds(read_result(remote / "result.json")) == without_seconds(
        read_result(tmp_path / "run" / "result.json")
    )
    assert names(remote) == names(tmp_path / "run")
