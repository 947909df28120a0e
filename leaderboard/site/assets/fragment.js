"use strict";
/** The view in the address, like #table=...&window=...&sort=...; defaults are left out. */
const Fragment = (() => {
  /** The fields of the address. */
  function read() {
    return Object.fromEntries(new URLSearchParams(location.hash.slice(1)));
  }

  /** Write fields into the address without adding a history entry. */
  function write(fields) {
    const present = Object.entries(fields).filter(([, value]) => value !== "" && value !== null && value !== undefined);
    const text = present.map(([name, value]) => `${name}=${encodeURIComponent(value).replace(/%2C/g, ",")}`).join("&");
    history.replaceState(null, "", text ? `#${text}` : location.pathname + location.search);
  }

  /** Split a comma-separated list. */
  function list(text) {
    return text ? text.split(",").filter(Boolean) : [];
  }

  return { read, write, list };
})();
