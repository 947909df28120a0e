"use strict";
/** The table of paired differences: every chosen model against every other. */
const Differences = (() => {
  /** Draw it for a metric and window; `chosen` are {row, entry}. */
  function draw(element, chosen, column, window, draws) {
    const having = chosen.filter(({ entry }) => entry.metrics[column.id]?.videos);
    const head = Dom.el("thead", {}, Dom.el("tr", {}, Dom.el("th", { scope: "col" }, Columns.heading(column)),
      having.map(({ row }) => Dom.el("th", { scope: "col" }, `\u2212 ${row.name}`))));
    const lines = having.map((one) => Dom.el("tr", {}, Dom.el("th", { scope: "row" }, one.row.name),
      having.map((other) => cell(one, other, column, window, draws))));
    element.replaceChildren(head, Dom.el("tbody", {}, lines));
    return having.length;
  }

  function cell(one, other, column, window, draws) {
    if (one === other) return Dom.el("td", { class: "self" }, "\u2013");
    const [here, there] = [one, other].map(({ entry }) => entry.metrics[column.id].videos[window]);
    const found = Statistics.difference(here, there, draws);
    const isSure = found.low !== undefined && (found.low > 0 || found.high < 0);
    const isBetter = found.mean > 0 === column.isHigherBetter;
    const verdict = isSure ? (isBetter ? "better" : "worse") : "";
    return Dom.el("td", { class: verdict, "data-low": found.low, "data-high": found.high },
      Dom.el("span", { class: "mean" }, Numbers.fixed(found.mean, column.decimals, true)),
      found.low === undefined ? null : Dom.el("small", {}, Numbers.interval(found.low, found.high, column.decimals, true)),
      verdict ? Dom.el("small", { class: "verdict" }, verdict) : null);
  }

  return { draw };
})();
