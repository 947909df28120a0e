"""Export a table as CSV and JSON with unrounded numbers, for other plots or rankings."""

import csv
import io
from typing import Any

from benchmark.results.formats import escape_formula
from leaderboard.site.tables import SiteTable
from loopcraft.core.cli import one_line
from loopcraft.core.files import encode_json

HEADER = ("entry", "name", "role", "window", "metric", "unit", "better", "mean", "low", "high")


def as_rows(table: SiteTable) -> list[tuple[Any, ...]]:
    """Return a row per number, with the columns of `HEADER`."""
    rows = []
    for column in table.columns:
        better = "higher" if column.is_higher_better else "lower"
        for window, values in column.values.items():
            for entry in table.entries:
                if (estimate := values.get(entry.id)) is None:
                    continue
                model = entry.result.model
                name = one_line(entry.card.name if entry.card else model.name)
                metric = (window or "all", column.id, column.unit, better)
                low, high = estimate.interval or (None, None)
                rows.append((entry.id, name, model.role, *metric, estimate.mean, low, high))
    return rows


def as_csv(table: SiteTable) -> bytes:
    """Return the rows as CSV; text that a spreadsheet would read as a formula gets an apostrophe."""
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(HEADER)
    for row in as_rows(table):
        writer.writerow([escape_formula(value) if isinstance(value, str) else value for value in row])
    return file.getvalue().encode()


def as_json(table: SiteTable) -> bytes:
    """Return the rows as a JSON list of objects."""
    return encode_json([dict(zip(HEADER, row, strict=True)) for row in as_rows(table)])
