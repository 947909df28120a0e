"""Format tables as terminal text, Markdown, LaTeX (booktabs) or CSV."""

import csv
import io
from collections.abc import Callable, Iterable, Sequence

import rich.box
import rich.table
from rich.console import Console
from rich.markup import escape

from benchmark.results.tables import Cell, Row, Table, escape_markdown, heading

ABSENT = "–"
BOUND = " (reference)"
_PLAIN_WIDTH = 240
"""Characters per line if the output is not a terminal."""


def table_console() -> Console:
    """Return a console for tables, wide enough not to wrap them if the output is not a terminal."""
    console = Console(highlight=False)
    if not console.is_terminal:
        console.width = _PLAIN_WIDTH
    return console


def to_text(tables: Sequence[Table]) -> str:
    """Format tables for a terminal; the best is bold, or has an asterisk if the output is not a terminal."""
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
    return draw_table(table.title, map(heading, table.cards), rows)


def draw_table(
    title: str, columns: Iterable[str], rows: Iterable[tuple[str, bool, Sequence[str]]]
) -> rich.table.Table:
    """Return a terminal table; `rows` are (label, whether it is a reference, cells in Rich markup)."""
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
    """Format each table as a heading and a pipe table, then the notes."""
    notes = "".join(f"- {escape_markdown(note)}\n" for note in tables[0].notes)
    return "\n".join([*map(markdown_table, tables), *([notes] if notes else [])])


def markdown_table(table: Table, corner: str = "") -> str:
    """Format one table; `corner` is the heading of the label column."""
    lines = [
        [corner, *(escape_markdown(heading(card)) for card in table.cards)],
        ["---", *("---:" for _ in table.cards)],
        *([escape_markdown(_label(row)), *map(_markdown_cell, row.cells)] for row in table.rows),
    ]
    body = "\n".join(f"| {' | '.join(line)} |" for line in lines)
    return f"### {table.title}\n\n{body}\n"


def _markdown_cell(cell: Cell | None) -> str:
    if cell is None:
        return ABSENT
    return f"**{cell.text}**" if cell.bold else cell.text


def to_latex(tables: Sequence[Table]) -> str:
    """Format tables as one tabular with a section per window; needs the LaTeX package booktabs."""
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
    """Format one line per number, unrounded: window, row, bound, metric, unit, mean, low, high."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(["window", "row", "bound", "metric", "unit", "mean", "low", "high"])
    for table in tables:
        for row in table.rows:
            for card, cell in zip(table.cards, row.cells, strict=True):
                if cell is not None:
                    interval = cell.estimate.interval or ("", "")
                    label, unit = escape_formula(row.label), escape_formula(card.unit)
                    bound = str(row.is_reference).lower()
                    writer.writerow(
                        [table.window, label, bound, card.name, unit, cell.estimate.mean, *interval]
                    )
    return out.getvalue()


def escape_formula(text: str) -> str:
    """Put an apostrophe before text that a spreadsheet would read as a formula."""
    return f"'{text}" if text.startswith(("=", "+", "-", "@", "\t")) else text


def _label(row: Row) -> str:
    return row.label + (BOUND if row.is_reference else "")


FORMATS: dict[str, Callable[[Sequence[Table]], str]] = {
    "text": to_text,
    "markdown": to_markdown,
    "latex": to_latex,
    "csv": to_csv,
}
