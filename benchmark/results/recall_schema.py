"""What a result file says of memory: scores by what was shown, steering, and a model's agreement with itself.

docs/recall.md defines every number. Each is there video by video, in the order of the result's keys.
"""

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from benchmark.results.estimates import Measured, MetricCard, check_card, check_measured
from loopcraft.core.decoding import SchemaError

RECALL = "recall"
"""Under what name a result's `absent` says why it has no recall."""
SURFACE_PSNR = "surface-psnr"
"""Under what name `consistency` has the PSNR of faces that are back in sight against how they were before."""


@dataclass(frozen=True, kw_only=True)
class RecallScores:
    """One metric over the pixels of each kind; `by_age` has those that returned, an entry an age bin."""

    card: MetricCard
    never_shown: Measured
    in_sight: Measured
    returned: Measured
    by_age: tuple[Measured, ...]


@dataclass(frozen=True, kw_only=True)
class PixelCounts:
    """How many pixels of each kind a video's horizon has, an entry a video; 0 where it has no masks."""

    sky: tuple[int, ...]
    never_shown: tuple[int, ...]
    in_sight: tuple[int, ...]
    by_age: tuple[tuple[int, ...], ...]
    """An entry an age bin; what returned is their sum."""


@dataclass(frozen=True, kw_only=True)
class Recall:
    """Scores by what the context showed of a pixel, for the videos that have recall masks."""

    ages: tuple[tuple[int, int], ...]
    """The age bins, youngest first: the first and the last age in frames of each."""
    pixels: PixelCounts
    metrics: Mapping[str, RecallScores]
    on_course: Mapping[str, RecallScores] = field(default_factory=dict)
    """The same over the frames where the model is on course; empty where steering was not measured."""
    notes: tuple[str, ...] = ()
    """What was left out, and why."""


@dataclass(frozen=True, kw_only=True)
class Steering:
    """Whether a model goes where its actions say, told from its pictures alone."""

    turns_followed: Measured
    """Share of the turning frames whose yaw change is within the tolerance of the action's."""
    on_course: Measured
    """Share of frames whose heading, summed up from the pictures, is within the tolerance of the true one."""
    yaw_error_deg: Measured
    """Mean absolute error of a frame's yaw change."""
    lag_frames: Measured
    """By how many frames the pictures turn later than the actions."""
    standing_still: Measured
    """Share of the frames of walking in which the picture hardly changes."""
    true_yaw_error_deg: Measured
    """The estimator's own error: the mean absolute error of the yaw change on the true frames."""
    true_on_course: Measured
    """Share of frames on course of the true frames."""


@dataclass(frozen=True, kw_only=True)
class Consistency:
    """One metric between a generated frame and an earlier one; see docs/recall.md.

    Between frames at one pose, the agent having been away in between; or, for `SURFACE_PSNR`, between the
    pixels of a face that is back in sight and those of the frame that showed it before.
    """

    card: MetricCard
    with_itself: Measured
    """A generated frame and the model's own earlier one."""
    with_truth: Measured
    """The same generated frame and the true one of its index."""
    with_context: Measured
    """A generated frame and one of the context."""
    possible: Measured
    """The true frames of what `with_itself` compares: what the difference of their poses costs."""


def check_recall(path: str, recall: Recall, num_videos: int) -> None:
    """Raise `SchemaError` unless bins are in order and every number is what its neighbours imply."""
    edges = [edge for first, last in recall.ages for edge in (first - 1, last)]
    if edges != sorted(edges) or any(first > last for first, last in recall.ages):
        raise SchemaError(f"{path}.ages: expected bins of frames, each after the one before")
    _check_counts(f"{path}.pixels", recall.pixels, len(recall.ages), num_videos)
    for where in ("metrics", "on_course"):
        for name, scores in getattr(recall, where).items():
            check_card(f"{path}.{where}", name, scores.card)
            if len(scores.by_age) != len(recall.ages):
                raise SchemaError(f"{path}.{where}.{name}.by_age: expected an entry for each of ages")
    check_all_measured(path, recall, num_videos)


def _check_counts(path: str, pixels: PixelCounts, num_ages: int, num_videos: int) -> None:
    if len(pixels.by_age) != num_ages:
        raise SchemaError(f"{path}.by_age: expected an entry for each of ages")
    columns = [(name, getattr(pixels, name)) for name in ("sky", "never_shown", "in_sight")]
    columns += [(f"by_age[{place}]", column) for place, column in enumerate(pixels.by_age)]
    for name, column in columns:
        if len(column) != num_videos or min(column, default=0) < 0:
            raise SchemaError(f"{path}.{name}: expected a count for each of data.keys")


def check_consistency(path: str, consistency: Mapping[str, Consistency], num_videos: int) -> None:
    """Raise `SchemaError` unless names are plain and every number is what its neighbours imply."""
    for name, found in consistency.items():
        check_card(path, name, found.card)
    check_all_measured(path, consistency, num_videos)


def check_all_measured(path: str, record: Any, num_videos: int) -> None:
    """Raise `SchemaError` for the first `Measured` in a record that is not as `check_measured` wants it."""
    for place, found in measured_in(path, record):
        check_measured(place, found, num_videos)


Record = TypeVar("Record")


def all_in_order(record: Record, order: Sequence[int]) -> Record:
    """The same record with the videos of everything in it in another order."""
    ordered: Record = _reordered(record, order)
    return ordered


def _reordered(value: Any, order: Sequence[int]) -> Any:
    if isinstance(value, Measured):
        return dataclasses.replace(value, videos=_sorted(value.videos, order))
    if isinstance(value, PixelCounts):
        names = ("sky", "never_shown", "in_sight")
        return PixelCounts(
            **{name: _sorted(getattr(value, name), order) for name in names},
            by_age=tuple(_sorted(column, order) for column in value.by_age),
        )
    if isinstance(value, Mapping):
        return {name: _reordered(item, order) for name, item in value.items()}
    if isinstance(value, tuple):
        return tuple(_reordered(item, order) for item in value)
    if dataclasses.is_dataclass(value) and not isinstance(value, (type, MetricCard)):
        entries = [entry.name for entry in dataclasses.fields(value)]
        return dataclasses.replace(
            value, **{name: _reordered(getattr(value, name), order) for name in entries}
        )
    return value


def _sorted(column: tuple[Any, ...], order: Sequence[int]) -> tuple[Any, ...]:
    """A column of another length is left for the checks to name."""
    return column if len(column) != len(order) else tuple(column[place] for place in order)


def measured_in(path: str, value: Any) -> Iterator[tuple[str, Measured]]:
    """Every `Measured` in a record, with its path."""
    if isinstance(value, Measured):
        yield path, value
    elif isinstance(value, Mapping):
        for name, item in value.items():
            yield from measured_in(f"{path}.{name}", item)
    elif isinstance(value, tuple):
        for place, item in enumerate(value):
            yield from measured_in(f"{path}[{place}]", item)
    elif dataclasses.is_dataclass(value):
        for entry in dataclasses.fields(value):
            yield from measured_in(f"{path}.{entry.name}", getattr(value, entry.name))
