"use strict";
/** The view as the address says it: #table=...&window=...&sort=...; what is as by default is left out. */
const Fragment = (() => {
  /** The fields of the address. */
  function read() {
    return Object.fromEntries(new URLSearchParams(location.hash.slice(1)));
  }

  /** Write fields into the address without a step in the history. */
  function write(fields) {
    const said = Object.entries(fields).filter(([, value]) => value !== "" && value !== null && value !== undefined);
    const text = said.map(([name, value]) => `${name}=${encodeURIComponent(value).replace(/%2C/g, ",")}`).join("&");
    history.replaceState(null, "", text ? `#${text}` : location.pathname + location.search);
  }

  /** A list that is written with commas. */
  function list(text) {
    return text ? text.split(",").filter(Boolean) : [];
  }

  return { read, write, list };
})();
