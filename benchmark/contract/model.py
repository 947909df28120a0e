"""What the benchmark asks of a model; `sources/loading.py` finds one by its name."""

import inspect
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from numbers import Integral
from types import NoneType
from typing import Any, Literal, NamedTuple, Protocol, get_args, runtime_checkable

import numpy as np
import torch
from jaxtyping import Float32, Int64, UInt8
from torch import Tensor

from benchmark.contract.compute import Compute
from benchmark.contract.conditioning import ACTIONS, ACTIONS_AND_POSES, POSES, Conditioning
from benchmark.contract.data import Episodes
from benchmark.contract.precision import Precision
from benchmark.contract.protocol import EvaluationProtocol
from loopcraft.core.errors import UserError


class ContractError(UserError):
    """A model broke its contract: the message says what came and what was expected."""


@runtime_checkable
class RolloutModel(Protocol):
    """A world model: frames and actions in, the frames that follow out. Any class of this shape is one.

    Five more members are read where they exist: `checkpoint_sha256` (str) and `notes` (strings that a reader
    of the scores should know) go into the result, `role = "bound"` marks a reference that no table ranks,
    `precision_on(device)` says "bfloat16" or "float16" if the model computes in that by itself, else None,
    and `conditioning = ("actions", "poses")` asks for the camera's poses too: `rollout` is then called with
    `poses=`, float32 (B, C+horizon, 5), whose row t is (x, y, z, yaw_deg, pitch_deg) in frame t.
    """

    @property
    def name(self) -> str:
        """What tables call the model."""

    @property
    def frame_shape(self) -> tuple[int, int, int] | None:
        """The shape (3, H, W) of its frames; None if it takes any."""

    @property
    def max_context(self) -> int:
        """The most frames of context that it can use; it is given the last of them."""

    def rollout(
        self,
        context: UInt8[Tensor, "B C 3 H W"],
        actions: Int64[Tensor, "B C+horizon"],
        *,
        seeds: Sequence[int],
    ) -> Iterator[Tensor]:
        """Yield what follows `context`, (B, n, 3, H, W) for any n >= 1, until the horizon is exactly full.

        `actions` starts with the context's own: action t leads to frame t. Chunks are uint8, or floating in
        [0, 1]. `seeds` holds one integer a video; a video's frames depend on its own inputs and seed alone.
        """


@runtime_checkable
class RecordedFrames(Protocol):
    """Frames that exist already and are looked up by the video's key: references, and videos made elsewhere.

    Unlike a `RolloutModel` it may be shown the answer, and results say so.
    """

    @property
    def name(self) -> str:
        """What tables call it."""

    @property
    def frame_shape(self) -> tuple[int, int, int] | None:
        """The shape (3, H, W) of its frames; None if it takes any."""

    def play(self, episodes: Episodes, protocol: EvaluationProtocol, keys: Sequence[str]) -> Iterator[Tensor]:
        """Yield the frames of the horizon of each of `keys`, in chunks as `RolloutModel.rollout` does."""


FrameSource = RolloutModel | RecordedFrames
Role = Literal["model", "bound"]
"""What tables make of a source: they rank a model, and show a bound for reference."""


@dataclass(frozen=True, kw_only=True)
class Inputs:
    """What a model is given of some videos; `poses` only if it asked for them."""

    context: UInt8[Tensor, "B C 3 H W"]
    actions: Int64[Tensor, "B C+horizon"]
    poses: Float32[Tensor, "B C+horizon 5"] | None = None

    def to(self, device: torch.device) -> "Inputs":
        """The same on another device."""
        poses = None if self.poses is None else self.poses.to(device)
        return Inputs(context=self.context.to(device), actions=self.actions.to(device), poses=poses)

    @property
    def horizon_shape(self) -> tuple[int, ...]:
        """The shape (B, horizon, 3, H, W) of what is asked for."""
        batch, num_context, *frame = self.context.shape
        return (batch, self.actions.shape[1] - num_context, *frame)


def start_rollout(model: RolloutModel, inputs: Inputs, seeds: Sequence[int]) -> Iterator[Tensor]:
    """Call the model's `rollout` with what it asked for."""
    rollout: Callable[..., Iterator[Tensor]] = model.rollout
    further = {} if inputs.poses is None else {"poses": inputs.poses}
    return rollout(inputs.context, inputs.actions, seeds=seeds, **further)


def check_members(model: Any, spec: str) -> FrameSource:
    """Raise `ContractError` unless `model` has what the contract names, of the right types."""
    methods = [name for name in ("rollout", "play") if callable(getattr(model, name, None))]
    if len(methods) != 1:
        has = " and ".join(methods) or "neither"
        raise ContractError(f"{spec}: a model has one of the methods rollout and play, this has {has}")
    for member in (*_MEMBERS, _MAX_CONTEXT) if methods == ["rollout"] else _MEMBERS:
        member.check(model, spec)
    checked: FrameSource = model
    _check_conditioning(checked, spec)
    return checked


def conditioning_of(model: FrameSource) -> Conditioning:
    """What the model is told of the frames to come: their actions, or their camera poses as well."""
    return tuple(getattr(model, "conditioning", ACTIONS))


def _check_conditioning(model: FrameSource, spec: str) -> None:
    """Raise `ContractError` unless what the model asks for is known, and its `rollout` takes it."""
    found: Any = getattr(model, "conditioning", ACTIONS)
    if not isinstance(found, (tuple, list)) or tuple(found) not in (ACTIONS, ACTIONS_AND_POSES):
        raise ContractError(
            f"{spec}: the model's `conditioning` must be {ACTIONS} or {ACTIONS_AND_POSES}, not {found!r}"
        )
    if not isinstance(model, RolloutModel):
        return
    parameters = inspect.signature(model.rollout).parameters
    takes_any = any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters.values())
    if POSES in found and not (takes_any or POSES in parameters):
        raise ContractError(f"{spec}: `conditioning` names poses, but `rollout` has no parameter `poses`")
    if POSES not in found and POSES in parameters and parameters[POSES].default is inspect.Parameter.empty:
        raise ContractError(
            f"{spec}: `rollout` wants `poses`; say so with conditioning = {ACTIONS_AND_POSES}"
        )


def _is_positive(value: object) -> bool:
    return isinstance(value, Integral) and int(value) >= 1


def _is_name(value: object) -> bool:
    return isinstance(value, str) and value.isprintable() and value.strip() != ""


def _is_frame_shape(value: object) -> bool:
    if not isinstance(value, (Sequence, np.ndarray)) or len(value) != 3:
        return value is None
    return all(map(_is_positive, value)) and value[0] == 3


def _are_notes(value: object) -> bool:
    return isinstance(value, (tuple, list)) and all(isinstance(note, str) for note in value)


class _Member(NamedTuple):
    """What a model has beside its method: a test of its value, and the same in words."""

    name: str
    is_right: Callable[[object], bool]
    wanted: str
    may_lack: bool = False

    def check(self, model: object, spec: str) -> None:
        """Raise `ContractError` for a wrong value."""
        if not hasattr(model, self.name):
            if self.may_lack:
                return
            raise ContractError(f"{spec}: the model has no `{self.name}`; it must be {self.wanted}")
        value = getattr(model, self.name)
        if not self.is_right(value):
            raise ContractError(f"{spec}: the model's `{self.name}` must be {self.wanted}, not {value!r}")


_MEMBERS = (
    _Member("name", _is_name, "one line of text"),
    _Member("frame_shape", _is_frame_shape, "(3, height, width) or None"),
    _Member(
        "checkpoint_sha256",
        lambda value: isinstance(value, (str, NoneType)),
        "a string or None",
        may_lack=True,
    ),
    _Member("notes", _are_notes, "a tuple or list of strings", may_lack=True),
    _Member("role", lambda value: value in get_args(Role), '"model" or "bound"', may_lack=True),
)
_MAX_CONTEXT = _Member("max_context", _is_positive, "a positive number of frames")


def role_of(model: FrameSource) -> Role:
    """Whether tables rank it, or show it for reference."""
    role: Role = getattr(model, "role", "model")
    return role


def precision_of(model: FrameSource, compute: Compute) -> Precision:
    """What the model computes in: its own choice where it tells one, else what the harness gives it.

    Raises `ContractError` for an unknown one.
    """
    precision_on = getattr(model, "precision_on", None)
    own: Precision | None = None if precision_on is None else precision_on(compute.device)
    if own is not None and own not in get_args(Precision):
        raise ContractError(
            f"the model's precision_on gave {own!r}: {', '.join(get_args(Precision))}, or None"
        )
    return own or compute.precision


def checkpoint_of(model: FrameSource) -> str | None:
    """The SHA-256 of the model's checkpoint, where it tells one."""
    checkpoint: str | None = getattr(model, "checkpoint_sha256", None)
    return checkpoint
