"""The HTTP protocol between the benchmark and a model in another environment, independent of the language.

GET /model returns JSON: format "loopcraft-rollout-1", name, frame_shape ([3, H, W] or null), max_context,
role ("model" or "bound"), checkpoint_sha256 (a string or null) and optionally precision ("float32",
"bfloat16", "float16" or null), which the model computes in on the server. A model that wants camera poses
adds conditioning (["actions", "poses"]; the default is ["actions"]).

POST /rollout takes a safetensors document (with a Content-Length) of three tensors: context uint8
(B, C, 3, H, W), actions int64 (B, C + horizon), whose first C belong to the context, and seeds int64 (B);
a model that wants poses gets a fourth: poses float32 (B, C + horizon, 5) of x, y, z, yaw and pitch.
The response is a stream of records, each one letter and a 32-bit little-endian unsigned integer n:
    F n   n more frames of every video follow, uint8 (B, n, 3, H, W)
    E 0   the horizon is full
    X n   the rollout failed; n bytes of UTF-8 say why
    M n   as X, but the machine failed, not the model: a retry may succeed
A request that cannot be served gets a 4xx status and JSON {"error": reason}.

Responses may carry an ETag that identifies the served model (its file and arguments). A run continues only
with a server that sends the same ETag.
"""

import dataclasses
import struct
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from jaxtyping import UInt8
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from benchmark.contract.compute import Compute
from benchmark.contract.conditioning import ACTIONS, POSES, Conditioning
from benchmark.contract.model import (
    ContractError,
    Inputs,
    Role,
    RolloutModel,
    checkpoint_of,
    conditioning_of,
    precision_of,
    role_of,
)
from benchmark.contract.precision import Precision
from benchmark.sources.machine import MachineError
from loopcraft.core.errors import UserError
from loopcraft.walks.actions import Action

_RECORD = struct.Struct("<cI")
_LONGEST_MESSAGE = 1 << 16


class RequestError(Exception):
    """Raised for a request that breaks the protocol; the message says how."""


class BrokenStreamError(Exception):
    """Raised for a stream that ends early or holds an invalid record."""


@dataclass(frozen=True, kw_only=True)
class ModelCard:
    """The response to GET /model."""

    format: Literal["loopcraft-rollout-1"]
    name: str
    frame_shape: tuple[int, int, int] | None
    max_context: int
    role: Role
    checkpoint_sha256: str | None
    precision: Precision | None = None
    """Which precision the model computes in on the server; None if the server does not say."""
    conditioning: Conditioning = ACTIONS

    def as_json(self) -> dict[str, Any]:
        """Return the response's content, without the default conditioning, which old clients do not know."""
        content = dataclasses.asdict(self)
        if self.conditioning == ACTIONS:
            del content["conditioning"]
        return content


class RemoteModel:
    """The members of a `RolloutModel` in another process or on another machine, from its card."""

    def __init__(self, card: ModelCard) -> None:
        self.name, self.frame_shape, self.max_context = card.name, card.frame_shape, card.max_context
        self.role, self.checkpoint_sha256 = card.role, card.checkpoint_sha256
        self.conditioning = card.conditioning
        self._precision = card.precision

    def precision_on(self, device: torch.device) -> Precision | None:
        """Return the precision that the model computes in remotely, regardless of the local device."""
        return self._precision


def describe(model: RolloutModel, compute: Compute) -> ModelCard:
    """Return the card of a model that runs with `compute`."""
    return ModelCard(
        format="loopcraft-rollout-1",
        name=model.name,
        frame_shape=_as_ints(model.frame_shape),
        max_context=int(model.max_context),
        role=role_of(model),
        checkpoint_sha256=checkpoint_of(model),
        precision=precision_of(model, compute),
        conditioning=conditioning_of(model),
    )


def _as_ints(shape: tuple[int, int, int] | None) -> tuple[int, int, int] | None:
    """Convert integers of any type to Python's, which JSON can encode."""
    if shape is None:
        return None
    channels, height, width = map(int, shape)
    return channels, height, width


@dataclass(frozen=True, kw_only=True)
class RolloutRequest(Inputs):
    """The content of POST /rollout."""

    seeds: Sequence[int]


def encode_request(request: RolloutRequest) -> bytes:
    """Return the body of POST /rollout."""
    seeds = torch.tensor(request.seeds, dtype=torch.int64)
    tensors = {"context": request.context, "actions": request.actions, "seeds": seeds}
    if request.poses is not None:
        tensors[POSES] = request.poses
    return save({name: tensor.contiguous().cpu() for name, tensor in tensors.items()})


def decode_request(body: bytes, card: ModelCard) -> RolloutRequest:
    """Decode a body; raises `RequestError` if it does not suit the model of `card`."""
    try:
        tensors = load(body)
    except (SafetensorError, KeyError) as error:
        raise RequestError(f"not a safetensors document: {error}") from error
    expected = ["context", "actions", *([POSES] if POSES in card.conditioning else []), "seeds"]
    if set(tensors) != set(expected):
        names = f"{', '.join(expected[:-1])} and {expected[-1]}"
        raise RequestError(f"expected the tensors {names}, got {sorted(tensors)}")
    inputs = Inputs(context=tensors["context"], actions=tensors["actions"], poses=tensors.get(POSES))
    if problem := _problem(inputs, tensors["seeds"], card):
        raise RequestError(problem)
    return RolloutRequest(**vars(inputs), seeds=tensors["seeds"].tolist())


def _problem(inputs: Inputs, seeds: Tensor, card: ModelCard) -> str | None:
    """Return what is wrong with a request's tensors, or None."""
    context, actions, poses = inputs.context, inputs.actions, inputs.poses
    if context.dtype != torch.uint8 or context.ndim != 5:
        return f"context must be uint8 (B, C, 3, H, W), got {_describe(context)}"
    batch, num_context, *frame = context.shape
    if not 1 <= num_context <= card.max_context or batch < 1:
        return (
            f"context holds {batch} x {num_context} frames, the model takes 1 to {card.max_context} a video"
        )
    allowed = list(card.frame_shape or (3, *frame[1:]))
    if frame != allowed:
        return f"frames have the shape {frame}, the model's have {allowed}"
    if actions.dtype != torch.int64 or actions.ndim != 2 or len(actions) != batch:
        return f"actions must be int64 ({batch}, C + horizon), got {_describe(actions)}"
    if actions.shape[1] <= num_context:
        return f"actions end with the context: {actions.shape[1]} for {num_context} frames"
    if not bool(((actions >= 0) & (actions < len(Action))).all()):
        return f"actions must be 0 to {len(Action) - 1}"
    if poses is not None and (poses.dtype != torch.float32 or poses.shape != (*actions.shape, 5)):
        return f"poses must be float32 {(*actions.shape, 5)}, got {_describe(poses)}"
    if seeds.dtype != torch.int64 or seeds.shape != (batch,):
        return f"seeds must be int64 ({batch},), got {_describe(seeds)}"
    return None


def _describe(tensor: Tensor) -> str:
    return f"{str(tensor.dtype).removeprefix('torch.')} {tuple(tensor.shape)}"


def write_records(chunks: Iterator[UInt8[Tensor, "B n 3 H W"]], write: Callable[[bytes], object]) -> None:
    """Write the chunks as they arrive, then the end record or a failure record."""
    try:
        for chunk in chunks:
            write(_RECORD.pack(b"F", chunk.shape[1]))
            write(chunk.contiguous().cpu().numpy().tobytes())
        write(_RECORD.pack(b"E", 0))
    except UserError as error:
        message = str(error).encode(errors="replace")[:_LONGEST_MESSAGE]
        write(_RECORD.pack(b"M" if isinstance(error, MachineError) else b"X", len(message)) + message)


def read_records(
    read: Callable[[int], bytes], shape: tuple[int, ...]
) -> Iterator[UInt8[Tensor, "B n 3 H W"]]:
    """Yield the chunks of a stream for a horizon of `shape` (B, horizon, 3, H, W).

    Raises `ContractError` if the model failed, `MachineError` if its machine did, and `BrokenStreamError` if
    the network or the server did.
    """
    batch, left, *frame = shape
    while True:
        kind, count = _RECORD.unpack(_read_exactly(read, _RECORD.size))
        if kind == b"E":
            return
        if kind in (b"X", b"M") and count <= _LONGEST_MESSAGE:
            message = " ".join(_read_exactly(read, count).decode(errors="replace").split())
            raise (ContractError if kind == b"X" else MachineError)(message)
        if kind != b"F" or not 1 <= count <= left:
            raise BrokenStreamError(f"a record {kind!r} of {count} with {left} frames to go")
        left -= count
        data = _read_exactly(read, batch * count * int(np.prod(frame)))
        yield torch.frombuffer(data, dtype=torch.uint8).reshape(batch, count, *frame)


def _read_exactly(read: Callable[[int], bytes], size: int) -> bytearray:
    data = bytearray(read(size))
    if len(data) < size:
        raise BrokenStreamError("it ended early")
    return data
