"""Results to tables: a pure function of result files that the report and the leaderboard share."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from benchmark.contract.conditioning import POSES
from benchmark.results.bootstrap import FEWEST_VIDEOS, bootstrap_interval
from benchmark.results.comparable import require_comparable
from benchmark.results.estimates import Estimate, MetricCard
from benchmark.results.result_file import Result
from loopcraft.core.cli import one_line

WITH_POSES = " (+ poses)"
"""Marks models that were given the camera's poses."""

_MARKDOWN = re.compile(r"[\\`*_\[\]<>|~&]")


@dataclass(frozen=True, kw_only=True)
class Cell:
    """A number with its interval; `bold` marks the best of a column, or a difference that is not zero."""

    estimate: Estimate
    text: str
    bold: bool


@dataclass(frozen=True, kw_only=True)
class Row:
    """A model or a pair of them; a cell is None where the number is absent."""

    label: str
    is_reference: bool
    cells: tuple[Cell | None, ...]


@dataclass(frozen=True, kw_only=True)
class Table:
    """One window: a column a metric, a row a model. `notes` say why numbers are absent."""

    window: str
    title: str
    cards: tuple[MetricCard, ...]
    rows: tuple[Row, ...]
    notes: tuple[str, ...]


def window_tables(results: Mapping[str, Result]) -> tuple[Table, ...]:
    """A table a window: references first, then models in the order given, the best of each metric in bold.

    `results` maps where a result came from (for error messages) to the result. Raises `UserError` where they
    cannot stand in one table.
    """
    require_comparable(results)
    order = [(label, result) for label, _, result in in_rows(results)]
    cards = headline_cards(results.values())
    protocol = order[0][1].protocol
    return tuple(
        _window_table(window.name, f"{window.name} (frames {window.first}-{window.last})", cards, order)
        for window in protocol.windows
    )


def _window_table(
    window: str, title: str, cards: Sequence[MetricCard], order: Sequence[tuple[str, Result]]
) -> Table:
    columns = [_column(card, window, order) for card in cards]
    rows = tuple(
        Row(
            label=label,
            is_reference=result.model.role == "bound",
            cells=tuple(column[place] for column in columns),
        )
        for place, (label, result) in enumerate(order)
    )
    return Table(window=window, title=title, cards=tuple(cards), rows=rows, notes=_notes(order))


def _column(card: MetricCard, window: str, order: Sequence[tuple[str, Result]]) -> list[Cell | None]:
    """One metric of every result; among models, the best mean (ties are shared) is bold."""
    estimates = [_estimate(result, card.name, window) for _, result in order]
    ranked = [result.model.role == "model" for _, result in order]
    best = _best([e for e, is_ranked in zip(estimates, ranked, strict=True) if is_ranked], card)
    return [
        _cell(estimate, card, bold=is_ranked and estimate is not None and estimate.mean == best)
        for estimate, is_ranked in zip(estimates, ranked, strict=True)
    ]


def _cell(estimate: Estimate | None, card: MetricCard, *, bold: bool, signed: bool = False) -> Cell | None:
    if estimate is None:
        return None
    text = format_estimate(estimate, card.decimals, signed=signed)
    return Cell(estimate=estimate, text=text, bold=bold)


def paired_tables(results: Mapping[str, Result]) -> tuple[Table, ...]:
    """A table a window of mean differences between any two results over the same videos, with intervals.

    Bold where the interval excludes zero. Set-wise metrics have no value a video, hence no column.
    """
    require_comparable(results)
    named = list(labelled(results.values()).items())
    cards = [card for card in headline_cards(results.values()) if card.kind == "paired"]
    return tuple(
        Table(
            window=window.name,
            title=f"differences, {window.name} (frames {window.first}-{window.last})",
            cards=tuple(cards),
            rows=tuple(_pair_row(one, other, cards, window.name) for one, other in combinations(named, 2)),
            notes=_notes(named),
        )
        for window in named[0][1].protocol.windows
    )


def _pair_row(
    one: tuple[str, Result], other: tuple[str, Result], cards: Sequence[MetricCard], window: str
) -> Row:
    differences = [_difference(one[1], other[1], card.name, window) for card in cards]
    cells = tuple(
        _cell(found, card, bold=_excludes_zero(found), signed=True)
        for found, card in zip(differences, cards, strict=True)
    )
    return Row(label=f"{one[0]} − {other[0]}", is_reference=False, cells=cells)


def _excludes_zero(found: Estimate | None) -> bool:
    return (
        found is not None and found.interval is not None and not found.interval[0] <= 0 <= found.interval[1]
    )


def _difference(one: Result, other: Result, metric: str, window: str) -> Estimate | None:
    if metric not in one.metrics or metric not in other.metrics:
        return None
    here, there = one.metrics[metric].videos, other.metrics[metric].videos
    assert here is not None
    assert there is not None
    differences = np.array(here[window]) - np.array(there[window])
    if len(differences) < FEWEST_VIDEOS:
        return Estimate(mean=float(differences.mean()), interval=None)
    low, high = bootstrap_interval(differences)
    return Estimate(mean=float(differences.mean()), interval=(float(low), float(high)))


def labelled(results: Iterable[Result]) -> dict[str, Result]:
    """Results by what tables call them, in their order."""
    results = list(results)
    return dict(zip(unique_labels(results), results, strict=True))


def in_rows(results: Mapping[str, Result]) -> list[tuple[str, str, Result]]:
    """(label, source, result) of every row: references first, then models in the order given."""
    rows = zip(unique_labels(list(results.values())), results, results.values(), strict=True)
    return sorted(rows, key=lambda row: row[2].model.role != "bound")


def unique_labels(results: Sequence[Result]) -> list[str]:
    """Model names; where two are equal, with their arguments; where those are too, with a number.

    Models that were given camera poses are marked as such.
    """
    names = [one_line(result.model.name) for result in results]
    named = [
        name if names.count(name) == 1 else one_line(f"{name} {result.model.arguments}")
        for name, result in zip(names, results, strict=True)
    ]
    numbered = [
        label if named.count(label) == 1 else f"{label} #{named[: place + 1].count(label)}"
        for place, label in enumerate(named)
    ]
    return [
        f"{label}{WITH_POSES}" if POSES in result.model.conditioning else label
        for label, result in zip(numbered, results, strict=True)
    ]


def headline_cards(results: Iterable[Result]) -> list[MetricCard]:
    """The headline metrics that any of the results has, in the order of their first appearance."""
    cards: dict[str, MetricCard] = {}
    for result in results:
        for name, metric in result.headline.items():
            cards.setdefault(name, metric.card)
    return list(cards.values())


def _estimate(result: Result, metric: str, window: str) -> Estimate | None:
    return result.metrics[metric].windows[window] if metric in result.metrics else None


def _best(estimates: Sequence[Estimate | None], card: MetricCard) -> float | None:
    means = [estimate.mean for estimate in estimates if estimate is not None]
    if not means:
        return None
    return max(means) if card.higher_is_better else min(means)


def _notes(order: Sequence[tuple[str, Result]]) -> tuple[str, ...]:
    """What its models were told, where that differs, and why numbers or videos are missing."""
    notes = _conditioning_note([result for _, result in order])
    for label, result in order:
        notes += [f"{label}: {name} is absent: {reason}" for name, reason in result.absent.items()]
        if result.failed:
            total = len(result.failed) + len(result.data.keys)
            notes.append(f"{label}: {len(result.failed)} of {total} videos failed and are left out")
    return tuple(map(one_line, notes))


def _conditioning_note(results: Sequence[Result]) -> list[str]:
    """A sentence where models were told different things of the frames to come; references do not count."""
    asked = {POSES in result.model.conditioning for result in results if result.model.role == "model"}
    if len(asked) < 2:
        return []
    return [
        f"models marked{WITH_POSES} were given the true camera pose of every frame, the others its action "
        "alone: they did not do the same task"
    ]


def heading(card: MetricCard) -> str:
    """As in "PSNR (dB) ↑": the arrow points to better."""
    unit = f" ({card.unit})" if card.unit else ""
    return one_line(f"{card.title}{unit} {'↑' if card.higher_is_better else '↓'}")


def markdown(text: str) -> str:
    """Text as Markdown that shows it as it is, in a cell too."""
    return _MARKDOWN.sub(r"\\\g<0>", text)


def format_estimate(estimate: Estimate, decimals: int, *, signed: bool = False) -> str:
    """As in "21.30 [20.91, 21.72]"."""
    sign = "+" if signed else ""
    mean = f"{estimate.mean:{sign}.{decimals}f}"
    if estimate.interval is None:
        return mean
    low, high = estimate.interval
    return f"{mean} [{low:{sign}.{decimals}f}, {high:{sign}.{decimals}f}]"
