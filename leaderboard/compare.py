"""Print results side by side: a table per window, the best model in bold, references unranked."""

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal

import tyro

from benchmark.results.formats import FORMATS
from benchmark.results.result_file import read_results
from benchmark.results.tables import paired_tables, window_tables
from loopcraft.core.cli import run
from loopcraft.core.errors import UserError


@dataclass(frozen=True, kw_only=True)
class Flags:
    """The results to compare and the output format."""

    results: tyro.conf.Positional[tuple[Path, ...]]
    """Result files of one protocol on one data set, their run folders, or addresses of these."""
    format: Literal["text", "markdown", "latex", "csv"] = "text"
    """Output format."""
    pairs: bool = False
    """Print the mean difference of every pair of results over the same videos instead."""


def compare(flags: Flags) -> None:
    """Print the tables."""
    results = read_results(flags.results)
    if flags.pairs and len(results) < 2:
        raise UserError("--pairs compares two or more results: give another")
    tables = paired_tables(results) if flags.pairs else window_tables(results)
    print(FORMATS[flags.format](tables), end="")


main = partial(run, Flags, compare)

if __name__ == "__main__":
    raise SystemExit(main())
