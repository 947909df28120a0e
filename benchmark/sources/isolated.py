"""A model in a separate process, where what it does to that process affects neither scores nor benchmark.

The model is loaded once, and again in a fresh process after the old one has ended: by a crash, an exit, or
too much time, memory or output. The model has then failed the rollout.
"""

import json
import sys
from collections.abc import Generator, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Float32, Int64, UInt8
from torch import Tensor

from benchmark.contract.compute import Compute
from benchmark.contract.model import ContractError
from benchmark.sources import model_process as process
from benchmark.sources.http_protocol import RemoteModel, RolloutRequest, encode_request
from benchmark.sources.machine import MachineError, RemoteTracebackError
from benchmark.sources.model_process import Description, Failure, LoadRequest
from loopcraft.companions.companion import Companion, CompanionEndedError, Limits
from loopcraft.core.decoding import decode
from loopcraft.core.errors import UserCodeError, UserError

MOST_OUTPUT = 64 << 20
"""Maximum bytes that a model may print while it is loaded, or during a rollout."""
SHOWN = 1 << 14
"""Characters of that output to pass on to the terminal."""
_LARGEST_TEXT = 1 << 24


@dataclass(frozen=True, kw_only=True)
class Bounds:
    """Limits for a model in a separate process; None means no limit."""

    timeout_s: float | None = None
    """Seconds per chunk; loading does not count."""
    memory_gb: float | None = None
    """10^9 bytes of its process's memory; a GPU's and that of its child processes do not count."""


class NoRolloutError(UserError):
    """Raised if the loaded source looks frames up in the data set: it must run in the benchmark's process."""


class IsolatedModel(RemoteModel):
    """A `RolloutModel` that `load_model` loads in a separate process, which also does its rollouts."""

    def __init__(
        self,
        spec: str,
        arguments: Mapping[str, Any],
        *,
        world: str | None,
        compute: Compute,
        bounds: Bounds | None = None,
    ) -> None:
        """Load the model; raises `UserError` if that fails (`NoRolloutError` if it generates no frames)."""
        bounds = bounds or Bounds()
        memory = None if bounds.memory_gb is None else int(bounds.memory_gb * 1e9)
        self._limits = Limits(memory_bytes=memory, output_bytes=MOST_OUTPUT)
        self._timeout_s = bounds.timeout_s
        self._request = LoadRequest(
            spec=spec,
            arguments=arguments,
            world=world,
            device=str(compute.device),
            precision=compute.precision,
            num_threads=torch.get_num_threads(),
        )
        self._terminal = _Terminal()
        self._companion: Companion | None
        self._companion, description = self._start()
        if description.card is None:
            self.close()
            raise NoRolloutError(
                f"{spec} looks frames up and generates none: it cannot run in a separate process"
            )
        super().__init__(description.card)
        self.notes = description.notes
        self.code_sha256 = description.code_sha256

    def rollout(
        self,
        context: UInt8[Tensor, "B C 3 H W"],
        actions: Int64[Tensor, "B C+horizon"],
        *,
        seeds: Sequence[int],
        poses: Float32[Tensor, "B C+horizon 5"] | None = None,
    ) -> Iterator[UInt8[Tensor, "B n 3 H W"]]:
        """Yield the model's chunks.

        Raises `ContractError` if the model fails or its process ends, `MachineError` if the machine fails.
        """
        request = RolloutRequest(context=context, actions=actions, poses=poses, seeds=seeds)
        if self._companion is None:
            self._companion, _ = self._start()
        companion, is_reusable = self._companion, False
        try:
            self._terminal.reset()
            companion.listen()
            companion.send(process.ROLLOUT, encode_request(request), self._timeout_s)
            failure = yield from self._chunks(companion, request.horizon_shape)
            is_reusable = failure is None or failure.kind == "model"
        except CompanionEndedError as error:
            raise self._failure(error) from RemoteTracebackError(f"{error.said}{error.report}")
        finally:
            if not is_reusable:  # in the middle of a rollout, with a broken device, or out of memory
                self.close(in_order=False)
        if failure is not None:
            raise failure.as_error() from RemoteTracebackError(failure.details)

    def _chunks(
        self, companion: Companion, shape: tuple[int, ...]
    ) -> Generator[UInt8[Tensor, "B n 3 H W"], None, Failure | None]:
        """Yield frames as they arrive; return None once the horizon is full, or the model's failure."""
        batch, left, *frame = shape
        frame_bytes = batch * int(np.prod(frame))
        while True:
            kind, content = companion.receive(max(left * frame_bytes, _LARGEST_TEXT), self._timeout_s)
            if kind == process.END:
                self.notes = tuple(json.loads(content))
                return None
            if kind == process.FAILURE:
                return decode(Failure, json.loads(content))
            count, rest = divmod(len(content), frame_bytes)
            if kind != process.FRAMES or rest or not 1 <= count <= left:
                raise ValueError(f"unexpected {kind!r} of {len(content)} bytes from the model's process")
            left -= count
            yield torch.frombuffer(content, dtype=torch.uint8).reshape(batch, count, *frame)

    def _start(self) -> tuple[Companion, Description]:
        """Start a process that loads the model."""
        self._terminal.reset()
        companion = Companion(process.__name__, process.serve.__name__, self._limits, self._terminal.show)
        try:
            companion.send(process.LOAD, json.dumps(asdict(self._request)).encode())
            kind, content = companion.receive(_LARGEST_TEXT)
            if kind == process.CARD:
                return companion, decode(Description, json.loads(content))
            failure = decode(Failure, json.loads(content))
        except CompanionEndedError as error:
            message = f"{self._request.spec}: could not be loaded: it {error}"
            raise UserCodeError(message, error.report) from error
        except ValueError as error:
            companion.end()
            raise UserError(f"{self._request.spec}: its process sent an invalid message ({error})") from error
        except BaseException:
            companion.end()
            raise
        companion.end()
        cause = RemoteTracebackError(failure.details)
        if failure.kind == "unknown":
            message = f"{self._request.spec}: could not be loaded: it raised {failure.message}"
            raise UserCodeError(message, failure.details) from cause
        raise failure.as_error() from cause

    def _failure(self, error: CompanionEndedError) -> UserError:
        if error.was_killed:
            return MachineError(
                f"{self.name}: its process was killed, as the system does when memory runs out"
            )
        return ContractError(f"{self.name} {error}")

    def close(self, *, in_order: bool = True) -> None:
        """End the process; the next rollout starts a new one."""
        companion, self._companion = self._companion, None
        if companion is not None:
            companion.end(in_order=in_order)


class _Terminal:
    """Standard error with a limit of `SHOWN` characters between resets."""

    def __init__(self) -> None:
        self._left = 0

    def reset(self) -> None:
        self._left = SHOWN

    def show(self, text: str) -> None:
        """Print as much of the text as the limit allows, unless standard error is closed."""
        if self._left <= 0 or not text or sys.stderr is None:
            return
        shown = text[: self._left]
        self._left -= len(shown)
        note = "" if self._left else "\n(further output is not shown)\n"
        try:
            sys.stderr.write(f"{shown}{note}")
            sys.stderr.flush()
        except (OSError, ValueError):  # standard error is closed
            self._left = 0
