"""Models for tests of isolated processes: each yields what `Honest` yields, or does what its name says."""

import ctypes
import gc
import os
import random
import signal
import sys
import threading
import warnings
from collections.abc import Callable, Iterator, Sequence
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

import benchmark.harness.rollout
import loopcraft.core.seeding
from benchmark.contract.protocol import LOOPCRAFT_MINI
from tests.fakes.benchmark_data import make_frames


class Honest:
    """Shifts the last frame by a pixel per frame, with noise from the video's seed, in chunks of 5 frames."""

    name, frame_shape, max_context = "honest", None, 8
    checkpoint_sha256, notes = "5" * 64, ("a note",)

    def rollout(self, context: Tensor, actions: Tensor, *, seeds: Sequence[int]) -> Iterator[Tensor]:
        """Yield floating-point frames."""
        horizon = actions.shape[1] - context.shape[1]
        noise = [torch.Generator().manual_seed(seed) for seed in seeds]
        for start in range(0, horizon, 5):
            count = min(5, horizon - start)
            moved = torch.stack([context[:, -1].roll(start + t, dims=-1) for t in range(count)], dim=1)
            size = (count, *context.shape[2:])
            drawn = [torch.rand(size, generator=rng, dtype=torch.float32) for rng in noise]
            self.before_chunk(context, start)
            yield 0.9 * moved.float() / 255 + 0.1 * torch.stack(drawn)

    def before_chunk(self, context: Tensor, start: int) -> None:
        """A hook for subclasses."""


class Counting(Honest):
    """Has state on purpose: the n-th rollout since loading is n levels darker."""

    name = "counting"
    rollouts = 0

    def rollout(self, context: Tensor, actions: Tensor, *, seeds: Sequence[int]) -> Iterator[Tensor]:
        """Yield frames that show the number of rollouts so far."""
        self.rollouts += 1
        for chunk in super().rollout(context, actions, seeds=seeds):
            yield (chunk - self.rollouts / 255).clamp(0, 1)


class Posed(Honest):
    """Asks for poses and shows them in its frames; declares that it computes in bfloat16."""

    name, conditioning = "posed", ("actions", "poses")
    buffer: ClassVar[Any] = None

    def precision_on(self, device: torch.device) -> str:
        return "bfloat16"

    def rollout(self, context, actions, *, seeds, poses) -> Iterator[Tensor]:
        """Yield the same buffer, refilled each time."""
        buffer = torch.empty(len(context), 1, *context.shape[2:], dtype=torch.uint8)
        for t in range(context.shape[1], actions.shape[1]):
            buffer[:] = (poses[:, t].abs().sum(dim=1) * 10).to(torch.uint8).reshape(-1, 1, 1, 1, 1)
            buffer[..., 0] = actions[:, t].reshape(-1, 1, 1, 1)
            yield buffer
        buffer[:] = 0


def spoil_the_process() -> None:
    """Change the state that all code in a process shares."""
    os.chdir("/")
    os.environ["OMP_NUM_THREADS"] = os.environ["LANG"] = "7"
    random.seed(0)
    np.random.seed(0)  # noqa: NPY002
    torch.manual_seed(0)
    torch.set_default_dtype(torch.float64)
    torch.set_num_threads(3)
    torch.set_grad_enabled(False)
    torch.use_deterministic_algorithms(True)
    np.seterr(all="raise")
    np.set_printoptions(precision=1)
    warnings.simplefilter("error")
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    threading.Thread(target=threading.Event().wait, daemon=True).start()
    sys.setrecursionlimit(5000)
    gc.disable()
    os.umask(0o777)
    os.nice(1)
    loopcraft.core.seeding.integer_seed = lambda *_: 0
    benchmark.harness.rollout.to_array = lambda chunk: chunk.permute(0, 1, 3, 4, 2).numpy() // 2


class Spoiling(Honest):
    """Changes its process's shared state, when created and before every chunk."""

    name = "honest"

    def __init__(self) -> None:
        spoil_the_process()

    def before_chunk(self, context: Tensor, start: int) -> None:
        spoil_the_process()


def fill_memory() -> None:
    """Allocate 50 MB at a time."""
    blocks = []
    while True:
        blocks.append(torch.ones(50_000_000, dtype=torch.uint8))


def print_without_end() -> None:
    """Print the same line forever."""
    while True:
        print("x" * 10_000)


def throw(error: BaseException) -> None:
    """Raise an error in an expression."""
    raise error


WAYS: tuple[tuple[str, Callable[[], Any], str], ...] = (
    ("nothing", lambda: None, ""),
    ("segfault", lambda: ctypes.string_at(0), "odd crashed its process (Segmentation fault)"),
    ("error", lambda: 1 // 0, "odd raised ZeroDivisionError: integer division or modulo by zero"),
    ("exit", lambda: sys.exit(3), "odd: sys.exit(3) was called: raise an exception instead"),
    ("native exit", lambda: ctypes.CDLL(None)._exit(3), "odd ended its process (exit code 3)"),
    ("ctrl-c", lambda: throw(KeyboardInterrupt()), "odd raised KeyboardInterrupt:"),
    ("hang", lambda: ctypes.PyDLL(None).pause(), "odd took longer than 5 s"),
    ("print", print_without_end, "odd printed more than 64 MiB"),
    ("memory", fill_memory, "odd took more than 1.5 GB of memory"),
    (
        "kill",
        lambda: os.kill(os.getpid(), signal.SIGKILL),
        "odd: its process was killed, as the system does when memory runs out",
    ),
    ("nothing again", lambda: None, ""),
)
"""What `Odd` does on the video of each index, and what is reported."""


class Odd(Honest):
    """Misbehaves in the middle of each video, in a different way; frames before and after are honest."""

    name = "odd"

    def before_chunk(self, context: Tensor, start: int) -> None:
        """Identify the video and act."""
        if start != 50:
            return
        for video, (_, act, _) in enumerate(WAYS):
            last = torch.from_numpy(make_frames(video)[LOOPCRAFT_MINI.context - 1]).permute(2, 0, 1)
            if any(torch.equal(one[-1], last) for one in context):
                act()


class Hanging(Honest):
    """Holds the interpreter lock forever, and prints so first."""

    name = "hanging"

    def before_chunk(self, context: Tensor, start: int) -> None:
        print("it hangs", flush=True)
        ctypes.PyDLL(None).pause()


class LooksUp:
    """Not a rollout model."""

    name, frame_shape = "looks-up", None

    def play(self, episodes, protocol, keys) -> Iterator[Tensor]:
        """Yield grey frames."""
        shape = (len(keys), protocol.horizon, 3, *episodes.frames(keys[0], 0, 1).shape[1:3])
        yield torch.full(shape, 100, dtype=torch.uint8)


def crash_when_made() -> None:
    """Crash instead of returning a model."""
    ctypes.string_at(0)


def raise_when_made() -> None:
    """Raise instead of returning a model."""
    raise RuntimeError("the weights are\nnot here")
