"""Shards of a run: each keeps to its own videos and files, and together they make a run."""

from dataclasses import replace
from pathlib import Path

import pytest

from benchmark import run
from benchmark.harness.run_folder import Workspace
from benchmark.results.result_file import Result, read_result
from loopcraft.core.writing import writing_to
from tests.fakes.benchmark_data import write_dataset
from tests.fakes.worker_models import SECOND, Noise

KEYS = ("000/000", SECOND, "000/002")
CRASH = "Fatal Python error: Segmentation fault\n\nthread ..."


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_dataset(tmp_path_factory.mktemp("data"))


def score(data: Path, out: Path, *more: str, model: str = "Noise") -> int:
    flags = ["--model", f"{Noise.__module__}:{model}", "--data", str(data), "--out", str(out)]
    return run.main([*flags, "--no-isolate", "--protocol", "loopcraft-mini", *more])


def read_run_result(out: Path) -> Result:
    """Read the result, without its seconds."""
    result = read_result(out / "result.json")
    return replace(result, provenance=replace(result.provenance, seconds=0))


@pytest.mark.parametrize("workers", ["0", "2"])
def test_a_shard_leaves_the_files_of_others_alone(data: Path, tmp_path: Path, workers: str) -> None:
    out = tmp_path / "out"
    workspace = Workspace(out)
    foreign_paths = [out / f".{KEYS[0].replace('/', '+')}.batch", out / ".alone.json.0.partial"]
    assert score(data, out, "--shard", "1/3") == 0
    with writing_to(out, together=True):  # as another shard does
        for path in foreign_paths:
            path.write_text(f'["{KEYS[0]}"]\n{CRASH}')
        assert score(data, out, "--shard", "2/2", "--workers", workers) == 0
        assert all(path.exists() for path in foreign_paths)
    assert workspace.finished(KEYS) == list(KEYS)
    assert not workspace.failures(KEYS)
    assert not (out / "result.json").exists()


def test_the_whole_run_continues_from_its_shards(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert score(data, tmp_path / "one") == 0
    out, crashed = tmp_path / "out", ["--batch-size", "2", "--shard"]
    assert score(data, out, *crashed, "1/3") == 0
    assert f"{out}: shard 1/3 has scores of 1 videos; when all shards have ended" in capsys.readouterr().out
    Workspace(out).crash_path(SECOND).write_text(f'["{SECOND}", "{KEYS[2]}"]\n{CRASH}')  # type: ignore[union-attr]
    (out / "scores" / "000" / ".002.safetensors.0.partial").touch()
    assert score(data, out, *crashed, "1/1") == 0
    assert "they will be generated one by one" in capsys.readouterr().err
    assert read_run_result(out) == read_run_result(tmp_path / "one")
    assert not list(out.rglob(".*"))


def test_a_crash_of_two_videos_is_not_blamed_on_the_one_in_a_shard(data: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert score(data, out, "--shard", "1/3") == 0
    Workspace(out).crash_path(SECOND).write_text(f'["{SECOND}", "{KEYS[2]}"]\n{CRASH}')  # type: ignore[union-attr]
    assert score(data, out, "--shard", "2/3") == 0
    assert Workspace(out).finished(KEYS) == [*KEYS[:2]]
    assert Workspace(out).alone == [SECOND, KEYS[2]]


def test_a_shard_fails_with_its_videos(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    failing = ["--model-args", f'{{"marker": "{tmp_path / "healed"}"}}', "--shard"]
    out = tmp_path / "out"
    assert [score(data, out, *failing, f"{part}/3", model="FailingUnless") for part in (1, 2)] == [0, 1]
    output = capsys.readouterr()
    assert f"{SECOND}: noise raised RuntimeError: not yet" in output.err
    assert "1 of 1 videos are left out" in output.err
    assert "shard 2/3 has scores of 0 videos" in output.out
    assert score(data, out, *failing, "2/3", "--allow-partial", model="FailingUnless") == 0


def test_the_first_videos_of_the_run_are_kept_not_of_each_shard(data: Path, tmp_path: Path) -> None:
    for part in (1, 2):
        assert score(data, tmp_path, "--shard", f"{part}/2", "--save-videos", "2") == 0
    assert [path.name for path in sorted(tmp_path.rglob("*.mp4"))] == ["000.mp4", "001.mp4"]


def test_the_whole_run_waits_for_its_shards(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with writing_to(tmp_path, together=True):
        assert score(data, tmp_path) == 2
    assert f"error: {tmp_path}: another command is writing to it" in capsys.readouterr().err


def test_a_shard_of_another_run_is_refused(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert score(data, tmp_path, "--shard", "1/3") == 0
    assert score(data, tmp_path, "--shard", "2/3", "--seed", "1") == 2
    assert "holds another run (seed is 0 there and 1 here)" in capsys.readouterr().err


@pytest.mark.parametrize("shard", ["0/2", "3/2", "1/4", "2", "a/b"])
def test_an_invalid_shard_is_refused_in_one_sentence(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], shard: str
) -> None:
    out = tmp_path / "out"
    assert score(data, out, "--shard", shard) == 2
    assert capsys.readouterr().err == (
        f"error: --shard {shard}: choose i/n with 1 <= i <= n <= 3 videos, like 2/8\n"
    )
    assert not out.exists()
