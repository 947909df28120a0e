"""Runs with unusual model failures or a failing machine: none gets stuck."""

import ctypes
import errno
import os
import shutil
import signal
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
import torch

from benchmark import run
from benchmark.contract.model import ContractError
from benchmark.harness.crashes import take_crash
from benchmark.results.result_file import Result, read_result
from benchmark.sources import machine
from benchmark.sources.machine import (
    MachineError,
    PoisonedError,
    classify_failure,
    describe,
    is_machine_failure,
)
from benchmark.sources.references import CopyLast
from tests.fakes import nursery
from tests.fakes.benchmark_data import make_frames, write_dataset

SECOND = "000/001"


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    return write_dataset(tmp_path_factory.mktemp("data"))


def score(model: str, data: Path, out: Path, *more: str, code: int = 0) -> Result | None:
    flags = ["--model", model, "--data", str(data), "--out", str(out), "--protocol", "loopcraft-mini"]
    assert run.main([*flags, "--save-videos", "0", "--no-isolate", *more]) == code
    path = out / "result.json"
    return read_result(path) if path.exists() else None


def numbers(result: Result | None) -> tuple:
    assert result is not None
    return result.metrics, result.data, result.model, result.failed, result.absent


@pytest.fixture(scope="module")
def healthy(data, tmp_path_factory) -> tuple:
    """The scores of `OnSecond` when it does nothing."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(OnSecond, "act", lambda self: None)
        return numbers(score(f"{__name__}:OnSecond", data, tmp_path_factory.mktemp("healthy") / "out"))


class OnSecond(CopyLast):
    """Acts on the second video only."""

    name, role = "on-second", "model"

    def act(self) -> None:
        raise NotImplementedError

    def rollout(self, context, actions, *, seeds: Sequence[int]):
        second = torch.from_numpy(make_frames(1)[63]).permute(2, 0, 1)
        if any(torch.equal(video[-1].cpu(), second) for video in context):
            self.act()
        return super().rollout(context, actions, seeds=seeds)


class UnprintableError(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no words")


def fail_with(error: Callable[[], BaseException]) -> type[OnSecond]:
    class Failing(OnSecond):
        def act(self) -> None:
            raise error()

    return Failing


FAILURES: dict[str, tuple[Callable[[], BaseException], str]] = {
    "missing": (lambda: FileNotFoundError(2, "No such file or directory", "codebook.bin"), "codebook.bin"),
    "network": (lambda: ConnectionResetError(104, "Connection reset by peer"), "Connection reset by peer"),
    "unprintable": (UnprintableError, "UnprintableError: (its message cannot be read)"),
    "surrogate": (lambda: ValueError("half a letter \ud800 \x1b[31m"), "half a letter ? ?[31m"),
    "exit": (lambda: SystemExit(0), "sys.exit(0) was called"),
    "endless": (lambda: ValueError("x" * 10_000), "x" * 400),
    "recursion": (lambda: RecursionError("maximum recursion depth exceeded"), "maximum recursion depth"),
}


@pytest.mark.parametrize(("name", "batch_size"), [("missing", "1"), *((name, "3") for name in FAILURES)])
def test_a_model_failure_is_kept_and_may_be_retried(
    data, tmp_path, monkeypatch, healthy, name, batch_size
) -> None:
    """A failed batch of three is retried one by one."""
    error, message = FAILURES[name]
    monkeypatch.setattr(OnSecond, "act", fail_with(error).act)
    model, out = f"{__name__}:OnSecond", tmp_path / "out"
    failed = score(model, data, out, "--batch-size", batch_size, code=1)
    assert failed is not None
    assert list(failed.failed) == [SECOND]
    assert message in failed.failed[SECOND]
    assert failed.data.keys == ("000/000", "000/002")
    monkeypatch.setattr(OnSecond, "act", lambda self: None)
    assert numbers(score(model, data, out, code=1)) == numbers(failed)  # not retried
    assert numbers(score(model, data, out, "--retry-failed")) == healthy


def test_a_missing_video_is_blamed_on_the_data_set(data, tmp_path, capsys) -> None:
    broken = tmp_path / "data"
    shutil.copytree(data, broken)
    (broken / "000" / "001.npy").unlink()
    out = tmp_path / "out"
    flags = ["--data", str(broken), "--out", str(out), "--protocol", "loopcraft-mini", "--max-videos", "2"]
    assert run.main(["--model", f"{__name__}:CopyLast", "--no-isolate", *flags]) == 2
    assert f"{broken / '000' / '001.npy'}: No such file" in capsys.readouterr().err
    assert not (out / "failures").exists()


# Crashes.


class Crashes(OnSecond):
    def act(self) -> None:
        if "HEALED" not in os.environ:
            ctypes.string_at(0)


class Killed(OnSecond):
    def act(self) -> None:
        if "HEALED" not in os.environ:
            os.kill(os.getpid(), signal.SIGKILL)


def run_in_process(model: str, data: Path, out: Path, *more: str, **environment: str) -> tuple[int, str]:
    """Run the command in a separate process; return its exit code and output."""
    flags = ["--model", f"{__name__}:{model}", "--data", str(data), "--out", str(out), *more]
    flags += ["--protocol", "loopcraft-mini", "--save-videos", "0", "--no-isolate"]
    process = nursery.start(out.parent / "said", "benchmark.run", *flags, **environment)
    return process.wait(), process.err


def test_a_crash_fails_one_video_of_the_model(data, tmp_path) -> None:
    out, flags = tmp_path / "out", ("--batch-size", "3")
    codes = []
    for _ in range(4):
        code, output = run_in_process("Crashes", data, out, *flags)
        codes.append(code)
        if code == 1:
            break
    assert codes == [-signal.SIGSEGV, -signal.SIGSEGV, 1], output  # in a batch, alone, then left out
    result = read_result(out / "result.json")
    assert result.failed == {SECOND: "on-second crashed the process (Segmentation fault)"}
    assert "string_at" in (out / "failures" / f"{SECOND}.txt").read_text()
    assert result.data.keys == ("000/000", "000/002")
    assert run_in_process("Crashes", data, out, "--retry-failed", HEALED="1")[0] == 0
    assert not read_result(out / "result.json").failed


def test_a_kill_is_not_recorded_as_a_failure(data, tmp_path) -> None:
    out = tmp_path / "out"
    assert run_in_process("Killed", data, out)[0] == -signal.SIGKILL
    assert run_in_process("Killed", data, out, HEALED="1")[0] == 0
    assert not read_result(out / "result.json").failed


@pytest.mark.parametrize(
    "text", ["", "[", '["000/000"]\n', "7\nFatal Python error: Aborted\n", '\xff["a"]\nFatal']
)
def test_an_invalid_crash_report_is_discarded(tmp_path, text) -> None:
    path = tmp_path / ".000+000.batch"
    path.write_text(text)
    assert take_crash(path) is None
    assert not path.exists()


# The machine.

MACHINES: dict[str, BaseException] = {
    "full disk": OSError(errno.ENOSPC, "No space left on device"),
    "broken disk": OSError(errno.EIO, "Input/output error"),
    "memory": MemoryError("cannot allocate"),
    "device memory": torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB"),
    "host memory": RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried"),
    "no driver": RuntimeError("Found no NVIDIA driver on your system. Please check"),
    "no cuda": AssertionError("Torch not compiled with CUDA enabled"),
    "ordinal": RuntimeError("CUDA error: invalid device ordinal"),
}
MODELS: dict[str, BaseException] = {
    "shapes": RuntimeError("mat1 and mat2 shapes cannot be multiplied"),
    "assertion": AssertionError("wrong number of tokens"),
    "missing file": FileNotFoundError(2, "No such file or directory"),
    "index": RuntimeError("CUDA error: device-side assert triggered"),
}


@pytest.mark.parametrize("name", MACHINES)
def test_machine_failures_are_recognised(name) -> None:
    assert is_machine_failure(MACHINES[name])
    assert isinstance(classify_failure("model", MACHINES[name]), MachineError)


@pytest.mark.parametrize("name", MODELS)
def test_model_failures_are_recognised(name) -> None:
    assert not is_machine_failure(MODELS[name])
    assert isinstance(classify_failure("model", MODELS[name]), ContractError)
    assert isinstance(classify_failure("model", MODELS[name]), PoisonedError) == (name == "index")


def test_any_error_is_one_printable_line() -> None:
    assert describe(ValueError("two\nlines \x07")) == "ValueError: two lines ?"
    assert len(describe(ValueError("x" * 10**6))) < machine.LONGEST_REASON + 10


@pytest.mark.parametrize(("name", "batch_size"), [("memory", "1"), *((name, "3") for name in MACHINES)])
def test_a_machine_failure_is_not_kept(data, tmp_path, monkeypatch, healthy, name, batch_size) -> None:
    monkeypatch.setattr(OnSecond, "act", fail_with(lambda: MACHINES[name]).act)
    model, out = f"{__name__}:OnSecond", tmp_path / "out"
    result = score(model, data, out, "--batch-size", batch_size, code=1)
    assert result is not None
    assert list(result.failed) == [SECOND]
    assert not (out / "failures").exists()
    monkeypatch.setattr(OnSecond, "act", lambda self: None)
    assert numbers(score(model, data, out)) == healthy


def test_a_machine_that_fails_twice_in_a_row_ends_the_run(data, tmp_path, monkeypatch, capsys) -> None:
    def refuse(self, context, actions, *, seeds):
        raise MACHINES["no driver"]

    monkeypatch.setattr(CopyLast, "rollout", refuse)
    assert score("copy-last", data, tmp_path / "out", code=2) is None
    error = capsys.readouterr().err
    assert "copy-last raised RuntimeError: Found no NVIDIA driver" in error
    assert "the machine failed twice in a row, which is not held against the model" in error
    assert not (tmp_path / "out" / "failures").exists()


def test_a_machine_failure_while_scoring_is_reported_in_a_sentence(
    data, tmp_path, monkeypatch, capsys
) -> None:
    def refuse(*_):
        raise MACHINES["device memory"]

    monkeypatch.setattr("benchmark.harness.score.Scorer.score", refuse)
    assert score("copy-last", data, tmp_path / "out", code=2) is None
    assert "scoring: OutOfMemoryError: CUDA out of memory" in capsys.readouterr().err


def test_a_device_broken_by_the_model_ends_the_run_and_the_next_continues(
    data, tmp_path, monkeypatch, capsys
):
    monkeypatch.setattr(OnSecond, "act", fail_with(lambda: MODELS["index"]).act)
    model, out = f"{__name__}:OnSecond", tmp_path / "out"
    assert score(model, data, out, "--batch-size", "3", code=2) is None
    assert "can no longer use the device: run the same command again to continue" in capsys.readouterr().err
    assert score(model, data, out, "--batch-size", "3", code=2) is None  # alone now, so it fails
    result = score(model, data, out, "--batch-size", "3", code=1)
    assert result is not None
    assert list(result.failed) == [SECOND]
    assert result.data.keys == ("000/000", "000/002")


def test_a_failure_on_another_device_is_retried(data, tmp_path, monkeypatch, capsys) -> None:
    monkeypatch.setattr(OnSecond, "act", fail_with(lambda: ValueError("no")).act)
    model, out = f"{__name__}:OnSecond", tmp_path / "out"
    score(model, data, out, code=1)
    path = out / "failures" / f"{SECOND}.txt"
    old = path.read_text()
    assert old.splitlines()[1] == "device: cpu"
    monkeypatch.setattr(OnSecond, "act", lambda self: None)
    path.write_text(old.replace("device: cpu", "device: cuda:7"))
    assert not score(model, data, out).failed
    assert f"{SECOND}: failed on cuda:7; will be retried on cpu" in capsys.readouterr().err


def test_a_failure_without_a_device_is_kept(data, tmp_path) -> None:
    """Earlier versions wrote it so."""
    path = tmp_path / "out" / "failures" / "000" / "001.txt"
    score("copy-last", data, tmp_path / "out", "--max-videos", "1")
    path.parent.mkdir(parents=True)
    path.write_text("it hurts\n\nTraceback (most recent call last):\n")
    result = score("copy-last", data, tmp_path / "out", code=1)
    assert result is not None
    assert result.failed == {SECOND: "it hurts"}
