"use strict";
/** The colours and dashes by which models are told apart, out of the style sheet. */
const Palette = (() => {
  const NUM_COLORS = 7;
  const DASHES = ["solid", "dash", "dot", "dashdot"];

  function token(name) {
    return getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
  }

  /** The number of a series' colour, from 1. */
  function number(place) {
    return (place % NUM_COLORS) + 1;
  }

  function color(place) {
    return token(`series-${number(place)}`);
  }

  /** References are dashed; so are models once the colours begin again. */
  function dash(place, isReference) {
    return DASHES[(Math.floor(place / NUM_COLORS) + (isReference ? 1 : 0)) % DASHES.length];
  }

  /** A colour of six hexadecimal digits with an opacity. */
  function faded(hex, opacity) {
    const parts = [1, 3, 5].map((start) => parseInt(hex.slice(start, start + 2), 16));
    return `rgba(${parts.join(",")},${opacity})`;
  }

  return { token, number, color, dash, faded };
})();
