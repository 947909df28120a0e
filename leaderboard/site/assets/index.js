"use strict";
/** The first page: reads the view from the address, draws it, and writes it back when the reader changes it. */
(() => {
  const tables = Data.get("tables");
  const board = document.getElementById("board");
  let view = fromAddress();
  let rows = [];

  function tableOf(slug) {
    return tables.find((table) => table.slug === slug) ?? tables[0];
  }

  function usualSort(table) {
    return (table.columns.find((column) => column.id.startsWith("recall-gain")) ?? table.columns[0]).id;
  }

  function fromAddress() {
    const fields = Fragment.read();
    const table = tableOf(fields.table);
    const names = table.windows.map((window) => window.name);
    const known = Columns.all(table).map((column) => column.id);
    const columns = Fragment.list(fields.columns).filter((id) => known.includes(id));
    const sort = fields.sort ? fields.sort.replace(/^-/, "") : usualSort(table);
    const column = table.columns.find(({ id }) => id === sort);
    return {
      table: table.slug,
      window: names.includes(fields.window) ? fields.window : names.at(-1),
      sort: known.includes(sort) || sort === "name" ? sort : usualSort(table),
      isDescending: fields.sort ? fields.sort.startsWith("-") : column ? column.isHigherBetter : false,
      find: fields.find ?? "",
      conditioning: fields.conditioning ?? "",
      references: fields.references !== "no",
      columns: columns.length ? known.filter((id) => columns.includes(id)) : Columns.usual(table),
      ticked: new Set(Fragment.list(fields.models).filter((slug) => table.rows.some((row) => row.slug === slug))),
    };
  }

  function toAddress() {
    const table = tableOf(view.table);
    const usual = Columns.usual(table).join();
    Fragment.write({
      table: view.table === tables[0].slug ? "" : view.table,
      window: view.window === table.windows.at(-1).name ? "" : view.window,
      sort: `${view.isDescending ? "-" : ""}${view.sort}`,
      find: view.find,
      conditioning: view.conditioning,
      references: view.references ? "" : "no",
      columns: view.columns.join() === usual ? "" : view.columns.join(),
      models: [...view.ticked].join(),
    });
  }

  function isShown(row) {
    if (row.isReference) return view.references;
    if (view.conditioning && row.conditioning !== view.conditioning) return false;
    const text = `${row.name} ${row.version} ${row.authors} ${row.licence}`.toLowerCase();
    return view.find.toLowerCase().split(/\s+/).every((word) => text.includes(word));
  }

  function arrange() {
    const table = tableOf(view.table);
    const column = Columns.all(table).find(({ id }) => id === view.sort);
    const shown = Board.arrange(board, table, rows, column, view.window, view.isDescending, isShown);
    document.getElementById("status").textContent =
      `${shown} of ${table.rows.length} rows; ${table.numVideos} videos, ${table.context} context frames, ${table.horizon} generated frames`;
    toAddress();
  }

  function redraw() {
    const table = tableOf(view.table);
    const columns = Columns.all(table).filter((column) => view.columns.includes(column.id));
    rows = Board.draw(board, table, columns, view.window, view.ticked, { tick, sort });
    document.getElementById("provenance").textContent =
      `${table.testSet ? `Canonical test set ${table.testSet}.` : "Not a canonical test set, hence a separate table."} Protocol ${table.protocol}, data ${table.fingerprint}.`;
    arrange();
    tray();
  }

  function sort(id) {
    const column = Columns.all(tableOf(view.table)).find((candidate) => candidate.id === id);
    const first = column && Columns.isScore(column) ? column.isHigherBetter : Boolean(column?.isNumber);
    view.isDescending = view.sort === id ? !view.isDescending : first;
    view.sort = id;
    arrange();
  }

  function tick(slug, isOn) {
    if (isOn) view.ticked.add(slug);
    else view.ticked.delete(slug);
    toAddress();
    tray();
  }

  function tray() {
    const names = tableOf(view.table).rows.filter((row) => view.ticked.has(row.slug)).map((row) => row.name);
    document.getElementById("tray").hidden = names.length === 0;
    document.getElementById("tray-names").textContent = names.length === 1 ? `${names[0]}: select another to compare` : names.join(", ");
    document.getElementById("tray-go").href = `compare.html#table=${view.table}&models=${[...view.ticked].join()}`;
  }

  function change(fields) {
    const isOther = "table" in fields && fields.table !== view.table;
    Object.assign(view, fields);
    if (isOther) {
      Fragment.write({ table: view.table });
      view = fromAddress();
      Controls.draw(document.getElementById("controls"), tables, view, change);
    }
    if (isOther || "window" in fields || "columns" in fields) redraw();
    else arrange();
  }

  function start() {
    Controls.draw(document.getElementById("controls"), tables, view, change);
    redraw();
  }

  document.getElementById("tray-clear").addEventListener("click", () => {
    view.ticked.clear();
    redraw();
  });
  addEventListener("hashchange", () => {
    view = fromAddress();
    start();
  });
  start();
})();
