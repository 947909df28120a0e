"""Tables as text for a terminal, Markdown, LaTeX (booktabs) and CSV."""

import csv
import io
from collections.abc import Callable, Sequence

import rich.box
import rich.table
from rich.console import Console
from rich.markup import escape

from benchmark.results.tables import Cell, Row, Table, heading, markdown

ABSENT = "–"
BOUND = " (reference)"


def to_text(tables: Sequence[Table]) -> str:
    """For a terminal, the best in bold where it can show that, else with an asterisk."""
    console = Console(highlight=False)
    with console.capture() as capture:
        for table in tables:
            console.print(_rich_table(table, mark="" if console.is_terminal else "*"))
        for note in tables[0].notes:
            console.print(note, markup=False)
    return capture.get()


def _rich_table(table: Table, mark: str) -> rich.table.Table:
    drawn = rich.table.Table(title=escape(table.title), title_justify="left", box=rich.box.SIMPLE_HEAD)
    drawn.add_column("")
    for card in table.cards:
        drawn.add_column(escape(heading(card)), justify="right")
    for row in table.rows:
        drawn.add_row(
            escape(_label(row)),
            *(_rich_cell(cell, mark) for cell in row.cells),
            style="dim" if row.is_reference else "",
        )
    return drawn


def _rich_cell(cell: Cell | None, mark: str) -> str:
    if cell is None:
        return ABSENT
    return f"[bold]{escape(cell.text)}{mark}[/bold]" if cell.bold else escape(cell.text)


def to_markdown(tables: Sequence[Table]) -> str:
    """Pipe tables under a heading each."""
    parts = []
    for table in tables:
        lines = [
            ["", *(markdown(heading(card)) for card in table.cards)],
            ["---", *("---:" for _ in table.cards)],
            *([markdown(_label(row)), *(_markdown_cell(cell) for cell in row.cells)] for row in table.rows),
        ]
        body = "\n".join(f"| {' | '.join(line)} |" for line in lines)
        parts.append(f"### {table.title}\n\n{body}\n")
    notes = "".join(f"- {markdown(note)}\n" for note in tables[0].notes)
    return "\n".join([*parts, notes]) if notes else "\n".join(parts)


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
                        _csv(row.label),
                        str(row.is_reference).lower(),
                        card.name,
                        _csv(card.unit),
                    ]
                    writer.writerow([*place, cell.estimate.mean, *interval])
    return out.getvalue()


def _csv(text: str) -> str:
    """Text that no spreadsheet takes for a formula."""
    return f"'{text}" if text.startswith(("=", "+", "-", "@")) else text


def _label(row: Row) -> str:
    return row.label + (BOUND if row.is_reference else "")


FORMATS: dict[str, Callable[[Sequence[Table]], str]] = {
    "text": to_text,
    "markdown": to_markdown,
    "latex": to_latex,
    "csv": to_csv,
}
