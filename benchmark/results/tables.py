"""Build tables from results, for the report and the leaderboard."""

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
"""Label suffix of models that were given camera poses."""

_MARKDOWN = re.compile(r"[\\`*_\[\]<>|~&]")


@dataclass(frozen=True, kw_only=True)
class Cell:
    """A number with its interval; `bold` marks the best of a column, or a difference other than zero."""

    estimate: Estimate
    text: str
    bold: bool


@dataclass(frozen=True, kw_only=True)
class Row:
    """A model, or a pair of models; a cell is None if the number is absent."""

    label: str
    is_reference: bool
    cells: tuple[Cell | None, ...]


@dataclass(frozen=True, kw_only=True)
class Table:
    """One window: a column per metric and a row per model; `notes` say why numbers are absent."""

    window: str
    title: str
    cards: tuple[MetricCard, ...]
    rows: tuple[Row, ...]
    notes: tuple[str, ...]


def window_tables(results: Mapping[str, Result]) -> tuple[Table, ...]:
    """Return a table per window: references first, then models as given, the best of each metric in bold.

    `results` maps the source of each result (for error messages) to the result. Raises `UserError` if they
    are not comparable.
    """
    require_comparable(results)
    order = [(label, result) for label, _, result in order_rows(results)]
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
            cells=tuple(column[index] for column in columns),
        )
        for index, (label, result) in enumerate(order)
    )
    return Table(window=window, title=title, cards=tuple(cards), rows=rows, notes=_notes(order))


def _column(card: MetricCard, window: str, order: Sequence[tuple[str, Result]]) -> list[Cell | None]:
    """Return one metric's cell for every result; the best mean among models, or all tied for it, is bold."""
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
    """Return a table per window with the mean differences of all pairs of results over the same videos.

    Bold if the interval excludes zero. Set-wise metrics have no values per video, hence no column.
    """
    require_comparable(results)
    named = list(label_results(results.values()).items())
    cards = [card for card in headline_cards(results.values()) if card.kind == "paired"]
    return tuple(
        Table(
            window=window.name,
            title=f"differences, {window.name} (frames {window.first}-{window.last})",
            cards=tuple(cards),
            rows=tuple(_pair_row(*pair, cards, window.name) for pair in combinations(named, 2)),
            notes=_notes(named),
        )
        for window in named[0][1].protocol.windows
    )


def _pair_row(
    first: tuple[str, Result], second: tuple[str, Result], cards: Sequence[MetricCard], window: str
) -> Row:
    cells = []
    for card in cards:
        difference = _difference(first[1], second[1], card.name, window)
        cells.append(_cell(difference, card, bold=_excludes_zero(difference), signed=True))
    return Row(label=f"{first[0]} − {second[0]}", is_reference=False, cells=tuple(cells))


def _excludes_zero(estimate: Estimate | None) -> bool:
    if estimate is None or estimate.interval is None:
        return False
    low, high = estimate.interval
    return not low <= 0 <= high


def _difference(first: Result, second: Result, metric: str, window: str) -> Estimate | None:
    if metric not in first.metrics or metric not in second.metrics:
        return None
    minuend, subtrahend = first.metrics[metric].videos, second.metrics[metric].videos
    assert minuend is not None
    assert subtrahend is not None
    differences = np.array(minuend[window]) - np.array(subtrahend[window])
    if len(differences) < FEWEST_VIDEOS:
        return Estimate(mean=float(differences.mean()), interval=None)
    low, high = bootstrap_interval(differences)
    return Estimate(mean=float(differences.mean()), interval=(float(low), float(high)))


def label_results(results: Iterable[Result]) -> dict[str, Result]:
    """Return the results by their unique labels, in order."""
    results = list(results)
    return dict(zip(unique_labels(results), results, strict=True))


def order_rows(results: Mapping[str, Result]) -> list[tuple[str, str, Result]]:
    """Return (label, source, result) of every row: references first, then models in the order given."""
    rows = zip(unique_labels(list(results.values())), results, results.values(), strict=True)
    return sorted(rows, key=lambda row: row[2].model.role != "bound")


def unique_labels(results: Sequence[Result]) -> list[str]:
    """Return the model names, made unique by adding the arguments and, if these are equal too, a number.

    Models that were given camera poses are marked with `WITH_POSES`.
    """
    names = [one_line(result.model.name) for result in results]
    named = [
        name if names.count(name) == 1 else one_line(f"{name} {result.model.arguments}")
        for name, result in zip(names, results, strict=True)
    ]
    numbered = [
        label if named.count(label) == 1 else f"{label} #{named[: index + 1].count(label)}"
        for index, label in enumerate(named)
    ]
    return [
        f"{label}{WITH_POSES}" if POSES in result.model.conditioning else label
        for label, result in zip(numbered, results, strict=True)
    ]


def headline_cards(results: Iterable[Result]) -> list[MetricCard]:
    """Return the cards of the headline metrics in any of the results, in order of first appearance."""
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
    """Return notes on differing conditioning and on missing numbers or videos."""
    notes = _conditioning_note([result for _, result in order])
    for label, result in order:
        notes += [f"{label}: {name} is absent: {reason}" for name, reason in result.absent.items()]
        if result.failed:
            total = len(result.failed) + len(result.data.keys)
            notes.append(f"{label}: {len(result.failed)} of {total} videos failed and are left out")
    return tuple(map(one_line, notes))


def _conditioning_note(results: Sequence[Result]) -> list[str]:
    """Return a note if only some of the models, references aside, were given camera poses."""
    has_poses = {POSES in result.model.conditioning for result in results if result.model.role == "model"}
    if len(has_poses) < 2:
        return []
    return [
        f"models marked{WITH_POSES} were given the true camera pose of every frame and the others only its "
        "action, so they did not do the same task"
    ]


def heading(card: MetricCard) -> str:
    """Return a column heading like "PSNR (dB) ↑"; the arrow shows which direction is better."""
    unit = f" ({card.unit})" if card.unit else ""
    return one_line(f"{card.title}{unit} {'↑' if card.higher_is_better else '↓'}")


def escape_markdown(text: str) -> str:
    """Escape text so that Markdown shows it literally, also in table cells."""
    return _MARKDOWN.sub(r"\\\g<0>", text)


def format_estimate(estimate: Estimate, decimals: int, *, signed: bool = False) -> str:
    """Format an estimate like "21.30 [20.91, 21.72]"."""
    sign = "+" if signed else ""
    mean = f"{estimate.mean:{sign}.{decimals}f}"
    if estimate.interval is None:
        return mean
    low, high = estimate.interval
    return f"{mean} [{low:{sign}.{decimals}f}, {high:{sign}.{decimals}f}]"
