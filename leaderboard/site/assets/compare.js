"use strict";
/** The comparison page: videos, curves and differences of the models chosen in the address. */
(() => {
  const tables = Data.get("tables");
  const $ = (id) => document.getElementById(id);
  let view = fromAddress();
  let player = null;

  function fromAddress() {
    const fields = Fragment.read();
    const table = tables.find(({ slug }) => slug === fields.table) ?? tables[0];
    const known = Fragment.list(fields.models).filter((slug) => table.rows.some((row) => row.slug === slug));
    const names = table.windows.map((window) => window.name);
    return {
      table,
      models: [...new Set(known)].length ? [...new Set(known)] : table.rows.filter((row) => !row.isReference).slice(0, 3).map((row) => row.slug),
      metric: fields.metric ?? "",
      window: names.includes(fields.window) ? fields.window : names.at(-1),
      video: fields.video ?? "",
      frame: fields.frame === undefined ? null : Number.parseInt(fields.frame, 10) || 0,
      overlay: fields.overlay === "on",
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
    return rows.map((row, index) => ({ row, entry: entries[index], index }));
  }

  function drawChoice() {
    const { table } = view;
    const chips = view.models.map((slug, index) => {
      const row = table.rows.find((candidate) => candidate.slug === slug);
      return Dom.el("li", { class: `chip series-${Palette.number(index)}` }, Dom.el("i", { class: "swatch" }), Dom.el("a", { href: `models/${slug}.html` }, row.name),
        Dom.el("button", { type: "button", "aria-label": `Remove ${row.name}`, onclick: () => choose(view.models.filter((other) => other !== slug)) }, "×"));
    });
    const others = table.rows.filter((row) => !view.models.includes(row.slug));
    const add = Dom.select("Add a model", [{ value: "", label: "Add a model" }, ...others.map((row) => ({ value: row.slug, label: row.isReference ? `${row.name} (reference)` : row.name }))], "", (slug) => choose([...view.models, slug]));
    const tableMenu = Dom.select("Table", tables.map(({ slug, title }) => ({ value: slug, label: title })), table.slug, (slug) => {
      Fragment.write({ table: slug });
      view = fromAddress();
      draw();
    });
    $("choice").replaceChildren(tableMenu, Dom.el("ul", { class: "chips" }, chips), others.length ? add : "");
    $("lede").textContent = `${table.title}: ${table.numVideos} videos, each with ${table.context} context frames and ${table.horizon} generated frames.`;
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
    const scene = usable.find(({ key }) => key === view.video) ?? usable[0];
    view.video = scene.key;
    const videos = Dom.segments("video", "Video", usable.map(({ key }) => ({ value: key, label: key })), scene.key, (key) => {
      Object.assign(view, { video: key, frame: null });
      toAddress();
      drawPlayer(items);
    });
    const stage = Dom.el("div", {});
    const missing = items.filter(({ entry }) => !entry.videos[scene.key]).map(({ row }) => row.name);
    $("player").replaceChildren(Dom.el("div", { class: "toolbar" }, videos, Dom.el("p", { class: "keys" }, kbd("space"), " play ", kbd("←"), kbd("→"), " frame ", kbd("N"), kbd("P"), " return ", kbd("O"), " mark")),
      stage, missing.length ? Dom.el("p", { class: "caption" }, `No video of ${missing.join(", ")}.`) : "");
    player = Player.make(stage, scene, items, view.frame ?? firstReturn(scene), view.overlay, (frame, overlay) => {
      view.frame = frame;
      if (overlay !== undefined) view.overlay = overlay;
      toAddress();
    });
  }

  /** The frame to start at: shortly after the first return, where memory shows. */
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
    const column = columns.find(({ id }) => id === view.metric) ?? columns[0];
    const options = columns.map(({ id, title }) => ({ value: id, label: title }));
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
    const paired = columns.filter(({ id }) => items.filter(({ entry }) => entry.metrics[id]?.videos).length > 1);
    $("differences").hidden = paired.length === 0;
    if (!paired.length) return;
    const shown = paired.includes(column) ? column : paired[0];
    metricTools($("difference-tools"), "difference", paired.map(({ id, title }) => ({ value: id, label: title })), shown.id, setMetric, true);
    Differences.draw($("pairs"), items, shown, view.window, await Statistics.resamples(view.table.numVideos));
  }

  function drawMemory(items, column) {
    const metrics = [...new Set(items.flatMap(({ entry }) => Object.keys(entry.recall)))].filter((metric) => items.some(({ entry }) => entry.recall[metric].ages?.length));
    $("memory").hidden = metrics.length === 0;
    if (!metrics.length) return;
    const metric = metrics.includes(column.id) ? column.id : metrics[0];
    const columnOf = (id) => view.table.columns.find((candidate) => candidate.id === id);
    metricTools($("memory-tools"), "memory", metrics.map((id) => ({ value: id, label: columnOf(id)?.title ?? id })), metric, (id) => { view.metric = id; toAddress(); drawNumbers(); }, false);
    Charts.ages($("memory-chart"), items, metric, columnOf(metric) ? Columns.heading(columnOf(metric)) : metric, columnOf(metric)?.decimals ?? 3);
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
