"""What the benchmark asks of a model; `sources/loading.py` finds one by its name."""

from collections.abc import Iterator, Sequence
from typing import Any, Literal, Protocol, get_args, runtime_checkable

from jaxtyping import Int64, UInt8
from torch import Tensor

from benchmark.contract.compute import Compute
from benchmark.contract.data import Episodes
from benchmark.contract.precision import Precision
from benchmark.contract.protocol import EvaluationProtocol
from loopcraft.core.errors import UserError


class ContractError(UserError):
    """A model broke its contract: the message says what came and what was expected."""


@runtime_checkable
class RolloutModel(Protocol):
    """A world model: frames and actions in, the frames that follow out. Any class of this shape is one.

    Four more members are read where they exist: `checkpoint_sha256` (str) and `notes` (strings that a reader
    of the scores should know) go into the result, `role = "bound"` marks a reference that no table ranks, and
    `precision_on(device)` says "bfloat16" or "float16" if the model computes in that by itself, else None.
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
class Playback(Protocol):
    """Frames that exist already and are looked up by the video's key: bounds, and videos made elsewhere.

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


FrameSource = RolloutModel | Playback


def check_members(model: Any, spec: str) -> FrameSource:
    """Raise `ContractError` unless `model` has what the contract names, of the right types."""
    methods = [name for name in ("rollout", "play") if callable(getattr(model, name, None))]
    if len(methods) != 1:
        raise ContractError(f"{spec}: a model has one of the methods rollout and play, this has {methods}")
    if not isinstance(getattr(model, "name", None), str):
        raise ContractError(f"{spec}: the model's `name` must be a string")
    shape: Any = getattr(model, "frame_shape", 0)
    if shape is not None and not (isinstance(shape, Sequence) and len(shape) == 3 and shape[0] == 3):
        raise ContractError(
            f"{spec}: the model's `frame_shape` must be (3, height, width) or None, not {shape}"
        )
    if methods == ["rollout"] and not _is_positive_integer(getattr(model, "max_context", None)):
        raise ContractError(f"{spec}: the model's `max_context` must be a positive number of frames")
    checked: FrameSource = model
    return checked


def _is_positive_integer(value: object) -> bool:
    return isinstance(value, int) and value >= 1


def role_of(model: FrameSource) -> Literal["model", "bound"]:
    """Whether tables rank it ("model") or show it for reference ("bound")."""
    return "bound" if getattr(model, "role", "model") == "bound" else "model"


def precision_of(model: FrameSource, compute: Compute) -> Precision:
    """What the model computes in: its own choice where it tells one, else what the harness gives it."""
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
