"""Check that entries are harmless and that their numbers follow from their per-video values.

Meant for the continuous integration of an entries repository. Exits with 1 if an entry is refused.
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
    """The entries to check."""

    entries: tyro.conf.Positional[Path | None] = None
    """Folder of entries, as PROTOCOL/DATA/NAME; the project's own by default."""


def run(flags: Flags) -> int:
    """Print the findings of every entry and the number refused."""
    findings_by_folder = check_all(flags.entries or ENTRIES)
    for folder, findings in findings_by_folder.items():
        print(f"{folder}:" if findings else f"{folder}: good")
        for finding in findings:
            print(f"  {cli.one_line(str(finding))}")
    num_refused = sum(any(f.level == "refused" for f in found) for found in findings_by_folder.values())
    print(f"{len(findings_by_folder)} entries, {num_refused} refused")
    return cli.EXIT_FAILED if num_refused else cli.EXIT_OK


main = partial(cli.run, Flags, run)

if __name__ == "__main__":
    raise SystemExit(main())
