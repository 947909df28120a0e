"""What the process does that a model has of its own, and the messages between it and the benchmark.

The benchmark says, as JSON, what is to be loaded (LOAD), and then asks for rollouts, one after the other
(ROLLOUT: the body of POST /rollout in http_protocol.py). The process answers the first with the model's
description (CARD), the others with their FRAMES, uint8 (B, n, 3, H, W), and an END; or either with a FAILURE.
"""

import json
from collections.abc import Mapping
from contextlib import closing, suppress
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal

import torch

from benchmark.contract.compute import Compute
from benchmark.contract.model import ContractError, FrameSource, RolloutModel, start_rollout
from benchmark.contract.precision import Precision
from benchmark.sources.chunks import check_chunks, guard_rollout
from benchmark.sources.http_protocol import ModelCard, decode_request, describe
from benchmark.sources.loading import code_of, load_model, module_of
from benchmark.sources.machine import MachineError, PoisonedError, failure_of, own_traceback
from benchmark.sources.machine import describe as error_in_words
from loopcraft.companions.messages import Port
from loopcraft.core.children import end_with_input
from loopcraft.core.decoding import decode
from loopcraft.core.errors import UserCodeError, UserError

LOAD, ROLLOUT = b"L", b"R"
CARD, FRAMES, END, FAILURE = b"C", b"F", b"E", b"X"
LARGEST_REQUEST = 1 << 40


@dataclass(frozen=True, kw_only=True)
class Order:
    """The content of LOAD: as `load_model` takes it, and where the model computes."""

    spec: str
    arguments: Mapping[str, Any]
    world: str | None
    device: str
    precision: Precision
    num_threads: int
    """Of torch: the last bits of its sums depend on them."""


@dataclass(frozen=True, kw_only=True)
class Description:
    """The content of CARD; `card` is None of a source that rolls nothing out."""

    card: ModelCard | None
    notes: tuple[str, ...]
    code_sha256: str | None = None
    """As `code_of` tells."""


Fault = Literal["device", "model", "machine", "code", "user", "unknown"]
_FAULTS: Mapping[Fault, type[UserError]] = {
    "device": PoisonedError,
    "model": ContractError,
    "machine": MachineError,
    "code": UserCodeError,
    "user": UserError,
}
"""Subclasses first."""


@dataclass(frozen=True, kw_only=True)
class Failure:
    """The content of FAILURE: whose fault it is ("device": the model broke its state), and the traceback."""

    kind: Fault
    message: str
    details: str

    @classmethod
    def of(cls, error: BaseException) -> "Failure":
        """What is told of an exception."""
        details = (
            error.details if isinstance(error, UserCodeError) else own_traceback(error.__cause__ or error)
        )
        for kind, type_of_error in _FAULTS.items():
            if isinstance(error, type_of_error):
                return cls(kind=kind, message=str(error), details=details)
        return cls(kind="unknown", message=error_in_words(error), details=details)

    def as_error(self) -> UserError:
        """What the benchmark raises for it; a broken device is that process's alone."""
        if self.kind == "code":
            return UserCodeError(self.message, self.details)
        return ContractError(self.message) if self.kind == "device" else _FAULTS[self.kind](self.message)


def serve(descriptor: int) -> None:
    """Load what is ordered through the connection, and roll out until its other end is closed."""
    end_with_input()
    _spare_the_benchmark()
    port = Port(descriptor)
    try:
        _, order = port.receive(LARGEST_REQUEST)
        _serve(decode(Order, json.loads(order)), port)
    except (EOFError, ConnectionError):  # the benchmark is done, or gone
        return


def _serve(order: Order, port: Port) -> None:
    torch.set_num_threads(order.num_threads)
    try:
        compute = Compute(device=torch.device(order.device), precision=order.precision)
        model = load_model(order.spec, order.arguments, order.world)
        card = describe(model, compute) if isinstance(model, RolloutModel) else None
        code = code_of(module_of(order.spec))
        said = _as_json(Description(card=card, notes=_notes(model), code_sha256=code))
    except BaseException as error:  # whatever a factory raises
        port.send(FAILURE, _as_json(Failure.of(error)))
        return
    port.send(CARD, said)
    while card is not None:
        _, body = port.receive(LARGEST_REQUEST)
        assert isinstance(model, RolloutModel)
        try:
            _roll_out(model, bytes(body), card, compute, port)
        except (ConnectionError, EOFError):
            raise
        except UserError as error:
            port.send(FAILURE, _as_json(Failure.of(error)))
        except BaseException as error:  # KeyboardInterrupt too: nobody but the model raised it
            failure = failure_of(model.name, error)
            failure.__cause__ = error
            port.send(FAILURE, _as_json(Failure.of(failure)))


def _roll_out(model: RolloutModel, body: bytes, card: ModelCard, compute: Compute, port: Port) -> None:
    request = decode_request(body, card)
    start = partial(start_rollout, model, request.to(compute.device), request.seeds)
    with closing(guard_rollout(model.name, start, compute)) as chunks:
        for chunk in check_chunks(chunks, request.horizon_shape):
            port.send(FRAMES, chunk.cpu().contiguous().numpy().data.cast("B"))
    port.send(END, _as_json(_notes(model)))


def _notes(model: FrameSource) -> tuple[str, ...]:
    return tuple(map(str, getattr(model, "notes", ())))


def _as_json(content: Any) -> bytes:
    return json.dumps(content if isinstance(content, tuple) else asdict(content)).encode()


def _spare_the_benchmark() -> None:
    """Where memory runs out, have Linux's kernel end this process and not the one that waits for it."""
    with suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("800")
