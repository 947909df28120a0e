"""Figures of recall: scores against the age of memory, and self-consistency against correctness."""

from collections.abc import Iterable, Mapping
from itertools import cycle

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from benchmark.reporting.curves import INK, REFERENCE_COLOR, escape_label, line_styles
from benchmark.results.comparable import require_comparable
from benchmark.results.estimates import Estimate, Measured, MetricCard
from benchmark.results.recall import age_curve, find_references, memory_horizon
from benchmark.results.result_file import Result
from benchmark.results.tables import heading, label_results


def recall_figures(results: Mapping[str, Result]) -> dict[str, Figure]:
    """Return the age and consistency figures, by name, of every metric that any run has."""
    require_comparable(results)
    by_label = {escape_label(label): result for label, result in label_results(results.values()).items()}
    figures = {}
    recalls = [run.recall for run in results.values() if run.recall is not None]
    scores = (score for recall in recalls for score in recall.metrics.values())
    for card in _cards((score.card, score.returned) for score in scores):
        figures[f"age-of-memory-{card.name}"] = age_figure(by_label, card)
    consistencies = (score for run in results.values() for score in run.consistency.values())
    for card in _cards((score.card, score.with_itself) for score in consistencies):
        figures[f"consistency-{card.name}"] = consistency_figure(by_label, card)
    return figures


def age_figure(results: Mapping[str, Result], card: MetricCard) -> Figure:
    """Draw the metric on returned pixels against the frames since last shown, with 95 % intervals.

    Each model is a line with its memory horizon in the legend; the references are grey bands.
    """
    figure = Figure(figsize=(7.2, 4.0), layout="constrained")
    axes = figure.add_subplot()
    curves = {label: age_curve(result, card.name) for label, result in results.items()}
    references, has_models = find_references(results), False
    for label, (color, style) in line_styles(results).items():
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
        horizon = memory_horizon(results[label], *references, card.name) if references else None
        text = f"{label}: {horizon}" if horizon else label
        axes.plot(ages, means, color=color, linewidth=1.6, marker="o", markersize=3, label=text)
    _scale_ages(axes, [point.first for points in curves.values() for point in points])
    axes.set_xlabel("frames since the context last showed the surface")
    axes.set_ylabel(escape_label(heading(card)))
    axes.spines[["top", "right"]].set_visible(False)
    title = "memory horizon in frames" if references and has_models else None
    figure.legend(loc="outside lower center", ncols=2, frameon=False, title=title)
    return figure


def consistency_figure(results: Mapping[str, Result], card: MetricCard) -> Figure:
    """Draw agreement with the model's own earlier frames against that with the truth, a point per run."""
    figure = Figure(figsize=(5.6, 4.8), layout="constrained")
    axes = figure.add_subplot()
    markers = cycle("sDv^")
    for label, (color, _) in line_styles(results).items():
        scores = results[label].consistency.get(card.name)
        if scores is None or scores.with_itself.estimate is None or scores.with_truth.estimate is None:
            continue
        x, y = scores.with_truth.estimate, scores.with_itself.estimate
        axes.errorbar(
            x.mean,
            y.mean,
            xerr=_error_bars(x),
            yerr=_error_bars(y),
            color=color,
            marker=next(markers) if color == REFERENCE_COLOR else "o",
            markersize=6,
            elinewidth=0.8,
            linestyle="none",
            label=label,
        )
    scored = (run.consistency[card.name] for run in results.values() if card.name in run.consistency)
    possible = next((scores.possible.estimate for scores in scored), None)
    if possible is not None:
        label = "true frames among themselves"
        axes.axhline(possible.mean, color=INK, linewidth=0.8, linestyle=":", label=label)
    if not card.higher_is_better:  # better is up and to the right
        axes.xaxis.set_inverted(True)
        axes.yaxis.set_inverted(True)
    axes.set_xlabel(f"with the truth: {escape_label(heading(card))}")
    axes.set_ylabel(f"with its own earlier frame:\n{escape_label(heading(card))}")
    axes.spines[["top", "right"]].set_visible(False)
    figure.legend(loc="outside lower center", ncols=2, frameon=False)
    return figure


def _cards(scores: Iterable[tuple[MetricCard, Measured]]) -> list[MetricCard]:
    """Return the distinct cards whose scores have an estimate."""
    return list({card.name: card for card, score in scores if score.estimate is not None}.values())


def _error_bars(estimate: Estimate) -> list[list[float]] | None:
    if estimate.interval is None:
        return None
    low, high = estimate.interval
    return [[max(0.0, estimate.mean - low)], [max(0.0, high - estimate.mean)]]


def _scale_ages(axes: Axes, firsts: list[int]) -> None:
    """Use a logarithmic axis with a tick per doubling."""
    axes.set_xscale("log", base=2)
    ticks = [1 << power for power in range(4, 17)]
    axes.set_xticks(ticks, [str(tick) for tick in ticks])
    axes.minorticks_off()
    if firsts:
        axes.autoscale(axis="x", tight=False)
