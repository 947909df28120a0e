"use strict";
/** Load Plotly for the first chart that comes into view, and give all charts the same style. */
const Plots = (() => {
  const FONT = 'Inter, system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif';
  const OPTIONS = { displayModeBar: false, responsive: true, doubleClick: "reset", showTips: false };
  const pending = new Map(); // traces and layout of each element, drawn when it comes into view
  let library = null;

  const watcher = new IntersectionObserver((changes) => {
    for (const { target, isIntersecting } of changes) if (isIntersecting) render(target);
  }, { rootMargin: "150px" });

  function load() {
    library ??= Data.script("assets/plotly.min.js");
    return library;
  }

  async function render(element) {
    watcher.unobserve(element);
    await load();
    const { traces, layout } = pending.get(element);
    await Plotly.react(element, traces, layout, OPTIONS);
  }

  /** Escape a name so that Plotly does not interpret its tags and entities. */
  function literal(text) {
    return text.replace(/&/g, "&amp;").replace(/</g, "&lt;").replace(/>/g, "&gt;");
  }

  function axis(title, more = {}) {
    const [quiet, line] = [Palette.token("quiet"), Palette.token("line")];
    return { title: { text: literal(title), standoff: 12, font: { color: quiet, size: 13 } }, gridcolor: line, linecolor: Palette.token("line-strong"), tickfont: { color: quiet }, zeroline: false, automargin: true, ...more };
  }

  /** Draw traces into an element with axes `x` and `y` once it is about to scroll into view. */
  function draw(element, traces, { x, y, shapes = [], annotations = [], hovermode = "x unified" }) {
    const layout = {
      font: { family: FONT, size: 13, color: Palette.token("ink") },
      paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)",
      margin: { l: 56, r: 12, t: 26, b: 48 }, height: 380, hovermode,
      hoverlabel: { bgcolor: Palette.token("sheet"), bordercolor: Palette.token("line-strong"), font: { family: FONT, color: Palette.token("ink") } },
      legend: { orientation: "h", y: -0.22, x: 0, font: { color: Palette.token("ink") } },
      xaxis: x, yaxis: y, shapes, annotations, dragmode: "zoom",
    };
    pending.set(element, { traces, layout });
    watcher.unobserve(element);
    watcher.observe(element);
  }

  return { draw, axis, literal };
})();
