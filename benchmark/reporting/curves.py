"""Figures of every metric against the number of generated frames, as in the paper's figures 4 and 8."""

from collections.abc import Mapping, Sequence
from itertools import cycle

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from benchmark.results.comparable import require_comparable
from benchmark.results.estimates import MetricCard
from benchmark.results.result_file import Curve, Result
from benchmark.results.tables import heading, headline_cards, label_results

# Okabe and Ito's palette, distinguishable with any colour vision and in greyscale.
COLORS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000")
REFERENCE_COLOR = "#7a7f87"
BOUND_STYLES: tuple[str, ...] = ("--", ":", "-.")
INK = "#30343b"


def curve_figures(results: Mapping[str, Result]) -> dict[str, Figure]:
    """Return a figure per headline metric, by name; `results` is as for `tables.window_tables`."""
    require_comparable(results)
    by_label = {escape_label(label): result for label, result in label_results(results.values()).items()}
    return {card.name: curve_figure(by_label, card) for card in headline_cards(results.values())}


def escape_label(text: str) -> str:
    """Escape a label for Matplotlib, which reads $ as mathematics and hides labels beginning with _."""
    return (" " if text.startswith("_") else "") + text.replace("$", r"\$")


def curve_figure(results: Mapping[str, Result], card: MetricCard) -> Figure:
    """Draw one metric's mean over videos with its 95 % band, models in colour and references in grey.

    The models set the scale; references outside it are named at that edge.
    """
    figure = Figure(figsize=(7.2, 3.6), layout="constrained")
    axes = figure.add_subplot()
    curves = {
        label: result.metrics[card.name].curve
        for label, result in results.items()
        if card.name in result.metrics
    }
    references = {label: curve for label, curve in curves.items() if results[label].model.role == "bound"}
    for label, (color, style) in line_styles(results).items():
        if label in curves:
            _draw(axes, label, curves[label], color, style)
    _limit(axes, [curve for label, curve in curves.items() if label not in references] or [*curves.values()])
    _name_references_outside(axes, references)
    _mark_windows(axes, next(iter(results.values())))
    axes.set_xlabel("generated frames")
    axes.set_ylabel(escape_label(heading(card)))
    axes.spines[["top", "right"]].set_visible(False)
    figure.legend(loc="outside lower center", ncols=3, frameon=False)
    return figure


def line_styles(results: Mapping[str, Result]) -> dict[str, tuple[str, str]]:
    """Return each run's (colour, line style) by label, references first."""
    references = [label for label, run in results.items() if run.model.role == "bound"]
    models = [label for label in results if label not in references]
    return {
        **{label: (REFERENCE_COLOR, style) for label, style in zip(references, cycle(BOUND_STYLES))},
        **{label: (color, "-") for label, color in zip(models, cycle(COLORS))},
    }


def _draw(axes: Axes, label: str, curve: Curve, color: str, style: str) -> None:
    frames = (np.arange(len(curve.mean)) + 1) * curve.step
    axes.plot(frames, curve.mean, color=color, linestyle=style, linewidth=1.4, label=label)
    if curve.low is not None and curve.high is not None:
        axes.fill_between(frames, curve.low, curve.high, color=color, alpha=0.18, linewidth=0)


def _limit(axes: Axes, curves: Sequence[Curve]) -> None:
    """Fit the vertical axis to these curves and their bands, with a margin."""
    values = [value for c in curves for line in (c.mean, c.low, c.high) if line is not None for value in line]
    if values:
        margin = 0.08 * (max(values) - min(values)) or 0.5
        axes.set_ylim(min(values) - margin, max(values) + margin)


def _name_references_outside(axes: Axes, references: Mapping[str, Curve]) -> None:
    low, high = axes.get_ylim()
    above = [label for label, curve in references.items() if min(curve.mean) > high]
    below = [label for label, curve in references.items() if max(curve.mean) < low]
    for labels, height, arrow, anchor in ((above, 0.98, "↑", "top"), (below, 0.02, "↓", "bottom")):
        if labels:
            text = ", ".join(f"{label} {arrow}" for label in labels)
            alignment = {"transform": axes.transAxes, "ha": "right", "va": anchor}
            axes.text(0.99, height, text, color=REFERENCE_COLOR, fontsize=8, **alignment)  # type: ignore[arg-type]


def _mark_windows(axes: Axes, result: Result) -> None:
    """Label the windows above the axes and draw a line at the end of each."""
    axes.set_xlim(0, result.protocol.horizon)
    for window in result.protocol.windows:
        if window.last < result.protocol.horizon:
            axes.axvline(window.last + 0.5, color=INK, linewidth=0.6, alpha=0.4)
        middle = (window.first + window.last) / 2
        transform = axes.get_xaxis_transform()
        axes.text(middle, 1.01, window.name, transform=transform, ha="center", fontsize=8, color=INK)
