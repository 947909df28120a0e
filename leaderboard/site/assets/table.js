"use strict";
/** The table: its rows are created once; sorting and filtering only move or hide them. */
const Board = (() => {
  /** Draw a table's columns for a window; calls `tick(slug, isOn)` and `sort(columnId)`. */
  function draw(element, table, columns, window, ticked, { tick, sort }) {
    const rows = table.rows.map((row, index) => drawRow(table, columns, window, row, index, ticked.has(row.slug), tick));
    fillScores(table, columns, window, rows);
    element.replaceChildren(drawHead(table, columns, window, sort), Dom.el("tbody", {}, rows));
    return rows;
  }

  function drawHead(table, columns, window, sort) {
    const cells = columns.map((column) => {
      const note = Columns.isScore(column) ? (column.values[""] ? "all frames" : window) : null;
      const isNumber = Columns.isScore(column) || column.isNumber;
      return Dom.el("th", { scope: "col", class: isNumber ? "number" : "", "data-column": column.id, title: column.hint ?? null },
        Dom.el("button", { type: "button", onclick: () => sort(column.id) },
          Dom.el("span", { class: "name" }, Columns.heading(column)), note ? Dom.el("small", {}, note) : null));
    });
    const model = Dom.el("th", { scope: "col", class: "model", "data-column": "name" },
      Dom.el("button", { type: "button", onclick: () => sort("name") }, Dom.el("span", { class: "name" }, "Model")));
    return Dom.el("thead", {}, Dom.el("tr", {}, model, cells));
  }

  function drawRow(table, columns, window, row, index, isTicked, tick) {
    const box = Dom.el("input", { type: "checkbox", checked: isTicked, "aria-label": `Compare ${row.name}`, "data-slug": row.slug });
    const line = Dom.el("tr", { class: `${row.isReference ? "reference" : ""}${isTicked ? " chosen" : ""}`.trim(), "data-slug": row.slug },
      Dom.el("th", { scope: "row", class: "model" }, Dom.el("div", {}, box,
        Dom.el("div", { class: "model-name" }, Dom.el("a", { href: `models/${row.slug}.html` }, row.name),
          Dom.el("small", {}, row.isReference ? "reference" : row.version, flag(row))))));
    box.addEventListener("change", () => {
      line.classList.toggle("chosen", box.checked);
      tick(row.slug, box.checked);
    });
    for (const column of columns) if (!Columns.isScore(column)) line.append(drawFact(column, row));
    return line;
  }

  function flag(row) {
    if (!row.notes.length) return null;
    return Dom.el("span", { class: "flag", role: "img", title: row.notes.join("\n"), "aria-label": row.notes.join(". ") }, " ⚑");
  }

  function drawFact(column, row) {
    const value = column.read(row);
    const text = column.show && value !== null ? column.show(value) : value || "\u2013";
    return Dom.el("td", { class: column.isNumber ? "number fact" : "fact", title: column.isNumber ? null : text, "data-column": column.id }, text);
  }

  /** Insert the scores of all rows before their facts, in column order. */
  function fillScores(table, columns, window, rows) {
    const scores = columns.filter(Columns.isScore);
    const scales = scores.map((column) => IntervalBar.scale(table, column, window));
    rows.forEach((line, index) => {
      const cells = scores.map((column, number) => drawScore(column, index, window, scales[number]));
      line.firstElementChild.after(...cells);
    });
  }

  function drawScore(column, index, window, scale) {
    const value = Columns.score(column, index, window);
    if (value === null) return Dom.el("td", { class: "number none" }, "\u2013");
    const standing = Columns.standing(column, index, window);
    const label = column.texts?.[index];
    const text = label ? label.split(" [")[0] : Numbers.fixed(value[0], column.decimals);
    const range = label?.includes("[") ? label.slice(label.indexOf("[")) : value.length === 3 ? Numbers.interval(value[1], value[2], column.decimals) : null;
    return Dom.el("td", { class: "number" },
      Dom.el("span", { class: `mean ${standing ?? ""}`.trim(), title: standing === "level" ? "cannot be distinguished from others at the top" : null }, text),
      range ? Dom.el("small", {}, range) : null,
      scale ? IntervalBar.draw(value, scale) : null);
  }

  /** Sort the rows, those without a value last, and hide those that `isShown` rejects; return how many are shown. */
  function arrange(element, table, rows, column, window, isDescending, isShown) {
    const value = (index) => (column ? Columns.key(column, table, index, window) : table.rows[index].name.toLowerCase());
    const order = rows.map((_, index) => index).sort((first, second) => {
      const [a, b] = [value(first), value(second)];
      if (a === null || b === null) return (a === null) - (b === null) || first - second;
      const compared = typeof a === "number" ? a - b : String(a).localeCompare(String(b), "en");
      return (isDescending ? -compared : compared) || first - second;
    });
    const body = element.tBodies[0];
    body.querySelector(".empty")?.remove();
    const isInOrder = order.every((index, number) => body.rows[number] === rows[index]);
    if (!isInOrder) body.append(...order.map((index) => rows[index]));
    let numShown = 0;
    table.rows.forEach((row, index) => {
      const isIn = isShown(row);
      if (rows[index].hidden === isIn) rows[index].hidden = !isIn;
      numShown += isIn;
    });
    if (!numShown) {
      const width = element.tHead.rows[0].cells.length;
      body.append(Dom.el("tr", { class: "empty" }, Dom.el("td", { colspan: width }, "No model matches your search.")));
    }
    for (const head of element.tHead.rows[0].cells) {
      const isSorted = head.dataset.column === (column ? column.id : "name");
      if (isSorted) head.setAttribute("aria-sort", isDescending ? "descending" : "ascending");
      else head.removeAttribute("aria-sort");
    }
    return numShown;
  }

  return { draw, arrange };
})();
