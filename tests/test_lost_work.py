"""Commands that do not see their workers' files end with a sentence and do not finish their output."""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from benchmark import run
from benchmark.setup import workers
from loopcraft import generate, masks
from loopcraft.core.errors import UserError
from loopcraft.dataset.layout import INDEX
from loopcraft.executors import base
from models import encode
from tests.fakes.benchmark_data import write_dataset

RECIPE = ["--world", "plaza-v1", "--split", "train", "--num-frames", "64", "--resolution", "32"]
REMEDY = ": let all workers write to the same folder, on a shared disk or at a URL that they can reach"


class LosingExecutor:
    """An executor on a machine whose disk the command does not see."""

    def run(self, job, items: Sequence, *, make_state) -> Iterator:
        """Report all items as done."""
        yield from ((item, {}) for item in items)


@contextmanager
def open_losing(*_: object, **__: object) -> Iterator[LosingExecutor]:
    yield LosingExecutor()


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(base, "ARRIVAL_S", 0.0)
    for module in (generate, masks, encode, workers):
        monkeypatch.setattr(module, "open_executor", open_losing)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("lost") / "data"
    assert generate.main(["--out", str(root), *RECIPE, "--num-episodes", "2", "--workers", "1"]) == 0
    return root


def test_generate(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = tmp_path / "set"
    assert generate.main(["--out", str(root), *RECIPE, "--num-episodes", "3", "--workers", "2"]) == 2
    message = f"error: {root}: 3 episodes were made but are not here, such as 000/000{REMEDY}"
    assert message in capsys.readouterr().err
    assert not (root / INDEX).exists()


def test_masks(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert masks.main([str(data), "--workers", "2"]) == 2
    assert (
        f"error: {data}: 2 masks were made but are not here, such as 000/000{REMEDY}"
        in capsys.readouterr().err
    )


def test_encode(data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "latents"
    assert encode.main([str(data), "--out", str(out), "--preset", "trial"]) == 2
    assert (
        f"error: {out}: 2 videos were made but are not here, such as 000/000{REMEDY}"
        in capsys.readouterr().err
    )
    assert not (out / INDEX).exists()


def test_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "run"
    flags = ["--model", "copy-last", "--data", str(write_dataset(tmp_path / "data")), "--out", str(out)]
    assert run.main([*flags, "--protocol", "loopcraft-mini", "--metrics", "psnr", "--workers", "2"]) == 2
    assert (
        f"error: {out}: 3 videos were made but are not here, such as 000/000{REMEDY}"
        in capsys.readouterr().err
    )
    assert not (out / "result.json").exists()


def test_files_may_arrive_late(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(base, "ARRIVAL_S", 60.0)
    monkeypatch.setattr(time, "sleep", lambda seconds: None)
    looks = iter([["a", "b"], ["b"], []])
    base.require_arrived(Path("set"), lambda: next(looks), "episodes")
    assert list(looks) == []
    monkeypatch.setattr(base, "ARRIVAL_S", 0.0)
    with pytest.raises(UserError, match="set: 1 episodes were made but are not here, such as b"):
        base.require_arrived(Path("set"), lambda: ["b"], "episodes")
