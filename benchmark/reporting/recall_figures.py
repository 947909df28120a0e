"""Figures of recall: a score against the age of memory, and consistency against correctness."""

from collections.abc import Iterable, Mapping
from itertools import cycle

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from benchmark.reporting.curves import INK, REFERENCE_COLOR, literal, styles
from benchmark.results.comparable import require_comparable
from benchmark.results.estimates import Estimate, Measured, MetricCard
from benchmark.results.recall import age_curve, memory_horizon, references_in
from benchmark.results.result_file import Result
from benchmark.results.tables import heading, labelled


def recall_figures(results: Mapping[str, Result]) -> dict[str, Figure]:
    """A figure of each kind for each metric that any run has, by its name."""
    require_comparable(results)
    by_label = {literal(label): result for label, result in labelled(results.values()).items()}
    figures = {}
    recalls = [run.recall for run in results.values() if run.recall is not None]
    for card in _cards((one.card, one.returned) for found in recalls for one in found.metrics.values()):
        figures[f"age-of-memory-{card.name}"] = age_figure(by_label, card)
    pairs = (found for run in results.values() for found in run.consistency.values())
    for card in _cards((found.card, found.with_itself) for found in pairs):
        figures[f"consistency-{card.name}"] = consistency_figure(by_label, card)
    return figures


def age_figure(results: Mapping[str, Result], card: MetricCard) -> Figure:
    """The metric on pixels that returned against the frames since they were last shown, with 95 % intervals.

    A line a model, its memory horizon in the legend; the references are grey bands.
    """
    figure = Figure(figsize=(7.2, 4.0), layout="constrained")
    axes = figure.add_subplot()
    curves = {label: age_curve(result, card.name) for label, result in results.items()}
    limits, has_models = references_in(results), False
    for label, (color, style) in styles(results).items():
        points, is_reference = curves[label], results[label].model.role == "bound"
        if not points:
            continue
        ages, means = [point.middle for point in points], [point.estimate.mean for point in points]
        spans = [point.estimate.interval or (point.estimate.mean,) * 2 for point in points]
        lows, highs = [low for low, _ in spans], [high for _, high in spans]
        axes.fill_between(ages, lows, highs, color=color, alpha=0.25 if is_reference else 0.15, linewidth=0)
        if is_reference:
            axes.plot(ages, means, color=color, linestyle=style, linewidth=1.2, label=label)
            continue
        has_models = True
        horizon = memory_horizon(results[label], *limits, card.name) if limits else None
        text = f"{label}: {horizon}" if horizon else label
        axes.plot(ages, means, color=color, linewidth=1.6, marker="o", markersize=3, label=text)
    _scale_ages(axes, [point.first for points in curves.values() for point in points])
    axes.set_xlabel("frames since the context last showed it")
    axes.set_ylabel(literal(heading(card)))
    axes.spines[["top", "right"]].set_visible(False)
    title = "memory horizon in frames" if limits and has_models else None
    figure.legend(loc="outside lower center", ncols=2, frameon=False, title=title)
    return figure


def consistency_figure(results: Mapping[str, Result], card: MetricCard) -> Figure:
    """Agreement with the model's own earlier frames against agreement with the truth, a point a run."""
    figure = Figure(figsize=(5.6, 4.8), layout="constrained")
    axes = figure.add_subplot()
    markers = cycle("sDv^")
    for label, (color, _) in styles(results).items():
        found = results[label].consistency.get(card.name)
        if found is None or found.with_itself.estimate is None or found.with_truth.estimate is None:
            continue
        x, y = found.with_truth.estimate, found.with_itself.estimate
        axes.errorbar(
            x.mean,
            y.mean,
            xerr=_bars(x),
            yerr=_bars(y),
            color=color,
            marker=next(markers) if color == REFERENCE_COLOR else "o",
            markersize=6,
            elinewidth=0.8,
            linestyle="none",
            label=label,
        )
    possible = next(
        (
            run.consistency[card.name].possible.estimate
            for run in results.values()
            if card.name in run.consistency
        ),
        None,
    )
    if possible is not None:
        axes.axhline(
            possible.mean, color=INK, linewidth=0.8, linestyle=":", label="true frames among themselves"
        )
    for inverted, invert in (
        (axes.xaxis_inverted(), axes.invert_xaxis),
        (axes.yaxis_inverted(), axes.invert_yaxis),
    ):
        if not card.higher_is_better and not inverted:
            invert()
    axes.set_xlabel(f"with the truth: {literal(heading(card))}")
    axes.set_ylabel(f"with its own earlier frame:\n{literal(heading(card))}")
    axes.spines[["top", "right"]].set_visible(False)
    figure.legend(loc="outside lower center", ncols=2, frameon=False)
    return figure


def _cards(numbers: Iterable[tuple[MetricCard, Measured]]) -> list[MetricCard]:
    """The cards of those metrics of which there are numbers."""
    return list({card.name: card for card, found in numbers if found.estimate is not None}.values())


def _bars(found: Estimate) -> list[list[float]] | None:
    if found.interval is None:
        return None
    return [[max(0.0, found.mean - found.interval[0])], [max(0.0, found.interval[1] - found.mean)]]


def _scale_ages(axes: Axes, firsts: list[int]) -> None:
    """A logarithmic axis with a tick a doubling."""
    axes.set_xscale("log", base=2)
    ticks = [1 << power for power in range(4, 17)]
    axes.set_xticks(ticks, [str(tick) for tick in ticks])
    axes.minorticks_off()
    if firsts:
        axes.autoscale(axis="x", tight=False)
