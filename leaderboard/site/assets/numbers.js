"use strict";
/** Format numbers. */
const Numbers = (() => {
  const MINUS = "\u2212";

  /** Fixed decimals with a true minus sign; `sign` adds a plus to positive numbers. */
  function fixed(value, decimals, sign = false) {
    const text = Math.abs(value).toFixed(decimals);
    const isZero = Number(text) === 0;
    if (value < 0 && !isZero) return MINUS + text;
    return sign && !isZero ? `+${text}` : text;
  }

  /** An interval like "[17.05, 17.71]". */
  function interval(low, high, decimals, sign = false) {
    return `[${fixed(low, decimals, sign)}, ${fixed(high, decimals, sign)}]`;
  }

  /** A count like "4.95 M". */
  function count(value) {
    if (value === null || value === undefined) return "\u2013";
    for (const [unit, size] of [["T", 1e12], ["B", 1e9], ["M", 1e6], ["k", 1e4]]) {
      if (value >= size) return `${(value / (unit === "k" ? 1e3 : size)).toPrecision(3)} ${unit}`;
    }
    return String(value);
  }

  return { fixed, interval, count };
})();
