"""The whole command: score, stop, continue, fail in part, and refuse mistakes."""

import itertools
import json
import os
import re
import signal
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from benchmark import run
from benchmark.metrics.psnr import psnr
from benchmark.results.result_file import Result, read_result
from benchmark.sources.references import CopyLast
from loopcraft.core.files import write_json
from tests.fakes import nursery
from tests.fakes.benchmark_data import make_frames, write_dataset

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    return write_dataset(tmp_path_factory.mktemp("data"))


def score(model: str, data: Path, out: Path, *more: str, code: int = 0) -> Result:
    flags = ["--model", model, "--data", str(data), "--out", str(out), "--protocol", "loopcraft-mini"]
    assert run.main([*flags, "--no-isolate", *more]) == code
    return read_result(out / "result.json")


class Shimmer:
    """A stand-in for any sampling model: the last frame plus noise from the video's seed."""

    name, frame_shape, max_context = "shimmer", (3, 16, 16), 8

    def __init__(self, chunk: int = 7) -> None:
        self.chunk = chunk
        self.rollouts = 0

    def between_chunks(self) -> None:
        """A hook for interruptions; with STALL in the environment, the second video stalls."""
        if self.rollouts == 2 and "STALL" in os.environ:
            time.sleep(600)

    def rollout(self, context: Tensor, actions: Tensor, *, seeds: Sequence[int]) -> Iterator[Tensor]:
        self.rollouts += 1
        left = actions.shape[1] - context.shape[1]
        noise = [torch.Generator().manual_seed(seed) for seed in seeds]
        while left:
            count = min(self.chunk, left)
            left -= count
            self.between_chunks()
            drawn = torch.stack([torch.rand(count, 3, 16, 16, generator=g) for g in noise])
            yield (0.9 * context[:, -1:] / 255 + 0.1 * drawn).clamp(0, 1)


class Moody(CopyLast):
    """Fails on videos whose context ends in a certain frame."""

    name, role = "moody", "model"

    def rollout(self, context: Tensor, actions: Tensor, *, seeds: Sequence[int]) -> Iterator[Tensor]:
        second = torch.from_numpy(make_frames(1)[63]).permute(2, 0, 1)
        if any(torch.equal(video[-1], second) for video in context):
            raise RuntimeError("cannot look at\nthis video")
        return super().rollout(context, actions, seeds=seeds)


SHIMMER = f"{__name__}:Shimmer"


@pytest.fixture(scope="module")
def uninterrupted(data, tmp_path_factory) -> tuple:
    return numbers(score(SHIMMER, data, tmp_path_factory.mktemp("whole") / "out"))


def numbers(result: Result) -> tuple:
    return result.metrics, result.data, result.model, result.failed, result.absent


def test_ground_truth_is_perfect(data, tmp_path) -> None:
    result = score("ground-truth", data, tmp_path / "out")
    assert result.model.role == "bound"
    assert result.model.source == "playback"
    assert result.data.keys == ("000/000", "000/001", "000/002")
    assert {e.mean for e in result.metrics["psnr"].windows.values()} == {100.0}
    assert {e.mean for e in result.metrics["ssim"].windows.values()} == {1.0}


def test_scores_match_the_frames(data, tmp_path) -> None:
    result = score("copy-last", data, tmp_path / "out", "--metrics", "psnr")
    assert list(result.metrics) == ["psnr"]
    for index in range(3):
        video = make_frames(index)
        expected = psnr(np.repeat(video[63:64], 192, axis=0), video[64:])
        assert result.metrics["psnr"].videos is not None
        assert result.metrics["psnr"].videos["medium"][index] == pytest.approx(
            expected[16:64].mean(), rel=1e-6
        )


def test_batch_size_and_chunks_do_not_matter(data, tmp_path) -> None:
    one = score(SHIMMER, data, tmp_path / "one")
    other = score(SHIMMER, data, tmp_path / "other", "--batch-size", "2", "--model-args", '{"chunk": 50}')
    assert one.metrics == other.metrics
    assert score(SHIMMER, data, tmp_path / "third", "--seed", "1").metrics != one.metrics


def test_a_second_run_does_nothing_and_more_videos_continue_it(
    data, tmp_path, monkeypatch, uninterrupted
) -> None:
    score(SHIMMER, data, tmp_path / "out", "--max-videos", "2")
    batch_sizes = []
    original = Shimmer.rollout

    def watched_rollout(self, context, actions, *, seeds):
        batch_sizes.append(len(seeds))
        return original(self, context, actions, seeds=seeds)

    monkeypatch.setattr(Shimmer, "rollout", watched_rollout)
    assert len(score(SHIMMER, data, tmp_path / "out", "--max-videos", "2").data.keys) == 2
    assert batch_sizes == []
    whole = score(SHIMMER, data, tmp_path / "out")
    assert batch_sizes == [1]
    assert numbers(whole) == uninterrupted


def test_videos_requested_later_are_saved_later(data, tmp_path) -> None:
    first = score(SHIMMER, data, tmp_path / "out", "--save-videos", "1")
    later = score(SHIMMER, data, tmp_path / "out", "--save-videos", "2")
    assert numbers(first) == numbers(later)
    saved = sorted(path.name for path in (tmp_path / "out" / "videos").rglob("*.mp4"))
    assert saved == ["000.mp4", "001.mp4"]


def test_a_folder_with_leftovers_of_a_killed_start_is_free(data, tmp_path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / ".run.json.0.partial").write_text("{")
    score("copy-last", data, tmp_path / "out", "--max-videos", "1")


def test_another_run_may_not_use_the_folder(data, tmp_path, capsys) -> None:
    score(SHIMMER, data, tmp_path / "out", "--max-videos", "1")
    for change in (["--seed", "1"], ["--metrics", "psnr"], ["--model-args", '{"chunk": 9}']):
        flags = ["--model", SHIMMER, "--data", str(data), "--out", str(tmp_path / "out")]
        assert run.main([*flags, "--protocol", "loopcraft-mini", "--no-isolate", *change]) == 2
        assert "holds another run" in capsys.readouterr().err


def test_a_killed_run_continues_to_the_same_numbers(data, tmp_path, uninterrupted) -> None:
    killed = tmp_path / "killed"
    flags = ["--model", SHIMMER, "--data", str(data), "--out", str(killed), "--protocol", "loopcraft-mini"]
    process = nursery.start(tmp_path, "benchmark.run", *flags, STALL="1")
    try:
        wait_for(lambda: list(killed.glob("scores/*/*.safetensors")))
    finally:
        process.kill()
    assert process.wait() == -signal.SIGKILL
    assert not (killed / "result.json").exists()
    (killed / "scores" / "000" / ".002.safetensors.0.partial").write_text("half of it")
    assert numbers(score(SHIMMER, data, killed)) == uninterrupted
    assert not list(killed.rglob("*.partial"))


@pytest.mark.parametrize("moment", [0, 11, 30, 70])
def test_a_run_interrupted_at_any_moment_continues_to_the_same_numbers(
    data, tmp_path, moment, monkeypatch, uninterrupted
) -> None:
    countdown = itertools.count(moment, -1)

    def interrupt() -> None:
        if next(countdown) == 0:
            raise KeyboardInterrupt

    monkeypatch.setattr(Shimmer, "between_chunks", staticmethod(interrupt))
    flags = ["--model", SHIMMER, "--no-isolate", "--data", str(data), "--protocol", "loopcraft-mini"]
    assert run.main([*flags, "--out", str(tmp_path / "out")]) == 130
    assert not (tmp_path / "out" / "result.json").exists()
    assert numbers(score(SHIMMER, data, tmp_path / "out")) == uninterrupted


def wait_for(condition) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)


@pytest.mark.parametrize("batch_size", ["1", "3"])
def test_a_failing_video_is_named_and_the_others_are_scored(data, tmp_path, batch_size, capsys) -> None:
    out = tmp_path / "out"
    result = score(f"{__name__}:Moody", data, out, "--batch-size", batch_size, code=1)
    reason = "moody raised RuntimeError: cannot look at this video"
    assert result.failed == {"000/001": reason}
    assert result.data.keys == ("000/000", "000/002")
    output = capsys.readouterr().err
    assert "000/001" in output
    assert re.search(r"scoring: 3 of 3 videos, 1 failed, .* videos/s, took", output)
    assert f"1 of 3 videos are left out; tracebacks are in {out / 'failures'}" in output
    traceback = (out / "failures" / "000" / "001.txt").read_text()
    assert "\n\nTraceback (most recent call last):\n" in traceback
    assert re.findall(r", line \d+, in (\w+)", traceback) == ["rollout"]  # the model's own frames


def test_failed_videos_are_retried_on_request(data, tmp_path, monkeypatch, capsys) -> None:
    out, model = tmp_path / "out", f"{__name__}:Moody"
    score(model, data, out, code=1)
    monkeypatch.setattr(Moody, "rollout", CopyLast.rollout)
    assert score(model, data, out, code=1).failed
    assert "2 done before, 1 failed before (--retry-failed" in capsys.readouterr().err
    healed = score(model, data, out, "--retry-failed")
    assert not healed.failed
    assert numbers(healed) == numbers(score(model, data, tmp_path / "fresh"))


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--model", "dreamer"], "unknown model 'dreamer'"),
        (["--protocol", "loopcraft-v1"], "has 256 frames but loopcraft-v1 needs 1024"),
        (["--protocol", "v0"], "unknown protocol 'v0'"),
        (["--metrics", "psnr,vmaf"], "unknown metric 'vmaf'"),
        (["--data", "/nowhere"], "/nowhere: no such folder"),
        (["--batch-size", "0"], "--batch-size 0: choose 1 or more"),
        (["--max-videos", "0"], "--max-videos 0: choose 1 or more"),
        (["--device", "abacus"], "--device abacus"),
        (["--model", f"{__name__}:Shimmer", "--model-args", '{"size": 1}'], "do not fit"),
        (["--out", str(ROOT)], "holds other files and no run"),
    ],
)
def test_mistakes_are_one_sentence_before_anything_is_written(data, tmp_path, flags, message, capsys) -> None:
    defaults = {
        "--model": "copy-last",
        "--data": str(data),
        "--out": str(tmp_path / "out"),
        "--protocol": "loopcraft-mini",
    }
    defaults.update(zip(flags[::2], flags[1::2], strict=True))
    assert run.main([text for pair in defaults.items() for text in pair]) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_a_model_of_another_resolution_is_refused(tmp_path, capsys) -> None:
    data = write_dataset(tmp_path / "data", num_videos=1, side=8)
    flags = ["--data", str(data), "--out", str(tmp_path / "out"), "--protocol", "loopcraft-mini"]
    assert run.main(["--model", SHIMMER, "--no-isolate", *flags]) == 2
    assert (
        "shimmer makes frames of shape (3, 16, 16) but the data set's are (3, 8, 8)"
        in capsys.readouterr().err
    )


def test_a_truncated_video_is_blamed_on_the_data_set(tmp_path, capsys) -> None:
    data = write_dataset(tmp_path / "data", num_videos=1, num_frames=100)
    states = np.zeros((256, 6), np.float32)
    np.save(data / "000" / "000.npy", states)
    write_json(data / "index.json", {"000/000": 256})
    flags = ["--data", str(data), "--out", str(tmp_path / "out"), "--protocol", "loopcraft-mini"]
    assert run.main(["--model", "copy-last", *flags]) == 2
    assert "000.mp4: holds 100 frames but the index says 256" in capsys.readouterr().err
    assert not (tmp_path / "out" / "failures").exists()


def test_if_every_video_fails_there_is_no_result(data, tmp_path, monkeypatch, capsys) -> None:
    def broken(self, context, actions, *, seeds):
        yield torch.zeros(1)

    monkeypatch.setattr(Shimmer, "rollout", broken)
    flags = ["--data", str(data), "--out", str(tmp_path / "out"), "--protocol", "loopcraft-mini"]
    assert run.main(["--model", SHIMMER, "--no-isolate", *flags]) == 2
    output = capsys.readouterr().err
    assert "no video was scored; 000/000: frame 0: expected a chunk" in output
    assert "scoring: 3 of 3 videos, 3 failed\n" in output
    assert not (tmp_path / "out" / "result.json").exists()


def test_a_run_records_its_settings(data, tmp_path) -> None:
    score(SHIMMER, data, tmp_path / "out", "--max-videos", "1", "--seed", "7")
    identity = json.loads((tmp_path / "out" / "run.json").read_text())
    assert identity["metrics"] == {"psnr": 1, "ssim": 1}
    result = read_result(tmp_path / "out" / "result.json")
    assert (result.provenance.seed, result.model.context_frames) == (7, 8)
    assert result.provenance.packages["torch"] == torch.__version__.partition("+")[0]
    assert result.metrics["psnr"].windows["short"].interval is None
