"""A model in a process of its own: what it does to its process reaches no score, and not the benchmark.

The model is loaded once, and again in a fresh process where the old one has ended: by a crash or an exit, or
because it took too long, too much memory, or printed too much. That is the model's failure of the rollout.
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
from benchmark.sources.http_protocol import ModelElsewhere, RolloutRequest, encode_request
from benchmark.sources.machine import LastWordsError, MachineError
from benchmark.sources.model_process import Description, Failure, Order
from loopcraft.companions.companion import Companion, CompanionEndedError, Limits
from loopcraft.core.decoding import decode
from loopcraft.core.errors import UserCodeError, UserError

MOST_OUTPUT = 64 << 20
"""Bytes that a model may print while it is loaded, or during a rollout."""
SHOWN = 1 << 14
"""Characters of these that are passed on to the terminal."""
_LARGEST_TEXT = 1 << 24


@dataclass(frozen=True, kw_only=True)
class Bounds:
    """What a model in a process of its own may take; None: anything."""

    timeout_s: float | None = None
    """Seconds for a chunk; loading does not count."""
    memory_gb: float | None = None
    """10^9 bytes of memory of its process, without a GPU's and without that of processes it starts itself."""


class NoRolloutError(UserError):
    """What was loaded looks its frames up in the data set, and has to be in the benchmark's process."""


class IsolatedModel(ModelElsewhere):
    """A `RolloutModel` that `load_model` finds so, loaded and asked in a process of its own."""

    def __init__(
        self,
        spec: str,
        arguments: Mapping[str, Any],
        *,
        world: str | None,
        compute: Compute,
        bounds: Bounds | None = None,
    ) -> None:
        """Load the model; raises `UserError` where that fails (`NoRolloutError`: it rolls nothing out)."""
        bounds = bounds or Bounds()
        memory = None if bounds.memory_gb is None else int(bounds.memory_gb * 1e9)
        self._limits = Limits(memory_bytes=memory, output_bytes=MOST_OUTPUT)
        self._timeout_s = bounds.timeout_s
        self._order = Order(
            spec=spec,
            arguments=arguments,
            world=world,
            device=str(compute.device),
            precision=compute.precision,
            num_threads=torch.get_num_threads(),
        )
        self._terminal = _Terminal()
        self._companion: Companion | None
        self._companion, described = self._start()
        card = described.card
        if card is None:
            self.close()
            raise NoRolloutError(
                f"{spec} looks frames up and rolls nothing out: it cannot have a process of its own"
            )
        super().__init__(card)
        self.notes = described.notes
        self.code_sha256 = described.code_sha256

    def rollout(
        self,
        context: UInt8[Tensor, "B C 3 H W"],
        actions: Int64[Tensor, "B C+horizon"],
        *,
        seeds: Sequence[int],
        poses: Float32[Tensor, "B C+horizon 5"] | None = None,
    ) -> Iterator[UInt8[Tensor, "B n 3 H W"]]:
        """Pass on what the model yields, chunk by chunk.

        Raises `ContractError` for its failures and the end of its process, `MachineError` for the machine's.
        """
        request = RolloutRequest(context=context, actions=actions, poses=poses, seeds=seeds)
        if self._companion is None:
            self._companion, _ = self._start()
        companion, is_well = self._companion, False
        try:
            self._terminal.reset()
            companion.listen()
            companion.send(process.ROLLOUT, encode_request(request), self._timeout_s)
            failure = yield from self._chunks(companion, request.horizon_shape)
            is_well = failure is None or failure.kind == "model"
        except CompanionEndedError as error:
            raise self._failure(error) from LastWordsError(f"{error.said}{error.report}")
        finally:
            if not is_well:  # in the middle of a rollout, with a broken device, without memory
                self.close(in_order=False)
        if failure is not None:
            raise failure.as_error() from LastWordsError(failure.details)

    def _chunks(
        self, companion: Companion, shape: tuple[int, ...]
    ) -> Generator[UInt8[Tensor, "B n 3 H W"], None, Failure | None]:
        """The frames that come, until the horizon is full or the model has failed."""
        batch, left, *frame = shape
        of_a_frame = batch * int(np.prod(frame))
        while True:
            kind, content = companion.receive(max(left * of_a_frame, _LARGEST_TEXT), self._timeout_s)
            if kind == process.END:
                self.notes = tuple(json.loads(content))
                return None
            if kind == process.FAILURE:
                return decode(Failure, json.loads(content))
            count, rest = divmod(len(content), of_a_frame)
            if kind != process.FRAMES or rest or not 1 <= count <= left:
                raise ValueError(f"{kind!r} and {len(content)} bytes came from the model's process")
            left -= count
            yield torch.frombuffer(content, dtype=torch.uint8).reshape(batch, count, *frame)

    def _start(self) -> tuple[Companion, Description]:
        """Start a process and have it load the model."""
        self._terminal.reset()
        companion = Companion(process.__name__, process.serve.__name__, self._limits, self._terminal.show)
        try:
            companion.send(process.LOAD, json.dumps(asdict(self._order)).encode())
            kind, content = companion.receive(_LARGEST_TEXT)
            if kind == process.CARD:
                return companion, decode(Description, json.loads(content))
            failure = decode(Failure, json.loads(content))
        except CompanionEndedError as error:
            said = f"{self._order.spec}: could not be loaded: it {error}"
            raise UserCodeError(said, error.report) from error
        except ValueError as error:
            companion.end()
            raise UserError(f"{self._order.spec}: something else came from its process ({error})") from error
        except BaseException:
            companion.end()
            raise
        companion.end()
        if failure.kind == "unknown":
            said = f"{self._order.spec}: could not be loaded: it raised {failure.message}"
            raise UserCodeError(said, failure.details) from LastWordsError(failure.details)
        raise failure.as_error() from LastWordsError(failure.details)

    def _failure(self, error: CompanionEndedError) -> UserError:
        if error.was_killed:
            return MachineError(
                f"{self.name}: its process was killed: where memory is short, the system does so"
            )
        return ContractError(f"{self.name} {error}")

    def close(self, *, in_order: bool = True) -> None:
        """End the process; the next rollout starts another one."""
        companion, self._companion = self._companion, None
        if companion is not None:
            companion.end(in_order=in_order)


class _Terminal:
    """Standard error, as far as a model may fill it."""

    def __init__(self) -> None:
        self._left = 0

    def reset(self) -> None:
        """Let it say so much again."""
        self._left = SHOWN

    def show(self, text: str) -> None:
        """Print it, if it is not too much and somebody reads it."""
        if self._left <= 0 or not text or sys.stderr is None:
            return
        shown = text[: self._left]
        self._left -= len(shown)
        more = "" if self._left else "\n(it prints more, which is not shown)\n"
        try:
            sys.stderr.write(f"{shown}{more}")
            sys.stderr.flush()
        except (OSError, ValueError):  # nobody reads
            self._left = 0
