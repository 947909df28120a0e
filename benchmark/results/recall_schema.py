"""Schema of the memory scores in a result file: recall by kind of pixel, steering and self-consistency.

docs/recall.md defines every number. Each is stored per video, in the order of the result's keys.
"""

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from benchmark.results.estimates import Measured, MetricCard, check_card, check_measured
from loopcraft.core.decoding import SchemaError

RECALL = "recall"
"""Key in a result's `absent` for the reason why it has no recall scores."""
SURFACE_PSNR = "surface-psnr"
"""Key in `consistency` for the PSNR of faces back in sight against their earlier appearance."""


@dataclass(frozen=True, kw_only=True)
class RecallScores:
    """One metric over each kind of pixel; `by_age` splits the returned pixels, one entry per age bin."""

    card: MetricCard
    never_shown: Measured
    in_sight: Measured
    returned: Measured
    by_age: tuple[Measured, ...]


@dataclass(frozen=True, kw_only=True)
class PixelCounts:
    """Number of pixels of each kind in each video's horizon; 0 for videos without masks."""

    sky: tuple[int, ...]
    never_shown: tuple[int, ...]
    in_sight: tuple[int, ...]
    by_age: tuple[tuple[int, ...], ...]
    """One entry per age bin; they add up to the returned pixels."""


@dataclass(frozen=True, kw_only=True)
class Recall:
    """Scores by whether and when the context showed each pixel's surface, for videos with recall masks."""

    ages: tuple[tuple[int, int], ...]
    """The (first, last) age in frames of each bin, youngest first."""
    pixels: PixelCounts
    metrics: Mapping[str, RecallScores]
    on_course: Mapping[str, RecallScores] = field(default_factory=dict)
    """The same over the frames in which the model is on course; empty if steering was not measured."""
    notes: tuple[str, ...] = ()
    """What was left out, and why."""


@dataclass(frozen=True, kw_only=True)
class Steering:
    """How well a model follows its actions, estimated from its frames alone."""

    turns_followed: Measured
    """Share of turning frames whose yaw change is within tolerance of the action's."""
    on_course: Measured
    """Share of frames whose heading (sum of estimated yaw changes) is within tolerance of the true one."""
    yaw_error_deg: Measured
    """Mean absolute error of the yaw change per frame."""
    lag_frames: Measured
    """Number of frames by which the frames turn later than the actions."""
    standing_still: Measured
    """Share of walking frames in which the picture hardly changes."""
    true_yaw_error_deg: Measured
    """The estimator's own error: `yaw_error_deg` of the true frames."""
    true_on_course: Measured
    """`on_course` of the true frames."""


@dataclass(frozen=True, kw_only=True)
class Consistency:
    """One metric between a generated frame and an earlier one; see docs/recall.md.

    It compares frames at the same pose between which the agent was away or, for `SURFACE_PSNR`, the pixels of
    a face that is back in sight with an earlier frame that showed it.
    """

    card: MetricCard
    with_itself: Measured
    """Between a generated frame and the model's own earlier one."""
    with_truth: Measured
    """Between the same generated frame and the true frame of its index."""
    with_context: Measured
    """Between a generated frame and a context frame."""
    possible: Measured
    """Between the true frames of the pairs in `with_itself`: the cost of their difference in pose."""


def check_recall(path: str, recall: Recall, num_videos: int) -> None:
    """Raise `SchemaError` unless the age bins are in order and all numbers are consistent with each other."""
    edges = [edge for first, last in recall.ages for edge in (first - 1, last)]
    if edges != sorted(edges) or any(first > last for first, last in recall.ages):
        raise SchemaError(f"{path}.ages: expected bins of frames, each after the one before")
    _check_counts(f"{path}.pixels", recall.pixels, len(recall.ages), num_videos)
    for field_name in ("metrics", "on_course"):
        for name, scores in getattr(recall, field_name).items():
            check_card(f"{path}.{field_name}", name, scores.card)
            if len(scores.by_age) != len(recall.ages):
                raise SchemaError(f"{path}.{field_name}.{name}.by_age: expected an entry for each of ages")
    check_all_measured(path, recall, num_videos)


def _check_counts(path: str, pixels: PixelCounts, num_ages: int, num_videos: int) -> None:
    if len(pixels.by_age) != num_ages:
        raise SchemaError(f"{path}.by_age: expected an entry for each of ages")
    columns = [(name, getattr(pixels, name)) for name in ("sky", "never_shown", "in_sight")]
    columns += [(f"by_age[{index}]", column) for index, column in enumerate(pixels.by_age)]
    for name, column in columns:
        if len(column) != num_videos or min(column, default=0) < 0:
            raise SchemaError(f"{path}.{name}: expected a count for each of data.keys")


def check_consistency(path: str, consistency: Mapping[str, Consistency], num_videos: int) -> None:
    """Raise `SchemaError` unless names are plain and all numbers are consistent with each other."""
    for name, scores in consistency.items():
        check_card(path, name, scores.card)
    check_all_measured(path, consistency, num_videos)


def check_all_measured(path: str, record: Any, num_videos: int) -> None:
    """Raise `SchemaError` for the first `Measured` in a record that fails `check_measured`."""
    for field_path, scores in iterate_measured(path, record):
        check_measured(field_path, scores, num_videos)


Record = TypeVar("Record")


def reorder_videos(record: Record, order: Sequence[int]) -> Record:
    """Return a copy of a record with all values per video in the given order."""
    reordered: Record = _reorder(record, order)
    return reordered


def _reorder(value: Any, order: Sequence[int]) -> Any:
    if isinstance(value, Measured):
        return dataclasses.replace(value, videos=_reorder_column(value.videos, order))
    if isinstance(value, PixelCounts):
        names = ("sky", "never_shown", "in_sight")
        return PixelCounts(
            **{name: _reorder_column(getattr(value, name), order) for name in names},
            by_age=tuple(_reorder_column(column, order) for column in value.by_age),
        )
    if isinstance(value, Mapping):
        return {name: _reorder(item, order) for name, item in value.items()}
    if isinstance(value, tuple):
        return tuple(_reorder(item, order) for item in value)
    if dataclasses.is_dataclass(value) and not isinstance(value, (type, MetricCard)):
        changes = {f.name: _reorder(getattr(value, f.name), order) for f in dataclasses.fields(value)}
        return dataclasses.replace(value, **changes)
    return value


def _reorder_column(column: tuple[Any, ...], order: Sequence[int]) -> tuple[Any, ...]:
    # Columns of the wrong length are left as they are: the checks report them.
    return column if len(column) != len(order) else tuple(column[index] for index in order)


def iterate_measured(path: str, value: Any) -> Iterator[tuple[str, Measured]]:
    """Yield every `Measured` in a record with its path."""
    if isinstance(value, Measured):
        yield path, value
    elif isinstance(value, Mapping):
        for name, item in value.items():
            yield from iterate_measured(f"{path}.{name}", item)
    elif isinstance(value, tuple):
        for index, item in enumerate(value):
            yield from iterate_measured(f"{path}[{index}]", item)
    elif dataclasses.is_dataclass(value):
        for entry in dataclasses.fields(value):
            yield from iterate_measured(f"{path}.{entry.name}", getattr(value, entry.name))
