"use strict";
/** Charts of a comparison: metrics over time, recall by age, and agreement with itself and with the truth. */
const Charts = (() => {
  /** Draw a metric against the generated frames, with bands and lines between the windows. */
  function curves(element, chosen, column, table) {
    const traces = chosen.flatMap((item) => {
      const curve = item.entry.metrics[column.id]?.curve;
      if (!curve) return [];
      const x = curve.mean.map((_, index) => (index + 1) * curve.step);
      return [...band(item, x, curve.low, curve.high), line(item, x, curve.mean, column.decimals)];
    });
    const rule = (window) => ({ type: "line", x0: window.last + 0.5, x1: window.last + 0.5, yref: "paper", y0: 0, y1: 1, line: { color: Palette.token("line-strong"), width: 1 } });
    const name = (window) => ({ x: (window.first + window.last) / 2, y: 1.06, yref: "paper", text: Plots.literal(window.name), showarrow: false, font: { size: 12, color: Palette.token("quiet") } });
    Plots.draw(element, traces, {
      x: Plots.axis("generated frames", { range: [0, table.horizon] }),
      y: Plots.axis(Columns.heading(column)),
      shapes: table.windows.slice(0, -1).map(rule), annotations: table.windows.map(name),
    });
  }

  function line({ row, index }, x, y, decimals, more = {}) {
    return { type: "scatter", mode: "lines", name: Plots.literal(row.name), legendgroup: row.slug, x, y, hovertemplate: `%{y:.${decimals}f}`, line: { color: Palette.color(index), width: 2, dash: Palette.dash(index, row.isReference) }, ...more };
  }

  function band({ row, index }, x, low, high) {
    if (!low || !high) return [];
    const quiet = { type: "scatter", mode: "lines", legendgroup: row.slug, showlegend: false, hoverinfo: "skip", x, line: { width: 0 } };
    return [{ ...quiet, y: low }, { ...quiet, y: high, fill: "tonexty", fillcolor: Palette.faded(Palette.color(index), 0.14) }];
  }

  /** Draw a metric on returned pixels against the frames since they were last visible. */
  function ages(element, chosen, metric, heading, decimals) {
    const traces = chosen.flatMap((item) => {
      const points = item.entry.recall[metric]?.ages ?? [];
      if (!points.length) return [];
      const x = points.map((point) => point.middle);
      const y = points.map((point) => point.value[0]);
      const error = { type: "data", symmetric: false, array: points.map((point) => (point.value[2] ?? point.value[0]) - point.value[0]), arrayminus: points.map((point) => point.value[0] - (point.value[1] ?? point.value[0])), thickness: 1.2, width: 3, color: Palette.color(item.index) };
      const customdata = points.map((point) => [`${point.first}\u2013${point.last} frames ago, ${point.numVideos} videos`]);
      return [line(item, x, y, decimals, { mode: "lines+markers", marker: { size: 7, color: Palette.color(item.index) }, error_y: error, customdata, hovertemplate: `%{y:.${decimals}f} (%{customdata[0]})` })];
    });
    Plots.draw(element, traces, { x: Plots.axis("frames since last visible", { type: "log", dtick: Math.log10(2) }), y: Plots.axis(heading), hovermode: "closest" });
  }

  /** Draw agreement with its own earlier frames (horizontal) and with the truth (vertical). */
  function agreement(element, chosen, metric) {
    const scored = chosen.filter(({ entry }) => entry.consistency[metric]?.withItself && entry.consistency[metric]?.withTruth);
    const { title, unit } = scored[0].entry.consistency[metric];
    const whisker = (value, color) => ({ type: "data", symmetric: false, array: [(value[2] ?? value[0]) - value[0]], arrayminus: [value[0] - (value[1] ?? value[0])], color, thickness: 1.2, width: 3 });
    const traces = scored.map(({ row, index, entry }) => {
      const [x, y, color] = [entry.consistency[metric].withItself, entry.consistency[metric].withTruth, Palette.color(index)];
      return { type: "scatter", mode: "markers", name: Plots.literal(row.name), x: [x[0]], y: [y[0]], error_x: whisker(x, color), error_y: whisker(y, color), marker: { size: 11, color, symbol: row.isReference ? "circle-open" : "circle" } };
    });
    const label = unit ? `${title} (${unit})` : title;
    Plots.draw(element, traces, { x: Plots.axis(`${label} with its own earlier frame`), y: Plots.axis(`${label} with the truth`), hovermode: "closest" });
  }

  return { curves, ages, agreement };
})();
