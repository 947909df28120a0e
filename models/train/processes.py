"""Distributed training: torchrun's environment, the process group, and requests to stop."""

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
    """This process and the number of processes that train together."""

    rank: int
    count: int
    device: torch.device

    def average(self, value: Tensor) -> Tensor:
        """Return the mean of `value` over all processes."""
        if self.count > 1:
            distributed.all_reduce(value)
            value /= self.count
        return value

    def any(self, flag: bool) -> bool:
        """Return, in all processes, whether `flag` is true in at least one."""
        if self.count == 1:
            return flag
        return bool(self.average(torch.tensor(float(flag), device=self.device)) > 0)


@contextmanager
def join_processes(device: str) -> Iterator[Processes]:
    """Join the process group that torchrun's environment variables describe; without them, run alone.

    "auto" is CUDA if available; each process on a machine uses the GPU of its local rank.
    """
    rank, count, local = (int(os.environ.get(name, default)) for name, default in TORCHRUN)
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    target = find_device(device)
    if device == "cuda":
        target = torch.device(device, local)
    if target.type == "cuda":
        torch.cuda.set_device(target)
    if count == 1:
        yield Processes(rank=0, count=1, device=target)
        return
    distributed.init_process_group("nccl" if target.type == "cuda" else "gloo")
    try:
        yield Processes(rank=rank, count=count, device=target)
        distributed.barrier()  # a process that leaves early would cut off peers that are still saving
    finally:
        distributed.destroy_process_group()


TORCHRUN = (("RANK", "0"), ("WORLD_SIZE", "1"), ("LOCAL_RANK", "0"))
"""Environment variables set by torchrun, and their values without it."""


class StopRequest:
    """Context manager that notes SIGTERM, SIGINT (Ctrl-C) and SIGHUP (a closed terminal) within its block.

    Previous handlers are restored at the end. A signal that was ignored before, as by nohup, stays ignored.
    """

    def __init__(self) -> None:
        self.requested = False

    def __call__(self) -> bool:
        """Return whether a stop was requested."""
        return self.requested

    def __enter__(self) -> "StopRequest":
        self._previous = {
            number: signal.signal(number, self._note)
            for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
            if signal.getsignal(number) is not signal.SIG_IGN
        }
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)

    def _note(self, _number: int, _frame: FrameType | None) -> None:
        self.requested = True
