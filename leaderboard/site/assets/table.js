"use strict";
/** The table itself: rows are made once, and sorting or filtering only moves or hides them. */
const Board = (() => {
  /** Draw a table's columns for a window; `tick(slug, isOn)` and `sort(columnId)` are called back. */
  function draw(element, table, columns, window, ticked, { tick, sort }) {
    const rows = table.rows.map((row, place) => drawRow(table, columns, window, row, place, ticked.has(row.slug), tick));
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

  function drawRow(table, columns, window, row, place, isTicked, tick) {
    const box = Dom.el("input", { type: "checkbox", checked: isTicked, "aria-label": `Compare ${row.name}`, "data-slug": row.slug });
    const line = Dom.el("tr", { class: `${row.isReference ? "bound" : ""}${isTicked ? " chosen" : ""}`.trim(), "data-slug": row.slug },
      Dom.el("th", { scope: "row", class: "model" }, Dom.el("div", {}, box,
        Dom.el("div", { class: "who" }, Dom.el("a", { href: `models/${row.slug}.html` }, row.name),
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

  /** Put the scores of all rows in front of their facts, in the columns' order. */
  function fillScores(table, columns, window, rows) {
    const scores = columns.filter(Columns.isScore);
    const scales = scores.map((column) => IntervalBar.scale(table, column, window));
    rows.forEach((line, place) => {
      const cells = scores.map((column, number) => drawScore(column, place, window, scales[number]));
      line.firstElementChild.after(...cells);
    });
  }

  function drawScore(column, place, window, scale) {
    const value = Columns.score(column, place, window);
    if (value === null) return Dom.el("td", { class: "number none" }, "\u2013");
    const standing = Columns.standing(column, place, window);
    const said = column.texts?.[place];
    const text = said ? said.split(" [")[0] : Numbers.fixed(value[0], column.decimals);
    const range = said?.includes("[") ? said.slice(said.indexOf("[")) : value.length === 3 ? Numbers.interval(value[1], value[2], column.decimals) : null;
    return Dom.el("td", { class: "number" },
      Dom.el("span", { class: `mean ${standing ?? ""}`.trim(), title: standing === "level" ? "level with others at the top" : null }, text),
      range ? Dom.el("small", {}, range) : null,
      scale ? IntervalBar.draw(value, scale) : null);
  }

  /** Order the rows and hide those that `isShown` leaves out; rows without a value come last. */
  function arrange(element, table, rows, column, window, isDescending, isShown) {
    const value = (place) => (column ? Columns.key(column, table, place, window) : table.rows[place].name.toLowerCase());
    const order = rows.map((_, place) => place).sort((one, other) => {
      const [a, b] = [value(one), value(other)];
      if (a === null || b === null) return (a === null) - (b === null) || one - other;
      const compared = typeof a === "number" ? a - b : String(a).localeCompare(String(b), "en");
      return (isDescending ? -compared : compared) || one - other;
    });
    const body = element.tBodies[0];
    body.querySelector(".empty")?.remove();
    const isInOrder = order.every((place, number) => body.rows[number] === rows[place]);
    if (!isInOrder) body.append(...order.map((place) => rows[place]));
    let numShown = 0;
    table.rows.forEach((row, place) => {
      const isIn = isShown(row);
      if (rows[place].hidden === isIn) rows[place].hidden = !isIn;
      numShown += isIn;
    });
    if (!numShown) {
      const width = element.tHead.rows[0].cells.length;
      body.append(Dom.el("tr", { class: "empty" }, Dom.el("td", { colspan: width }, "No model fits what you search for.")));
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
