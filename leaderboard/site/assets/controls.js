"use strict";
/** The controls above the table, to choose table, window, rows and columns. */
const Controls = (() => {
  /** Draw the controls for a view; calls `change(fields)` with the changed fields. */
  function draw(element, tables, view, change) {
    const table = tables.find(({ slug }) => slug === view.table);
    const conditioning = [...new Set(table.rows.filter((row) => !row.isReference).map((row) => row.conditioning).filter(Boolean))].sort();
    element.replaceChildren(...[
      field("Table", Dom.select("Table", tables.map(({ slug, title }) => ({ value: slug, label: title })), view.table, (value) => change({ table: value }))),
      windows(table, view, change),
      field("Find", Dom.el("input", { type: "search", value: view.find, placeholder: "model, author, licence", "aria-label": "Find models", oninput: (event) => change({ find: event.target.value }) })),
      conditioning.length > 1
        ? field("Conditioning", Dom.select("Conditioning", [{ value: "", label: "any" }, ...conditioning.map((value) => ({ value, label: value }))], view.conditioning, (value) => change({ conditioning: value })))
        : null,
      check("References", view.references, (isOn) => change({ references: isOn })),
      columnMenu(table, view, change),
    ].filter(Boolean));
  }

  function field(label, control, kind = "") {
    return Dom.el("label", { class: `field ${kind}`.trim() }, Dom.el("span", {}, label), control);
  }

  function windows(table, view, change) {
    const options = table.windows.map((window) => ({ value: window.name, label: window.name, note: `${window.first}\u2013${window.last}` }));
    return Dom.el("div", { class: "field short" }, Dom.el("span", { "aria-hidden": "true" }, "Generated frames"),
      Dom.segments("window", "Window of generated frames", options, view.window, (value) => change({ window: value })));
  }

  function check(label, isOn, change) {
    return Dom.el("label", { class: "check" }, Dom.el("input", { type: "checkbox", checked: isOn, onchange: (event) => change(event.target.checked) }), label);
  }

  function columnMenu(table, view, change) {
    const boxes = Columns.all(table).map((column) =>
      check(Columns.heading(column), view.columns.includes(column.id), (isOn) => {
        const shown = new Set(view.columns);
        if (isOn) shown.add(column.id);
        else shown.delete(column.id);
        view.columns = Columns.all(table).map(({ id }) => id).filter((id) => shown.has(id));
        change({ columns: view.columns });
      }));
    return Dom.el("details", { id: "columns" }, Dom.el("summary", { class: "quiet" }, "Columns"), Dom.el("div", { class: "menu" }, boxes));
  }

  return { draw };
})();
