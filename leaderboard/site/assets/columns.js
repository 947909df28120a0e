"use strict";
/** The available columns: scores with intervals, and facts from the model cards. */
const Columns = (() => {
  const FACTS = [
    { id: "parameters", title: "Parameters", read: (row) => row.parameters, show: Numbers.count, isNumber: true },
    { id: "tokens", title: "Tokens per step", read: (row) => row.tokens, show: Numbers.count, isNumber: true },
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

  /** The ids of the columns shown by default. */
  function usual(table) {
    return [...table.columns.filter((column) => column.isUsual).map((column) => column.id), ...SHOWN_FACTS];
  }

  /** Whether a column holds scores, as opposed to facts. */
  function isScore(column) {
    return column.values !== undefined;
  }

  /** [mean, low, high] of a row, or null. */
  function score(column, index, window) {
    const values = column.values[""] ?? column.values[window];
    return values[index];
  }

  /** "best", "level" or null. */
  function standing(column, index, window) {
    return (column.standings[""] ?? column.standings[window])[index];
  }

  /** The sort key of a row: a number, a text, or null if it has no value. */
  function key(column, table, index, window) {
    if (isScore(column)) return score(column, index, window)?.[0] ?? null;
    const value = column.read(table.rows[index]);
    return value === "" || value === undefined ? null : value;
  }

  /** A heading like "PSNR (dB) ↑". */
  function heading(column) {
    const arrow = isScore(column) ? (column.isHigherBetter ? " ↑" : " ↓") : "";
    return `${column.title}${column.unit ? ` (${column.unit})` : ""}${arrow}`;
  }

  return { all, usual, isScore, score, standing, key, heading };
})();
