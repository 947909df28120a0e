"use strict";
/** The page that compares: models chosen in the address, their films, curves and differences. */
(() => {
  const tables = Data.get("tables");
  const $ = (id) => document.getElementById(id);
  let view = fromAddress();
  let player = null;

  function fromAddress() {
    const said = Fragment.read();
    const table = tables.find((found) => found.slug === said.table) ?? tables[0];
    const known = Fragment.list(said.models).filter((slug) => table.rows.some((row) => row.slug === slug));
    const names = table.windows.map((window) => window.name);
    return {
      table,
      models: [...new Set(known)].length ? [...new Set(known)] : table.rows.filter((row) => !row.isReference).slice(0, 3).map((row) => row.slug),
      metric: said.metric ?? "",
      window: names.includes(said.window) ? said.window : names.at(-1),
      video: said.video ?? "",
      frame: said.frame === undefined ? null : Number.parseInt(said.frame, 10) || 0,
      overlay: said.overlay === "on",
    };
  }

  function toAddress() {
    Fragment.write({
      table: view.table.slug, models: view.models.join(), metric: view.metric, window: view.window === view.table.windows.at(-1).name ? "" : view.window,
      video: view.video, frame: view.frame ?? "", overlay: view.overlay ? "on" : "",
    });
  }

  async function chosen() {
    const rows = view.models.map((slug) => view.table.rows.find((row) => row.slug === slug));
    const entries = await Promise.all(rows.map((row) => Data.load(`entries/${row.slug}`)));
    return rows.map((row, place) => ({ row, entry: entries[place], place }));
  }

  function drawChoice() {
    const { table } = view;
    const chips = view.models.map((slug, place) => {
      const row = table.rows.find((found) => found.slug === slug);
      return Dom.el("li", { class: `chip series-${Palette.number(place)}` }, Dom.el("i", { class: "swatch" }), Dom.el("a", { href: `models/${slug}.html` }, row.name),
        Dom.el("button", { type: "button", "aria-label": `Leave ${row.name} out`, onclick: () => choose(view.models.filter((other) => other !== slug)) }, "×"));
    });
    const others = table.rows.filter((row) => !view.models.includes(row.slug));
    const add = Dom.select("Add a model", [{ value: "", label: "Add a model" }, ...others.map((row) => ({ value: row.slug, label: row.isReference ? `${row.name} (reference)` : row.name }))], "", (slug) => choose([...view.models, slug]));
    const which = Dom.select("Table", tables.map((found) => ({ value: found.slug, label: found.title })), table.slug, (slug) => {
      Fragment.write({ table: slug });
      view = fromAddress();
      draw();
    });
    $("choice").replaceChildren(which, Dom.el("ul", { class: "chips" }, chips), others.length ? add : "");
    $("lede").textContent = `${table.title}: ${table.numVideos} videos, ${table.context} frames given and ${table.horizon} generated.`;
  }

  function choose(models) {
    view.models = models;
    draw();
  }

  async function drawPlayer(items) {
    const scenes = await Data.load(`scenes/${view.table.slug}`);
    const usable = scenes.filter((scene) => items.some(({ entry }) => entry.videos[scene.key]));
    $("watch").hidden = usable.length === 0;
    player?.remove();
    if (!usable.length) return;
    const scene = usable.find((found) => found.key === view.video) ?? usable[0];
    view.video = scene.key;
    const videos = Dom.segments("video", "Video", usable.map(({ key }) => ({ value: key, label: key })), scene.key, (key) => {
      Object.assign(view, { video: key, frame: null });
      toAddress();
      drawPlayer(items);
    });
    const stage = Dom.el("div", {});
    const without = items.filter(({ entry }) => !entry.videos[scene.key]).map(({ row }) => row.name);
    $("player").replaceChildren(Dom.el("div", { class: "toolbar" }, videos, Dom.el("p", { class: "keys" }, kbd("space"), " play ", kbd("←"), kbd("→"), " frame ", kbd("N"), kbd("P"), " return ", kbd("O"), " mark")),
      stage, without.length ? Dom.el("p", { class: "caption" }, `No video of ${without.join(", ")}.`) : "");
    player = Player.make(stage, scene, items, view.frame ?? firstReturn(scene), view.overlay, (frame, overlay) => {
      view.frame = frame;
      if (overlay !== undefined) view.overlay = overlay;
      toAddress();
    });
  }

  /** A frame at which it shows who remembers: shortly after the agent is back for the first time. */
  function firstReturn({ walk }) {
    return walk.returns.length ? Math.min(walk.returns[0] + 4, walk.x.length - 1) : walk.context;
  }

  function kbd(text) {
    return Dom.el("kbd", {}, text);
  }

  function metricTools(element, name, options, current, change, withWindow) {
    const windows = view.table.windows.map((window) => ({ value: window.name, label: window.name, note: `${window.first}\u2013${window.last}` }));
    element.replaceChildren(
      options.length > 1 ? Dom.segments(name, "Metric", options, current, change) : "",
      withWindow ? Dom.segments(`${name}-window`, "Window", windows, view.window, (value) => { view.window = value; toAddress(); drawNumbers(); }) : "");
  }

  async function drawNumbers() {
    const items = await chosen();
    const columns = view.table.columns.filter((column) => items.some(({ entry }) => entry.metrics[column.id]));
    const column = columns.find((found) => found.id === view.metric) ?? columns[0];
    const options = columns.map((found) => ({ value: found.id, label: found.title }));
    const setMetric = (id) => { view.metric = id; toAddress(); drawNumbers(); };
    $("curves").hidden = !column;
    if (!column) return;
    metricTools($("curve-tools"), "curve", options, column.id, setMetric, false);
    Charts.curves($("curve-chart"), items, column, view.table);
    drawMemory(items, column);
    drawAgreement(items, column);
    await drawDifferences(items, columns, column, setMetric);
  }

  async function drawDifferences(items, columns, column, setMetric) {
    const paired = columns.filter((found) => items.filter(({ entry }) => entry.metrics[found.id]?.videos).length > 1);
    $("differences").hidden = paired.length === 0;
    if (!paired.length) return;
    const shown = paired.includes(column) ? column : paired[0];
    metricTools($("difference-tools"), "difference", paired.map((found) => ({ value: found.id, label: found.title })), shown.id, setMetric, true);
    Differences.draw($("pairs"), items, shown, view.window, await Statistics.resamples(view.table.numVideos));
  }

  function drawMemory(items, column) {
    const metrics = [...new Set(items.flatMap(({ entry }) => Object.keys(entry.recall)))].filter((metric) => items.some(({ entry }) => entry.recall[metric].ages?.length));
    $("memory").hidden = metrics.length === 0;
    if (!metrics.length) return;
    const metric = metrics.includes(column.id) ? column.id : metrics[0];
    const of = (id) => view.table.columns.find((found) => found.id === id);
    metricTools($("memory-tools"), "memory", metrics.map((id) => ({ value: id, label: of(id)?.title ?? id })), metric, (id) => { view.metric = id; toAddress(); drawNumbers(); }, false);
    Charts.ages($("memory-chart"), items, metric, of(metric) ? Columns.heading(of(metric)) : metric, of(metric)?.decimals ?? 3);
  }

  function drawAgreement(items, column) {
    const metrics = [...new Set(items.flatMap(({ entry }) => Object.keys(entry.consistency).filter((id) => entry.consistency[id].withItself && entry.consistency[id].withTruth)))];
    $("agreement").hidden = metrics.length === 0;
    if (!metrics.length) return;
    const metric = metrics.includes(column.id) ? column.id : metrics[0];
    Charts.agreement($("agreement-chart"), items, metric);
  }

  async function draw() {
    drawChoice();
    toAddress();
    const items = await chosen();
    await drawPlayer(items);
    await drawNumbers();
    document.body.dataset.drawn = view.models.join();
  }

  document.addEventListener("themechange", drawNumbers);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", drawNumbers);
  addEventListener("hashchange", () => {
    view = fromAddress();
    draw();
  });
  draw();
})();
