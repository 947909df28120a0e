"""Tables as text for a terminal, Markdown, LaTeX (booktabs) and CSV."""

import csv
import io
from collections.abc import Callable, Iterable, Sequence

import rich.box
import rich.table
from rich.console import Console
from rich.markup import escape

from benchmark.results.tables import Cell, Row, Table, heading, markdown

ABSENT = "–"
BOUND = " (reference)"
_PLAIN_WIDTH = 240
"""Characters a line where there is no terminal."""


def table_console() -> Console:
    """A console for tables, which wraps none of them where there is no terminal."""
    console = Console(highlight=False)
    if not console.is_terminal:
        console.width = _PLAIN_WIDTH
    return console


def to_text(tables: Sequence[Table]) -> str:
    """For a terminal, the best in bold where it can show that, else with an asterisk."""
    console = table_console()
    with console.capture() as capture:
        for table in tables:
            console.print(_rich_table(table, mark="" if console.is_terminal else "*"))
        for note in tables[0].notes:
            console.print(note, markup=False)
    return capture.get()


def _rich_table(table: Table, mark: str) -> rich.table.Table:
    rows = [
        (row.label, row.is_reference, [_rich_cell(cell, mark) for cell in row.cells]) for row in table.rows
    ]
    return drawn(table.title, map(heading, table.cards), rows)


def drawn(
    title: str, columns: Iterable[str], rows: Iterable[tuple[str, bool, Sequence[str]]]
) -> rich.table.Table:
    """A table for a terminal. A row has a label, whether it is a reference, and cells in Rich's markup."""
    table = rich.table.Table(title=escape(title), title_justify="left", box=rich.box.SIMPLE_HEAD)
    table.add_column("")
    for column in columns:
        table.add_column(escape(column), justify="right")
    for label, is_reference, cells in rows:
        table.add_row(
            escape(label + BOUND if is_reference else label), *cells, style="dim" if is_reference else ""
        )
    return table


def _rich_cell(cell: Cell | None, mark: str) -> str:
    if cell is None:
        return ABSENT
    return f"[bold]{escape(cell.text)}{mark}[/bold]" if cell.bold else escape(cell.text)


def to_markdown(tables: Sequence[Table]) -> str:
    """Pipe tables under a heading each."""
    notes = "".join(f"- {markdown(note)}\n" for note in tables[0].notes)
    return "\n".join([*map(markdown_table, tables), *([notes] if notes else [])])


def markdown_table(table: Table, corner: str = "") -> str:
    """One of them; `corner` is the heading of the labels."""
    lines = [
        [corner, *(markdown(heading(card)) for card in table.cards)],
        ["---", *("---:" for _ in table.cards)],
        *([markdown(_label(row)), *(_markdown_cell(cell) for cell in row.cells)] for row in table.rows),
    ]
    body = "\n".join(f"| {' | '.join(line)} |" for line in lines)
    return f"### {table.title}\n\n{body}\n"


def _markdown_cell(cell: Cell | None) -> str:
    if cell is None:
        return ABSENT
    return f"**{cell.text}**" if cell.bold else cell.text


def to_latex(tables: Sequence[Table]) -> str:
    """One tabular with a section a window; needs the package booktabs."""
    cards = tables[0].cards
    lines = [rf"\begin{{tabular}}{{l{'r' * len(cards)}}}", r"\toprule"]
    lines.append(" & ".join(["", *(_latex(heading(card)) for card in cards)]) + r" \\")
    for table in tables:
        lines.append(r"\midrule")
        lines.append(rf"\multicolumn{{{len(cards) + 1}}}{{l}}{{\emph{{{_latex(table.title)}}}}} \\")
        for row in table.rows:
            lines.append(" & ".join([_latex(_label(row)), *map(_latex_cell, row.cells)]) + r" \\")
    lines += [r"\bottomrule", r"\end{tabular}", *(f"% {note}" for note in tables[0].notes)]
    return "\n".join(lines) + "\n"


def _latex_cell(cell: Cell | None) -> str:
    if cell is None:
        return "--"
    return rf"\textbf{{{_latex(cell.text)}}}" if cell.bold else _latex(cell.text)


_LATEX = str.maketrans(
    {
        "\\": r"\textbackslash{}", "{": r"\{", "}": r"\}", "&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#",
        "_": r"\_", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "↑": r"$\uparrow$",
        "↓": r"$\downarrow$", "−": "$-$", "–": "--",
    }
)  # fmt: skip


def _latex(text: str) -> str:
    return text.translate(_LATEX)


def to_csv(tables: Sequence[Table]) -> str:
    """A line a number, unrounded: window, row, bound, metric, unit, mean, low, high."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(["window", "row", "bound", "metric", "unit", "mean", "low", "high"])
    for table in tables:
        for row in table.rows:
            for card, cell in zip(table.cards, row.cells, strict=True):
                if cell is not None:
                    interval = cell.estimate.interval or ("", "")
                    place = [
                        table.window,
                        no_formula(row.label),
                        str(row.is_reference).lower(),
                        card.name,
                        no_formula(card.unit),
                    ]
                    writer.writerow([*place, cell.estimate.mean, *interval])
    return out.getvalue()


def no_formula(text: str) -> str:
    """Text that no spreadsheet takes for a formula."""
    return f"'{text}" if text.startswith(("=", "+", "-", "@", "\t")) else text


def _label(row: Row) -> str:
    return row.label + (BOUND if row.is_reference else "")


FORMATS: dict[str, Callable[[Sequence[Table]], str]] = {
    "text": to_text,
    "markdown": to_markdown,
    "latex": to_latex,
    "csv": to_csv,
}
