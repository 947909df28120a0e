"use strict";
/** Values from the data files, by name. These are scripts because a page opened from disk cannot fetch anything else. */
const Data = (() => {
  const values = new Map();
  const loading = new Map();

  /** Called by the data files. */
  function put(name, value) {
    values.set(name, value);
  }

  /** A value from a data file that the page itself includes. */
  function get(name) {
    return values.get(name);
  }

  /** The value of data/NAME.js, loaded once. */
  function load(name) {
    if (values.has(name)) return Promise.resolve(values.get(name));
    if (!loading.has(name)) loading.set(name, script(`data/${name}.js`).then(() => values.get(name)));
    return loading.get(name);
  }

  /** Run a script of this site; the promise is rejected if it is missing. */
  function script(address) {
    return new Promise((resolve, reject) => {
      const element = document.createElement("script");
      element.src = address;
      element.onload = () => resolve();
      element.onerror = () => reject(new Error(`${address} is missing from this site`));
      document.head.append(element);
    });
  }

  return { put, get, load, script };
})();
