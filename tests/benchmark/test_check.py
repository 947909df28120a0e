"""The contract checker, with a mutant for every clause: each fails only its check with the stated message."""

import ctypes
import inspect
import itertools
import os
import signal
import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from benchmark import check
from benchmark.conformance.checks import CHECKS, TrialSize, check_model
from benchmark.conformance.synthetic import SyntheticEpisodes
from benchmark.contract.compute import Compute
from benchmark.sources.loading import load_model
from benchmark.sources.references import CopyLast, GroundTruth

SIZE = TrialSize(context=8, horizon=12, side=16)


class Honest:
    """A valid model that fades into noise from the video's seed, faster while turning."""

    name, frame_shape, max_context = "honest", (3, 16, 24), 4

    def rollout(self, context: Tensor, actions: Tensor, *, seeds: Sequence[int]) -> Iterator[Tensor]:
        horizon = actions.shape[1] - context.shape[1]
        noise = torch.stack([self.noise(seed, horizon) for seed in seeds])
        amount = self.amounts(actions)[:, context.shape[1] :, None, None, None]
        frames = context[:, -1:] / 255 * (1 - amount) + noise * amount
        yield from frames.split(5, dim=1)

    def noise(self, seed: int, horizon: int) -> Tensor:
        return torch.rand(horizon, 3, 16, 24, generator=torch.Generator().manual_seed(seed))

    def amounts(self, actions: Tensor) -> Tensor:
        return 0.3 + 0.01 * (actions > 0).cumsum(dim=1)


class TooFew(Honest):
    def rollout(self, context, actions, *, seeds):
        return itertools.islice(super().rollout(context, actions, seeds=seeds), 2)


class Endless(Honest):
    def rollout(self, context, actions, *, seeds):
        return itertools.cycle(super().rollout(context, actions, seeds=seeds))


class WrongShape(Honest):
    def rollout(self, context, actions, *, seeds):
        return (chunk.mT for chunk in super().rollout(context, actions, seeds=seeds))


class WrongType(Honest):
    def rollout(self, context, actions, *, seeds):
        return (chunk.round().int() for chunk in super().rollout(context, actions, seeds=seeds))


class WrongRange(Honest):
    def rollout(self, context, actions, *, seeds):
        return (2 * chunk - 1 for chunk in super().rollout(context, actions, seeds=seeds))


class CastsTooEarly(Honest):
    def rollout(self, context, actions, *, seeds):
        return (chunk.to(torch.uint8) for chunk in super().rollout(context, actions, seeds=seeds))


class NotANumber(Honest):
    def rollout(self, context, actions, *, seeds):
        return (chunk.log().sqrt() for chunk in super().rollout(context, actions, seeds=seeds))


class Raises(Honest):
    def rollout(self, context, actions, *, seeds):
        raise ValueError("no such layer")


class Scribbles(Honest):
    def rollout(self, context, actions, *, seeds):
        yield from super().rollout(context.clone(), actions.clone(), seeds=seeds)
        context[:, 0] = 0
        actions += 1


class Refills(Honest):
    """Reuses one buffer, as a renderer does."""

    def rollout(self, context, actions, *, seeds):
        picture = np.zeros((len(context), 1, 16, 24, 3), np.uint8)
        for chunk in super().rollout(context, actions, seeds=seeds):
            for frame in chunk.split(1, dim=1):
                picture[:] = (frame * 255).permute(0, 1, 3, 4, 2)
                yield torch.from_numpy(picture).permute(0, 1, 4, 2, 3)


class CallsSysExit(Honest):
    def rollout(self, context, actions, *, seeds):
        sys.exit(0)


class CallsOsExit(Honest):
    def rollout(self, context, actions, *, seeds):
        try:
            os._exit(0)
        except Exception:
            yield from super().rollout(context, actions, seeds=seeds)


class ChangesDirectory(Honest):
    def rollout(self, context, actions, *, seeds):
        os.chdir("/")
        yield from super().rollout(context, actions, seeds=seeds)


class ChangesDefaults(Honest):
    def rollout(self, context, actions, *, seeds):
        frames = list(super().rollout(context, actions, seeds=seeds))
        np.seterr(divide="raise")
        torch.set_default_dtype(torch.float64)
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        return iter(frames)

    def noise(self, seed, horizon):
        return super().noise(seed, horizon).float()


class ChangesDirectoryWhenMade(Honest):
    def __init__(self) -> None:
        os.chdir("/")


class ExitsWhenMade(Honest):
    def __init__(self) -> None:
        raise SystemExit


class GlobalNoise(Honest):
    def noise(self, seed, horizon):
        return torch.rand(horizon, 3, 16, 24)


class NoiseByPlace(Honest):
    def rollout(self, context, actions, *, seeds):
        return super().rollout(context, actions, seeds=range(len(seeds)))


class NoiseOfTheBatch(Honest):
    def rollout(self, context, actions, *, seeds):
        return super().rollout(context, actions, seeds=[sum(seeds) % 2**31 for _ in seeds])


class MeanOverTheBatch(Honest):
    def rollout(self, context, actions, *, seeds):
        shared = context.float().mean(dim=0, keepdim=True).to(torch.uint8).expand_as(context)
        return super().rollout(shared, actions, seeds=[0 for _ in seeds])


class ReadsAhead(Honest):
    def amounts(self, actions):
        return super().amounts(actions).flip(1)


class LooksUp(GroundTruth):
    name, role = "looks-up", "model"


class ReadsTheStack(Honest):
    """Climbs the stack to the harness and takes the true frames from there."""

    def rollout(self, context, actions, *, seeds):
        caller = inspect.currentframe()
        while caller is not None and "start" not in caller.f_locals:
            caller = caller.f_back
        assert caller is not None
        _, episodes, protocol, keys = caller.f_locals["start"].args
        yield from GroundTruth().play(episodes, protocol, keys)


@pytest.fixture(autouse=True)
def shared_state(monkeypatch) -> Iterator[None]:
    """Undo whatever a mutant does to the process."""
    monkeypatch.chdir(Path.cwd())
    errors, handler, dtype = np.geterr(), signal.getsignal(signal.SIGINT), torch.get_default_dtype()
    yield
    np.seterr(**errors)
    signal.signal(signal.SIGINT, handler)
    torch.set_default_dtype(dtype)


def run_checks(name: str, size: TrialSize = SIZE) -> dict[str, tuple[str, str]]:
    return check_model(load_model(f"{__name__}:{name}"), size, Compute())


def test_an_honest_model_passes_everything() -> None:
    results = run_checks("Honest")
    assert list(results) == list(CHECKS)
    assert {status for status, _ in results.values()} == {"ok"}


@pytest.mark.parametrize(
    ("mutant", "failures"),
    [
        ("TooFew", {"frames": "too few frames: 10 of a horizon of 12"}),
        ("Endless", {"frames": "too many frames: 17 of a horizon of 12"}),
        ("WrongShape", {"frames": "expected a chunk (2, 'n', 3, 16, 24), got (2, 5, 3, 24, 16)"}),
        ("WrongType", {"frames": "expected uint8 or floating frames, got torch.int32"}),
        ("WrongRange", {"frames": "rescale or clip them to [0, 1]"}),
        ("NotANumber", {"frames": "NaN or infinite"}),
        ("CastsTooEarly", {"levels": "frames hold no level above 1: uint8 frames hold 0 to 255"}),
        ("Raises", {"frames": "honest raised ValueError: no such layer"}),
        ("Scribbles", {"inputs": "wrote into its context and actions"}),
        ("CallsSysExit", {"frames": "honest: sys.exit(0) was called: raise an exception instead"}),
        ("CallsOsExit", {"frames": "honest: os._exit(0) was called: raise an exception instead"}),
        ("ChangesDirectory", {"process": "the model changed the working directory to /: restore"}),
        (
            "GlobalNoise",
            {"same seeds": "second rollout", "batch order": "position", "batch size": "batch size"},
        ),
        ("NoiseByPlace", {"batch order": "position in the batch", "batch size": "depend on the batch size"}),
        ("NoiseOfTheBatch", {"batch size": "frames depend on the batch size, first at frame"}),
        ("MeanOverTheBatch", {"batch size": "frames depend on the batch size, first at frame 0"}),
        ("LooksUp", {"future": "frames depend on the true frames after the context, first at frame 0"}),
        ("ReadsTheStack", {"future": "the model sees the answer"}),
    ],
)
def test_a_mutant_is_caught_with_the_reason(mutant: str, failures: dict[str, str]) -> None:
    failed = {name: message for name, (status, message) in run_checks(mutant).items() if status == "FAILED"}
    for name, message in failures.items():
        assert message in failed.pop(name)
    if mutant == "GlobalNoise":  # its output is never the same twice
        failed.pop("future")
    assert failed == {}


def test_changed_defaults_are_named() -> None:
    status, message = run_checks("ChangesDefaults")["process"]
    assert status == "FAILED"
    assert "torch's default type to torch.float64" in message
    assert "numpy's error handling to {'divide': 'raise'" in message
    assert "the handler of Ctrl-C to" in message
    assert "working directory" not in message


def test_making_the_model_is_checked_too(capsys) -> None:
    size = ["--context", "8", "--horizon", "12", "--side", "16"]
    assert check.main(["--model", f"{__name__}:ChangesDirectoryWhenMade", *size]) == 1
    assert "the model changed the working directory to /" in capsys.readouterr().out
    assert check.main(["--model", f"{__name__}:ExitsWhenMade", *size]) == 2
    assert "ExitsWhenMade: could not be loaded: sys.exit(None) was called" in capsys.readouterr().err


def test_reading_ahead_in_actions_is_noted_and_fails_only_on_request() -> None:
    status, message = run_checks("ReadsAhead")["later actions"]
    assert (status, message[:31]) == ("note", "frames depend on later actions,")
    assert run_checks("ReadsAhead", replace(SIZE, causal=True))["later actions"][0] == "FAILED"


def test_overwriting_yielded_frames_is_noted_and_harmless() -> None:
    results = run_checks("Refills")
    assert results["memory"] == ("note", results["memory"][1])
    assert "frames are overwritten after they were yielded" in results["memory"][1]
    assert {status for name, (status, _) in results.items() if name != "memory"} == {"ok"}


def test_a_harness_that_keeps_views_is_caught(monkeypatch) -> None:
    monkeypatch.setattr("benchmark.sources.chunks.quantise", lambda chunk: chunk)
    status, message = run_checks("Refills")["memory"]
    assert (status, message[:41]) == ("FAILED", "frame 0 changed after it was yielded: do ")


@pytest.mark.parametrize("reference", ["ground-truth", "other-video"])
def test_references_may_see_the_answer(reference: str) -> None:
    results = check_model(load_model(reference), SIZE, Compute())
    assert results["future"][0] == "note"
    assert {status for name, (status, _) in results.items() if name != "future"} == {"ok"}


def test_small_differences_are_tolerated_up_to_the_flag() -> None:
    class Rounds(CopyLast):
        def rollout(self, context, actions, *, seeds):
            brighter = (context.clamp(max=250) + len(seeds) * 2).to(torch.uint8)
            return super().rollout(brighter, actions, seeds=seeds)

    def status(tolerance: int) -> str:
        return check_model(Rounds(), replace(SIZE, tolerance=tolerance), Compute())["batch size"][0]

    assert (status(1), status(2)) == ("FAILED", "ok")


def test_synthetic_videos_differ_only_where_stated() -> None:
    plain = SyntheticEpisodes(height=16, width=24, length=20)
    changed = replace(plain, future_starts=12, future=1, later_starts=15, later=1)
    np.testing.assert_array_equal(plain.frames("000/000", 0, 12), changed.frames("000/000", 0, 12))
    assert (plain.frames("000/000", 12, 20) != changed.frames("000/000", 12, 20)).mean() > 0.9
    same = plain.actions("000/000") == changed.actions("000/000")
    assert same[:15].all()
    assert not same[15:].all()
    assert (plain.frames("000/000", 0, 1) != plain.frames("000/001", 0, 1)).mean() > 0.9


def test_the_command(capsys) -> None:
    size = ["--context", "8", "--horizon", "12", "--side", "16"]
    assert check.main(["--model", "copy-last", *size]) == 0
    assert "copy-last: keeps the contract" in capsys.readouterr().out
    assert check.main(["--model", f"{__name__}:NoiseByPlace", *size]) == 1
    assert "2 of 10 checks failed" in capsys.readouterr().out
    assert check.main(["--model", "copy-last", "--horizon", "1"]) == 2


class CrashesAlone(Honest):
    """Crashes the process if given a single video."""

    def rollout(self, context: Tensor, actions: Tensor, *, seeds: Sequence[int]) -> Iterator[Tensor]:
        if len(context) == 1:
            self.crash()
        return super().rollout(context, actions, seeds=seeds)

    def crash(self) -> None:
        ctypes.string_at(0)


class RaisesAlone(CrashesAlone):
    def crash(self) -> None:
        raise ValueError("one is not enough")


def test_the_traceback_is_shown_once_and_without_our_frames(capsys) -> None:
    size = ["--context", "8", "--horizon", "12", "--side", "16"]
    assert check.main(["--model", f"{__name__}:RaisesAlone", *size]) == 1
    output = capsys.readouterr()
    assert "FAILED  batch size: honest raised ValueError: one is not enough" in output.out.splitlines()
    lines = output.err.splitlines()
    assert lines[0] == "Traceback (most recent call last):"
    assert lines[-1] == "ValueError: one is not enough"
    assert all(__file__ in line for line in lines if line.startswith("  File"))


def test_a_crash_in_a_separate_process_is_one_failed_check(capsys) -> None:
    size = ["--context", "8", "--horizon", "12", "--side", "16"]
    assert check.main(["--model", f"{__name__}:CrashesAlone", *size, "--isolate"]) == 1
    output = capsys.readouterr()
    lines = output.out.splitlines()
    assert output.err.count("Fatal Python error: Segmentation fault") == 1
    assert "FAILED  batch size: honest crashed its process (Segmentation fault)" in lines
    assert [line.split()[0] for line in lines[:-1]].count("FAILED") == 1
    assert sum("not checked" in line for line in lines) == 3
    assert lines[-1] == f"honest: 1 of {len(CHECKS)} checks failed"


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--model", "copy-last", "--timeout", "0"], "must be greater than 0"),
        (
            ["--model", "ground-truth", "--isolate"],
            "looks frames up and generates none: it cannot run in a separate",
        ),
        (["--model", "http://127.0.0.1:9", "--memory-limit", "1"], "runs elsewhere already"),
    ],
)
def test_invalid_isolation_flags_are_refused(flags, message, capsys) -> None:
    assert check.main(flags) == 2
    assert message in capsys.readouterr().err
