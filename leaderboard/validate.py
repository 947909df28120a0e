"""Check entries: that their numbers follow from their videos, and that nothing in them can do harm.

What continuous integration of an entries repository runs. Exit code 1 if an entry is refused.
"""

from dataclasses import dataclass
from functools import partial
from pathlib import Path

import tyro

from leaderboard.checks.entries import check_all
from leaderboard.entry.shipped import ENTRIES
from loopcraft.core import cli


@dataclass(frozen=True, kw_only=True)
class Flags:
    """Which entries."""

    entries: tyro.conf.Positional[Path | None] = None
    """Folder of entries, as PROTOCOL/DATA/NAME; by default those of the project."""


def run(flags: Flags) -> int:
    """Print what is wrong with each, and count."""
    findings = check_all(flags.entries or ENTRIES)
    for folder, found in findings.items():
        print(f"{folder}: {'good' if not found else ''}".rstrip())
        for finding in found:
            print(f"  {cli.one_line(str(finding))}")
    num_refused = sum(any(f.level == "refused" for f in found) for found in findings.values())
    print(f"{len(findings)} entries, {num_refused} refused")
    return cli.EXIT_FAILED if num_refused else cli.EXIT_OK


main = partial(cli.run, Flags, run)

if __name__ == "__main__":
    raise SystemExit(main())
