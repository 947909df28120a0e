"use strict";
/** Colours (from the style sheet) and dashes that distinguish models. */
const Palette = (() => {
  const NUM_COLORS = 7;
  const DASHES = ["solid", "dash", "dot", "dashdot"];

  function token(name) {
    return getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
  }

  /** The number of a series' colour, from 1. */
  function number(index) {
    return (index % NUM_COLORS) + 1;
  }

  function color(index) {
    return token(`series-${number(index)}`);
  }

  /** References are dashed, as are models once the colours repeat. */
  function dash(index, isReference) {
    return DASHES[(Math.floor(index / NUM_COLORS) + (isReference ? 1 : 0)) % DASHES.length];
  }

  /** Add an opacity to a colour like "#0072b2". */
  function faded(hex, opacity) {
    const parts = [1, 3, 5].map((start) => parseInt(hex.slice(start, start + 2), 16));
    return `rgba(${parts.join(",")},${opacity})`;
  }

  return { token, number, color, dash, faded };
})();
