"use strict";
/** The light or dark theme: the system's, unless the reader has chosen one before. */
(() => {
  const KEY = "loopcraft-theme";

  function stored() {
    try {
      return localStorage.getItem(KEY);
    } catch {
      return null; // storage may be blocked: follow the system
    }
  }

  const remembered = stored();
  if (remembered === "light" || remembered === "dark") document.documentElement.dataset.theme = remembered;

  document.addEventListener("DOMContentLoaded", () => {
    document.getElementById("theme").addEventListener("click", () => {
      const root = document.documentElement;
      const isDark = root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
      root.dataset.theme = isDark ? "light" : "dark";
      try {
        localStorage.setItem(KEY, root.dataset.theme);
      } catch {
        // the choice then lasts for this page only
      }
      document.dispatchEvent(new Event("themechange"));
    });
  });
})();
