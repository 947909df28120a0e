"""The GPU kit end to end on the CPU at its smallest size, so that nothing is debugged on a GPU."""

import json
import shlex
import subprocess
import tarfile
from pathlib import Path
from types import SimpleNamespace

import pytest

from models.checkpoints.format import read_checkpoint
from perf import gpu
from tests.fakes.forked_modules import popen


def test_the_kit_trains_and_collects_everything(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """All are forks except the model that waits for the autoencoder; `perf.gpu` says what it imports."""
    monkeypatch.setattr(gpu, "subprocess", SimpleNamespace(**vars(subprocess) | {"Popen": popen}))
    flags = "--device cpu --minutes 3 --jobs train --preset trial --models full-resolution --workers 1"
    steps = "--autoencoder-steps 2 --video-steps 2 --episodes 4 --episode-frames 128"
    more = ["--autoencoder-flags=--pool 2 --fresh 0.5", "--video-flags=--pool 2 --fresh 0.5"]
    folders = ["--out", str(tmp_path / "home"), "--work", str(tmp_path / "work")]
    assert gpu.main([*shlex.split(f"{flags} {steps}"), *more, *folders]) == 0
    figures = json.loads((tmp_path / "home" / "figures.json").read_text())
    assert figures["device"] == "processor"
    for model in ("autoencoder", "full-resolution"):
        assert figures[model]["exit_code"] == 0
        header, _ = read_checkpoint(tmp_path / "home" / f"{model}.safetensors")
        assert header["training"]["step"] == 2
    with tarfile.open(tmp_path / "home" / "logs.tar.gz") as archive:
        assert {"logs/play.log", "models/autoencoder.jsonl"} <= set(archive.getnames())


def test_a_failed_job_does_not_stop_the_next(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    finished_jobs = []
    monkeypatch.setattr(gpu, "run_tests", lambda session: finished_jobs.append("tests"))
    monkeypatch.setattr(gpu, "time_sampling", _fail)
    monkeypatch.setattr(gpu, "train", lambda session: finished_jobs.append("train"))
    assert gpu.main(["--device", "cpu", "--out", str(tmp_path), "--work", str(tmp_path / "work")]) == 1
    assert finished_jobs == ["tests", "train"]
    assert json.loads((tmp_path / "figures.json").read_text())["sample_failed"] == "no compiler"


def _fail(session: gpu.Session) -> None:
    raise OSError("no compiler")


def test_mistakes_are_reported_in_sentences(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert gpu.main(["--device", "cpu", "--out", str(tmp_path), "--preset", "huge"]) == 2
    assert "there is no preset 'huge'; choose one of" in capsys.readouterr().err
    assert gpu.main(["--device", "cpu", "--out", str(tmp_path), "--minutes", "0"]) == 2
