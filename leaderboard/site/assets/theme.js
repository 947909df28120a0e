"use strict";
/** Light or dark: what the system says, unless the reader has pressed the button before. */
(() => {
  const KEY = "loopcraft-theme";

  function stored() {
    try {
      return localStorage.getItem(KEY);
    } catch {
      return null; // storage may be forbidden: the system's choice stands
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
        // it holds for this page then
      }
      document.dispatchEvent(new Event("themechange"));
    });
  });
})();
