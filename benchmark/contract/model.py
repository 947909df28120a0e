"""The interface of a model; `sources/loading.py` loads one by name."""

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
    """Raised when a model breaks its contract; the message says what it did and what was expected."""


@runtime_checkable
class RolloutModel(Protocol):
    """A world model: generates the frames that follow a context, given actions. No base class is needed.

    Five more members are optional: `checkpoint_sha256` (str) and `notes` (strings for readers of the scores)
    are copied to the result; `role = "bound"` marks a reference that tables do not rank;
    `precision_on(device)` returns "bfloat16" or "float16" if the model itself computes in that type, else
    None; `conditioning = ("actions", "poses")` requests camera poses: `rollout` is then also given `poses=`,
    float32 (B, C+horizon, 5), whose row t is (x, y, z, yaw_deg, pitch_deg) in frame t.
    """

    @property
    def name(self) -> str:
        """The model's name in tables."""

    @property
    def frame_shape(self) -> tuple[int, int, int] | None:
        """The shape (3, H, W) of its frames; None if any shape will do."""

    @property
    def max_context(self) -> int:
        """The largest number of context frames that it uses; it is given the last ones."""

    def rollout(
        self,
        context: UInt8[Tensor, "B C 3 H W"],
        actions: Int64[Tensor, "B C+horizon"],
        *,
        seeds: Sequence[int],
    ) -> Iterator[Tensor]:
        """Yield the frames after `context` in chunks (B, n, 3, H, W) of any n >= 1, exactly `horizon` in all.

        Action t leads to frame t; the first C actions belong to the context. Chunks are uint8, or floating
        point in [0, 1]. `seeds` has one integer per video, whose frames must depend only on its own inputs
        and seed.
        """


@runtime_checkable
class RecordedFrames(Protocol):
    """Existing frames, looked up by the video's key: references, and videos made elsewhere.

    Unlike a `RolloutModel`, it can see the true frames of the horizon; results record this.
    """

    @property
    def name(self) -> str:
        """Its name in tables."""

    @property
    def frame_shape(self) -> tuple[int, int, int] | None:
        """The shape (3, H, W) of its frames; None if any shape will do."""

    def play(self, episodes: Episodes, protocol: EvaluationProtocol, keys: Sequence[str]) -> Iterator[Tensor]:
        """Yield the horizons of the videos `keys`, in chunks like those of `RolloutModel.rollout`."""


FrameSource = RolloutModel | RecordedFrames
Role = Literal["model", "bound"]
"""Tables rank a model and show a bound for reference."""


@dataclass(frozen=True, kw_only=True)
class Inputs:
    """A model's inputs for a batch of videos; `poses` only if it requests them."""

    context: UInt8[Tensor, "B C 3 H W"]
    actions: Int64[Tensor, "B C+horizon"]
    poses: Float32[Tensor, "B C+horizon 5"] | None = None

    def to(self, device: torch.device) -> "Inputs":
        """Return the inputs on another device."""
        poses = None if self.poses is None else self.poses.to(device)
        return Inputs(context=self.context.to(device), actions=self.actions.to(device), poses=poses)

    @property
    def horizon_shape(self) -> tuple[int, ...]:
        """The shape (B, horizon, 3, H, W) of the frames to generate."""
        batch, num_context, *frame = self.context.shape
        return (batch, self.actions.shape[1] - num_context, *frame)


def start_rollout(model: RolloutModel, inputs: Inputs, seeds: Sequence[int]) -> Iterator[Tensor]:
    """Call the model's `rollout`, with poses if it requests them."""
    rollout: Callable[..., Iterator[Tensor]] = model.rollout
    poses = {} if inputs.poses is None else {"poses": inputs.poses}
    return rollout(inputs.context, inputs.actions, seeds=seeds, **poses)


def check_members(model: Any, spec: str) -> FrameSource:
    """Return `model`; raise `ContractError` if a required member is missing or any has the wrong type."""
    methods = [name for name in ("rollout", "play") if callable(getattr(model, name, None))]
    if len(methods) != 1:
        has = " and ".join(methods) or "neither"
        raise ContractError(f"{spec}: a model must have one of the methods rollout and play, this has {has}")
    for member in (*_MEMBERS, _MAX_CONTEXT) if methods == ["rollout"] else _MEMBERS:
        member.check(model, spec)
    checked: FrameSource = model
    _check_conditioning(checked, spec)
    return checked


def conditioning_of(model: FrameSource) -> Conditioning:
    """Return whether the model takes only the actions of the horizon or its camera poses as well."""
    return tuple(getattr(model, "conditioning", ACTIONS))


def _check_conditioning(model: FrameSource, spec: str) -> None:
    """Raise `ContractError` if `conditioning` is unknown or does not match the parameters of `rollout`."""
    conditioning: Any = getattr(model, "conditioning", ACTIONS)
    if not isinstance(conditioning, (tuple, list)) or tuple(conditioning) not in (ACTIONS, ACTIONS_AND_POSES):
        raise ContractError(
            f"{spec}: the model's `conditioning` must be {ACTIONS} or {ACTIONS_AND_POSES}, "
            f"not {conditioning!r}"
        )
    if not isinstance(model, RolloutModel):
        return
    parameters = inspect.signature(model.rollout).parameters
    takes_any = any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters.values())
    if POSES in conditioning and not (takes_any or POSES in parameters):
        raise ContractError(f"{spec}: `conditioning` names poses, but `rollout` has no parameter `poses`")
    requires_poses = POSES in parameters and parameters[POSES].default is inspect.Parameter.empty
    if POSES not in conditioning and requires_poses:
        raise ContractError(f"{spec}: `rollout` requires `poses`; set conditioning = {ACTIONS_AND_POSES}")


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
    """An attribute of a model: a test of its value, and a description of valid values."""

    name: str
    is_valid: Callable[[object], bool]
    expected: str
    optional: bool = False

    def check(self, model: object, spec: str) -> None:
        """Raise `ContractError` for an invalid or missing value."""
        if not hasattr(model, self.name):
            if self.optional:
                return
            raise ContractError(f"{spec}: the model has no `{self.name}`; it must be {self.expected}")
        value = getattr(model, self.name)
        if not self.is_valid(value):
            raise ContractError(f"{spec}: the model's `{self.name}` must be {self.expected}, not {value!r}")


_MEMBERS = (
    _Member("name", _is_name, "one line of text"),
    _Member("frame_shape", _is_frame_shape, "(3, height, width) or None"),
    _Member(
        "checkpoint_sha256",
        lambda value: isinstance(value, (str, NoneType)),
        "a string or None",
        optional=True,
    ),
    _Member("notes", _are_notes, "a tuple or list of strings", optional=True),
    _Member("role", lambda value: value in get_args(Role), '"model" or "bound"', optional=True),
)
_MAX_CONTEXT = _Member("max_context", _is_positive, "a positive number of frames")


def role_of(model: FrameSource) -> Role:
    """Return the source's role; "model" unless it says otherwise."""
    role: Role = getattr(model, "role", "model")
    return role


def precision_of(model: FrameSource, compute: Compute) -> Precision:
    """Return the model's own precision if it has one, else that of `compute`.

    Raises `ContractError` if the model names an unknown precision.
    """
    precision_on = getattr(model, "precision_on", None)
    own: Precision | None = None if precision_on is None else precision_on(compute.device)
    if own is not None and own not in get_args(Precision):
        raise ContractError(
            f"the model's precision_on gave {own!r}; it must be {', '.join(get_args(Precision))} or None"
        )
    return own or compute.precision


def checkpoint_of(model: FrameSource) -> str | None:
    """Return the SHA-256 of the model's checkpoint, if it provides one."""
    checkpoint: str | None = getattr(model, "checkpoint_sha256", None)
    return checkpoint
