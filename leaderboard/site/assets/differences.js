"use strict";
/** The table of paired differences: every chosen model against every other. */
const Differences = (() => {
  /** Draw the table for a metric and window; `chosen` holds {row, entry}. */
  function draw(element, chosen, column, window, draws) {
    const scored = chosen.filter(({ entry }) => entry.metrics[column.id]?.videos);
    const head = Dom.el("thead", {}, Dom.el("tr", {}, Dom.el("th", { scope: "col" }, Columns.heading(column)),
      scored.map(({ row }) => Dom.el("th", { scope: "col" }, `\u2212 ${row.name}`))));
    const lines = scored.map((first) => Dom.el("tr", {}, Dom.el("th", { scope: "row" }, first.row.name),
      scored.map((second) => cell(first, second, column, window, draws))));
    element.replaceChildren(head, Dom.el("tbody", {}, lines));
    return scored.length;
  }

  function cell(first, second, column, window, draws) {
    if (first === second) return Dom.el("td", { class: "self" }, "\u2013");
    const [minuend, subtrahend] = [first, second].map(({ entry }) => entry.metrics[column.id].videos[window]);
    const { mean, low, high } = Statistics.difference(minuend, subtrahend, draws);
    const isSure = low !== undefined && (low > 0 || high < 0);
    const isBetter = mean > 0 === column.isHigherBetter;
    const verdict = isSure ? (isBetter ? "better" : "worse") : "";
    return Dom.el("td", { class: verdict, "data-low": low, "data-high": high },
      Dom.el("span", { class: "mean" }, Numbers.fixed(mean, column.decimals, true)),
      low === undefined ? null : Dom.el("small", {}, Numbers.interval(low, high, column.decimals, true)),
      verdict ? Dom.el("small", { class: "verdict" }, verdict) : null);
  }

  return { draw };
})();
