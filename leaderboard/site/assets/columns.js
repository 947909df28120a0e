"use strict";
/** The columns that a reader may choose: numbers with intervals, and facts of the cards. */
const Columns = (() => {
  const FACTS = [
    { id: "parameters", title: "Parameters", read: (row) => row.parameters, show: Numbers.count, isNumber: true },
    { id: "tokens", title: "Tokens a step", read: (row) => row.tokens, show: Numbers.count, isNumber: true },
    { id: "context", title: "Context read", read: (row) => row.contextFrames, show: String, isNumber: true },
    { id: "conditioning", title: "Conditioning", read: (row) => row.conditioning },
    { id: "licence", title: "Licence", read: (row) => row.licence },
    { id: "authors", title: "Authors", read: (row) => row.authors },
    { id: "date", title: "Date", read: (row) => row.date },
  ];
  const SHOWN_FACTS = ["parameters"];

  /** All columns of a table, in order. */
  function all(table) {
    return [...table.columns, ...FACTS];
  }

  /** The ids that are shown unless the reader says otherwise. */
  function usual(table) {
    return [...table.columns.filter((column) => column.isUsual).map((column) => column.id), ...SHOWN_FACTS];
  }

  /** Whether it holds numbers with intervals. */
  function isScore(column) {
    return column.values !== undefined;
  }

  /** [mean, low, high] of a row, or null. */
  function score(column, place, window) {
    const values = column.values[""] ?? column.values[window];
    return values[place];
  }

  /** "best", "level" or null. */
  function standing(column, place, window) {
    return (column.standings[""] ?? column.standings[window])[place];
  }

  /** What rows are sorted by: a number, a text, or null where there is nothing. */
  function key(column, table, place, window) {
    if (isScore(column)) return score(column, place, window)?.[0] ?? null;
    const value = column.read(table.rows[place]);
    return value === "" || value === undefined ? null : value;
  }

  /** As in "PSNR (dB) ↑". */
  function heading(column) {
    const arrow = isScore(column) ? (column.isHigherBetter ? " ↑" : " ↓") : "";
    return `${column.title}${column.unit ? ` (${column.unit})` : ""}${arrow}`;
  }

  return { all, usual, isScore, score, standing, key, heading };
})();
