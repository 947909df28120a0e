"""The separate process of an isolated model, and the messages between it and the benchmark.

The benchmark sends what to load, as JSON (LOAD), then requests rollouts one at a time (ROLLOUT: the body of
POST /rollout in http_protocol.py). The process answers LOAD with the model's description (CARD) and each
ROLLOUT with FRAMES, uint8 (B, n, 3, H, W), and an END; or either with a FAILURE.
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
from benchmark.sources.loading import factory_module, load_model, module_sha256
from benchmark.sources.machine import MachineError, PoisonedError, classify_failure, model_traceback
from benchmark.sources.machine import describe as describe_error
from loopcraft.companions.messages import Port
from loopcraft.core.children import end_with_input
from loopcraft.core.decoding import decode
from loopcraft.core.errors import UserCodeError, UserError

LOAD, ROLLOUT = b"L", b"R"
CARD, FRAMES, END, FAILURE = b"C", b"F", b"E", b"X"
LARGEST_REQUEST = 1 << 40


@dataclass(frozen=True, kw_only=True)
class LoadRequest:
    """The content of LOAD: the arguments of `load_model`, and where and how the model computes."""

    spec: str
    arguments: Mapping[str, Any]
    world: str | None
    device: str
    precision: Precision
    num_threads: int
    """Torch's number of threads, on which the last bits of its sums depend."""


@dataclass(frozen=True, kw_only=True)
class Description:
    """The content of CARD; `card` is None for a source that generates no frames."""

    card: ModelCard | None
    notes: tuple[str, ...]
    code_sha256: str | None = None
    """From `module_sha256`."""


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
    """The content of FAILURE: whose fault it is ("device": the model broke its state) and the traceback."""

    kind: Fault
    message: str
    details: str

    @classmethod
    def of(cls, error: BaseException) -> "Failure":
        """Classify an exception."""
        details = (
            error.details if isinstance(error, UserCodeError) else model_traceback(error.__cause__ or error)
        )
        for kind, error_type in _FAULTS.items():
            if isinstance(error, error_type):
                return cls(kind=kind, message=str(error), details=details)
        return cls(kind="unknown", message=describe_error(error), details=details)

    def as_error(self) -> UserError:
        """Return the error for the benchmark to raise; a broken device affects the model's process only."""
        if self.kind == "code":
            return UserCodeError(self.message, self.details)
        return ContractError(self.message) if self.kind == "device" else _FAULTS[self.kind](self.message)


def serve(descriptor: int) -> None:
    """Load the requested model and roll it out until the benchmark closes the connection."""
    end_with_input()
    _spare_the_benchmark()
    port = Port(descriptor)
    try:
        _, request = port.receive(LARGEST_REQUEST)
        _serve(decode(LoadRequest, json.loads(request)), port)
    except (EOFError, ConnectionError):  # the benchmark has finished or died
        return


def _serve(request: LoadRequest, port: Port) -> None:
    torch.set_num_threads(request.num_threads)
    try:
        compute = Compute(device=torch.device(request.device), precision=request.precision)
        model = load_model(request.spec, request.arguments, request.world)
        card = describe(model, compute) if isinstance(model, RolloutModel) else None
        code = module_sha256(factory_module(request.spec))
        description = _as_json(Description(card=card, notes=_notes(model), code_sha256=code))
    except BaseException as error:  # whatever a factory raises
        port.send(FAILURE, _as_json(Failure.of(error)))
        return
    port.send(CARD, description)
    while card is not None:
        _, body = port.receive(LARGEST_REQUEST)
        assert isinstance(model, RolloutModel)
        try:
            _roll_out(model, bytes(body), card, compute, port)
        except (ConnectionError, EOFError):
            raise
        except UserError as error:
            port.send(FAILURE, _as_json(Failure.of(error)))
        except BaseException as error:  # KeyboardInterrupt too: only the model can have raised it
            failure = classify_failure(model.name, error)
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
    """If memory runs out, let Linux kill this process rather than the benchmark."""
    with suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("800")
