"""Models that misbehave: if their frames are right, they score like an honest one, otherwise only they fail.

`python -m tests.drills.models` scores with each of them and counts.

Every model takes the context of videos and yields the same frames as `honest`, in the way its docstring says,
or misbehaves on the second video.
"""

import os
import random
import signal
import sys
import tempfile
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from benchmark import run
from benchmark.contract.protocol import LOOPCRAFT_MINI
from benchmark.results.result_file import read_result
from tests.fakes.benchmark_data import SIDE, make_frames, write_dataset

HORIZON = LOOPCRAFT_MINI.horizon
SECOND = make_frames(1)[LOOPCRAFT_MINI.context - 1]
"""The last frame of the second video's context."""


def honest_frame(last: Tensor, t: int) -> Tensor:
    """Frame t after the last context frame (B, 3, H, W), which moves right by a pixel per frame."""
    return last.roll(t + 1, dims=-1)


def honest(context: Tensor) -> Iterator[Tensor]:
    """Yield a frame at a time."""
    for t in range(HORIZON):
        yield honest_frame(context[:, -1], t)[:, None]


def refills_numpy(context: Tensor) -> Iterator[Tensor]:
    """Yield one NumPy picture, channels last, refilled each time."""
    picture = np.zeros((len(context), 1, SIDE, SIDE, 3), np.uint8)
    for chunk in honest(context):
        picture[:] = chunk.permute(0, 1, 3, 4, 2)
        yield torch.from_numpy(picture).permute(0, 1, 4, 2, 3)
    picture[:] = 0


def refills_float(context: Tensor) -> Iterator[Tensor]:
    """Yield one float buffer, refilled each time."""
    buffer = torch.empty(len(context), 1, 3, SIDE, SIDE)
    for chunk in honest(context):
        yield torch.div(chunk, 255, out=buffer)


def refills_a_window(context: Tensor) -> Iterator[Tensor]:
    """Yield windows of one ring buffer that is shifted in place."""
    ring = torch.zeros(len(context), 16, 3, SIDE, SIDE, dtype=torch.uint8)
    for chunk in honest(context):
        ring[:, :-1] = ring[:, 1:].clone()
        ring[:, -1:] = chunk
        yield ring[:, -1:]


def one_chunk(context: Tensor) -> list[Tensor]:
    """Return a list with the whole horizon in one chunk."""
    return [torch.cat(list(honest(context)), dim=1)]


def keeps_gradients(context: Tensor) -> Iterator[Tensor]:
    """Yield frames that require gradients."""
    with torch.inference_mode(False):
        for chunk in honest(context):
            yield (chunk.clone().float() / 255).requires_grad_()


def in_half(context: Tensor) -> Iterator[Tensor]:
    """Yield float16 frames."""
    return ((chunk / 255).half() for chunk in honest(context))


def in_double(context: Tensor) -> Iterator[Tensor]:
    """Yield float64 frames."""
    return (chunk.double() / 255 for chunk in honest(context))


def strided(context: Tensor) -> Iterator[Tensor]:
    """Yield strided views of larger memory."""
    for chunk in honest(context):
        large = torch.zeros(*chunk.shape[:-1], 2 * SIDE, dtype=torch.uint8)
        large[..., ::2] = chunk
        yield large[..., ::2]


def scribbles(context: Tensor) -> Iterator[Tensor]:
    """Write into the context while yielding views of it."""
    last = context[:, -1].clone()
    for t in range(HORIZON):
        context[:, -1] = honest_frame(last, t)
        yield context[:, -1:]


def changes_directory(context: Tensor) -> Iterator[Tensor]:
    """Call os.chdir."""
    os.chdir("/")
    yield from honest(context)


def changes_default_type(context: Tensor) -> Iterator[Tensor]:
    """Call torch.set_default_dtype."""
    torch.set_default_dtype(torch.float64)
    yield from honest(context)


def raises_on_numpy_warnings(context: Tensor) -> Iterator[Tensor]:
    """Call np.seterr."""
    np.seterr(all="raise")
    yield from honest(context)


def makes_warnings_errors(context: Tensor) -> Iterator[Tensor]:
    """Call warnings.simplefilter."""
    warnings.simplefilter("error")
    yield from honest(context)


def seeds_everything(context: Tensor) -> Iterator[Tensor]:
    """Set the global seeds at every frame."""
    for chunk in honest(context):
        random.seed(0)
        np.random.seed(0)  # noqa: NPY002
        torch.manual_seed(0)
        yield chunk


def ignores_ctrl_c(context: Tensor) -> Iterator[Tensor]:
    """Call signal.signal."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    yield from honest(context)


def prints(context: Tensor) -> Iterator[Tensor]:
    """Print to stdout and stderr, with markup and escapes."""
    for chunk in honest(context):
        print("[red]\x1b[2J{}", file=random.choice([sys.stdout, sys.stderr]))
        yield chunk


def forks(context: Tensor) -> Iterator[Tensor]:
    """Fork a child that ends with os._exit, as those of multiprocessing do."""
    child = os.fork()
    if child == 0:
        os._exit(3)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 3
    yield from honest(context)


def threads(context: Tensor) -> Iterator[Tensor]:
    """Start a thread that calls sys.exit."""
    thread = threading.Thread(target=sys.exit)
    thread.start()
    thread.join()
    yield from honest(context)


def on_the_second(act: Callable[[], Any], after: int = 0) -> Callable[[Tensor], Iterator[Tensor]]:
    """A model that is honest except on the second video, where it calls `act` after some frames."""

    def rollout(context: Tensor) -> Iterator[Tensor]:
        is_second = bool((context[0, -1].permute(1, 2, 0) == torch.from_numpy(SECOND)).all())
        for t, chunk in enumerate(honest(context)):
            yield act() if is_second and t == after else chunk

    return rollout


def throw(error: BaseException) -> Callable[[], None]:
    def act() -> None:
        raise error

    return act


class Rude(BaseException):
    """Not an `Exception`."""


def recurse() -> None:
    recurse()


HARMLESS: dict[str, Callable[[Tensor], Any]] = {
    function.__name__: function
    for function in (
        refills_numpy, refills_float, refills_a_window, one_chunk, keeps_gradients, in_half, in_double,
        strided, scribbles, changes_directory, changes_default_type, raises_on_numpy_warnings,
        makes_warnings_errors, seeds_everything, ignores_ctrl_c, prints, forks, threads,
    )
}  # fmt: skip
FAILING: dict[str, tuple[Callable[[Tensor], Any], str]] = {
    "sys.exit(0)": (on_the_second(lambda: sys.exit(0)), "sys.exit(0) was called"),
    "sys.exit(0) in the middle": (on_the_second(lambda: sys.exit(0), 99), "sys.exit(0) was called"),
    "exit text": (on_the_second(throw(SystemExit("bye"))), "sys.exit('bye') was called"),
    "os._exit(0)": (on_the_second(lambda: os._exit(0)), "os._exit(0) was called"),
    "os._exit(0) in the middle": (on_the_second(lambda: os._exit(0), 99), "os._exit(0) was called"),
    "RuntimeError": (on_the_second(throw(RuntimeError("no\nluck"))), "raised RuntimeError: no luck"),
    "KeyError": (on_the_second(throw(KeyError("layer.0"))), "raised KeyError: 'layer.0'"),
    "StopIteration": (on_the_second(throw(StopIteration())), "raised RuntimeError: generator raised"),
    "AssertionError": (on_the_second(throw(AssertionError())), "raised AssertionError"),
    "MemoryError": (on_the_second(throw(MemoryError())), "raised MemoryError"),
    "no Exception": (on_the_second(throw(Rude("hm"))), "raised Rude: hm"),
    "recursion": (on_the_second(recurse), "raised RecursionError"),
    "None": (on_the_second(lambda: None), "expected a torch.Tensor, got NoneType"),
    "NumPy": (on_the_second(lambda: SECOND), "expected a torch.Tensor, got ndarray"),
    "NaN": (on_the_second(lambda: torch.full((1, 1, 3, SIDE, SIDE), torch.nan)), "NaN or infinite"),
    "levels": (on_the_second(lambda: torch.full((1, 1, 3, SIDE, SIDE), 255.0)), "rescale or clip them"),
    "integers": (on_the_second(lambda: torch.ones(1, 1, 3, SIDE, SIDE).int()), "got torch.int32"),
    "sparse": (
        on_the_second(lambda: torch.ones(1, 1, 3, SIDE, SIDE).to_sparse()),
        "expected frames in dense",
    ),
    "meta": (
        on_the_second(lambda: torch.ones(1, 1, 3, SIDE, SIDE, device="meta")),
        "expected frames in dense",
    ),
    "too many": (on_the_second(lambda: torch.ones(1, 2, 3, SIDE, SIDE)), "too many frames"),
    "another size": (on_the_second(lambda: torch.ones(1, 1, 3, SIDE, 8)), "expected a chunk"),
    "channels last": (on_the_second(lambda: torch.ones(1, 1, SIDE, SIDE, 3)), "expected a chunk"),
    "nothing": (lambda context: iter(()), "too few frames: 0"),
    "no iterator": (lambda context: None, "raised TypeError"),
}
FAILS_ON_ALL = ("nothing", "no iterator")
"""Models that fail on every video, so that there is no result."""


class Model:
    """The model called `way`."""

    frame_shape, max_context = (3, SIDE, SIDE), 4

    def __init__(self, way: str) -> None:
        self.name = way
        self._rollout = {"honest": honest, **HARMLESS, **{key: way for key, (way, _) in FAILING.items()}}[way]

    def rollout(self, context: Tensor, actions: Tensor, *, seeds: list[int]) -> Any:
        return self._rollout(context)


@contextmanager
def restore_process() -> Iterator[None]:
    """Undo at the end what a model changes in this process."""
    folder, errors, handler = Path.cwd(), np.geterr(), signal.getsignal(signal.SIGINT)
    with warnings.catch_warnings():
        try:
            yield
        finally:
            os.chdir(folder)
            np.seterr(**errors)
            signal.signal(signal.SIGINT, handler)
            torch.set_default_dtype(torch.float32)


def score(way: str, data: Path, out: Path) -> tuple[int, dict[str, float], dict[str, str]]:
    """Score one model: the exit code, the PSNR of every scored video and why the others failed."""
    flags = ["--data", str(data), "--out", str(out), "--protocol", "loopcraft-mini", "--metrics", "psnr"]
    flags.append("--no-isolate")
    arguments = f'{{"way": "{way}"}}'
    with restore_process():
        code = run.main([*flags, "--model", f"{Model.__module__}:Model", "--model-args", arguments])
    if not (out / "result.json").exists():
        return code, {}, {}
    result = read_result(out / "result.json")
    videos = result.metrics["psnr"].videos
    assert videos is not None
    return code, dict(zip(result.data.keys, videos["long"], strict=True)), dict(result.failed)


def is_right(way: str, data: Path, out: Path, expected: dict[str, float]) -> bool:
    """Whether a model scores like the honest one, or fails on its own videos only, for the right reason."""
    code, scores, failed = score(way, data, out)
    if way in HARMLESS:
        return (code, scores, failed) == (0, expected, {})
    if way in FAILS_ON_ALL:
        return (code, scores) == (2, {})
    first, second = expected
    return (code, scores) == (1, {first: expected[first]}) and FAILING[way][1] in failed[second]


def try_all(folder: Path) -> dict[str, bool]:
    """Whether each model is scored as it should be."""
    data = write_dataset(folder / "data", num_videos=2)
    _, expected, _ = score("honest", data, folder / "honest")
    ways = (*HARMLESS, *FAILING)
    return {way: is_right(way, data, folder / str(number), expected) for number, way in enumerate(ways)}


def main() -> int:
    """Try all models; return 1 if one is not scored as it should be."""
    with (
        tempfile.TemporaryDirectory(prefix="drill-") as name,
        (Path(name) / "log").open("w") as log,
        redirect_stdout(log),
        redirect_stderr(log),
    ):
        right = try_all(Path(name))
    for kind, ways in (("harmless", HARMLESS), ("failing", FAILING)):
        print(f"{len(ways)} {kind} models: {sum(right[way] for way in ways)} scored as they should be")
    for way in (way for way, is_good in right.items() if not is_good):
        print(f"wrong: {way}", file=sys.stderr)
    return 0 if all(right.values()) else 1


if __name__ == "__main__":
    raise SystemExit(main())
