"""One process or many: what torchrun says, torch's own process group, and a request to stop that all heed."""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType

import torch
from torch import Tensor, distributed

from loopcraft.core.device import find_device


@dataclass(frozen=True, kw_only=True)
class Processes:
    """This process among all that train together."""

    rank: int
    count: int
    device: torch.device

    def average(self, value: Tensor) -> Tensor:
        """The mean of `value` over all processes."""
        if self.count > 1:
            distributed.all_reduce(value)
            value /= self.count
        return value

    def any(self, flag: bool) -> bool:
        """Whether some process says yes; all processes get the same answer."""
        if self.count == 1:
            return flag
        return bool(self.average(torch.tensor(float(flag), device=self.device)) > 0)


@contextmanager
def join_processes(device: str) -> Iterator[Processes]:
    """Join the group that torchrun describes in the environment; alone without it.

    "auto" is CUDA where there is one; each process of a machine takes the GPU of its local rank.
    """
    rank, count, local = (int(os.environ.get(name, default)) for name, default in TORCHRUN)
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    place = find_device(device)
    if device == "cuda":
        place = torch.device(device, local)
    if place.type == "cuda":
        torch.cuda.set_device(place)
    if count == 1:
        yield Processes(rank=0, count=1, device=place)
        return
    distributed.init_process_group("nccl" if place.type == "cuda" else "gloo")
    try:
        yield Processes(rank=rank, count=count, device=place)
        distributed.barrier()  # who leaves first takes its peers' connections away while they still save
    finally:
        distributed.destroy_process_group()


TORCHRUN = (("RANK", "0"), ("WORLD_SIZE", "1"), ("LOCAL_RANK", "0"))
"""The variables that torchrun sets, and what holds without it."""


class StopRequest:
    """Whether SIGTERM, SIGINT (Ctrl-C) or SIGHUP (a closed terminal) has come, within the block.

    The handlers of before are put back. A signal that was ignored before, as by nohup, stays ignored.
    """

    def __init__(self) -> None:
        self.requested = False

    def __call__(self) -> bool:
        """Whether to stop."""
        return self.requested

    def __enter__(self) -> "StopRequest":
        heeded = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
        self._previous = {
            number: signal.signal(number, self._note)
            for number in heeded
            if signal.getsignal(number) is not signal.SIG_IGN
        }
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)

    def _note(self, _number: int, _frame: FrameType | None) -> None:
        self.requested = True
