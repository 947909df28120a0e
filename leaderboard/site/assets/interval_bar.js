"use strict";
/** A small bar under a number that shows its interval on the scale of the column's models. */
const IntervalBar = (() => {
  const WIDTH = 104;
  const HEIGHT = 8;
  const MARGIN = 4;

  /** [least, most] over the models' intervals, or null if they do not span a range. */
  function scale(table, column, window) {
    const models = table.rows.map((row, index) => (row.isReference ? null : Columns.score(column, index, window))).filter(Boolean);
    if (!models.length) return null;
    const least = Math.min(...models.map((value) => Math.min(...value)));
    const most = Math.max(...models.map((value) => Math.max(...value)));
    return most > least ? [least, most] : null;
  }

  /** The bar of [mean, low, high]; parts beyond the scale are cut off. */
  function draw(value, [least, most]) {
    const x = (number) => MARGIN + ((number - least) / (most - least)) * (WIDTH - 2 * MARGIN);
    const clip = (number) => Math.max(MARGIN, Math.min(WIDTH - MARGIN, x(number)));
    const [mean, low, high] = [value[0], value[1] ?? value[0], value[2] ?? value[0]];
    const middle = HEIGHT / 2;
    const parts = [Dom.svg("line", { class: "bar-track", x1: MARGIN, x2: WIDTH - MARGIN, y1: middle, y2: middle })];
    if (high >= least && low <= most) {
      parts.push(Dom.svg("line", { class: "bar-range", x1: clip(low).toFixed(1), x2: clip(high).toFixed(1), y1: middle, y2: middle }));
    }
    if (mean < least || mean > most) parts.push(beyond(mean > most, middle));
    else parts.push(Dom.svg("circle", { class: "bar-mean", cx: x(mean).toFixed(1), cy: middle, r: 2.6 }));
    return Dom.svg("svg", { width: WIDTH, height: HEIGHT, viewBox: `0 0 ${WIDTH} ${HEIGHT}`, "aria-hidden": "true" }, ...parts);
  }

  /** An arrow at the end of the track: the mean is off the scale. */
  function beyond(isAbove, middle) {
    const [tip, foot] = isAbove ? [WIDTH - 0.5, WIDTH - MARGIN - 1] : [0.5, MARGIN + 1];
    return Dom.svg("path", { class: "bar-mean", d: `M${tip} ${middle} L${foot} ${middle - 3} L${foot} ${middle + 3} Z` });
  }

  return { scale, draw };
})();
