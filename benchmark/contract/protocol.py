"""Evaluation protocols as data, each with an id and a hash.

An id never changes its meaning: a changed number makes a new protocol with a new id, and the old one stays.
"""

import dataclasses
import hashlib
import json
from dataclasses import dataclass

from loopcraft.core.errors import UserError


@dataclass(frozen=True, kw_only=True)
class Window:
    """A range of the horizon to average over: generated frames `first` to `last`, counted from 1."""

    name: str
    first: int
    last: int

    @property
    def frames(self) -> slice:
        """The window as a slice of the generated frames."""
        return slice(self.first - 1, self.last)


@dataclass(frozen=True, kw_only=True)
class EvaluationProtocol:
    """A task (`context` true frames, then `horizon` frames to generate) and its scoring."""

    id: str
    context: int
    horizon: int
    windows: tuple[Window, ...]
    metrics: tuple[str, ...]

    @property
    def num_frames(self) -> int:
        """The number of frames that an episode must have."""
        return self.context + self.horizon

    @property
    def hash(self) -> str:
        """The SHA-256 of the canonical JSON of all fields."""
        canonical = json.dumps(dataclasses.asdict(self), sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(canonical.encode()).hexdigest()


LOOPCRAFT_V1 = EvaluationProtocol(
    id="loopcraft-v1",
    context=256,
    horizon=768,
    windows=(
        Window(name="short", first=1, last=64),
        Window(name="medium", first=65, last=256),
        Window(name="long", first=257, last=768),
    ),
    metrics=("psnr", "ssim", "lpips", "dinov2", "lightglue", "fid", "fvd"),
)
"""The paper's protocol and metrics."""

LOOPCRAFT_MINI = dataclasses.replace(
    LOOPCRAFT_V1,
    id="loopcraft-mini",
    context=64,
    horizon=192,
    windows=(
        Window(name="short", first=1, last=16),
        Window(name="medium", first=17, last=64),
        Window(name="long", first=65, last=192),
    ),
    metrics=("psnr", "ssim"),
)
"""A quarter of the frames and no pretrained weights: for demonstrations and tests, not for publication."""

LOOPCRAFT_RECALL_V1 = dataclasses.replace(
    LOOPCRAFT_V1,
    id="loopcraft-recall-v1",
    metrics=("psnr", "ssim", "lpips", "sift", "dinov2", "lightglue", "fid", "fvd"),
)
"""The frames of `LOOPCRAFT_V1`, for test sets of `loopcraft.generate --select realised` with recall masks.

The metrics that are also split by what the context showed come first.
"""

LOOPCRAFT_RECALL_MINI = dataclasses.replace(
    LOOPCRAFT_MINI, id="loopcraft-recall-mini", metrics=("psnr", "ssim", "sift")
)
"""The same task with the frames of `LOOPCRAFT_MINI` and no pretrained weights."""

PROTOCOLS = {
    protocol.id: protocol
    for protocol in (LOOPCRAFT_V1, LOOPCRAFT_MINI, LOOPCRAFT_RECALL_V1, LOOPCRAFT_RECALL_MINI)
}

RECALL_PROTOCOLS = (LOOPCRAFT_RECALL_V1.id, LOOPCRAFT_RECALL_MINI.id)
"""The protocols for test sets of `loopcraft.generate --select realised`."""


def get_protocol(protocol_id: str) -> EvaluationProtocol:
    """Return the protocol with this id; raise `UserError` if there is none."""
    if protocol_id not in PROTOCOLS:
        raise UserError(f"unknown protocol {protocol_id!r}: choose one of {', '.join(PROTOCOLS)}")
    return PROTOCOLS[protocol_id]
