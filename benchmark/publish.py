"""Publish result files on the Hugging Face Hub, with a card that shows all results of the repository."""

from dataclasses import dataclass
from functools import partial
from pathlib import Path

import tyro

from benchmark.results.hub import all_results, is_result, result_files, sections
from loopcraft.core import cli
from loopcraft.hub import repository as hub
from loopcraft.hub.errors import DATASET

_HEADER = """\
---
tags:
- loopcraft
- benchmark
configs: []
---

# Loopcraft results

Result files of the Loopcraft benchmark: how well video world models remember what they saw. Download a file
and compare it with yours: `python -m leaderboard.compare theirs.json yours.json`. Brackets hold 95 %
bootstrap intervals over videos; references are shown, not ranked.
"""


@dataclass(frozen=True, kw_only=True)
class Flags:
    """The flags of `python -m benchmark.publish`."""

    results: tyro.conf.Positional[tuple[Path, ...]]
    """Result files, or folders of runs."""
    repo: str
    """ORG/NAME of a data set repository on the Hub; created if missing."""
    private: bool = False
    """Make the repository private."""
    dry_run: bool = False
    """Check everything and list the files to upload, but upload nothing."""


def run(flags: Flags) -> None:
    """Check the files and the permissions, then upload the missing files in one commit."""
    files = result_files(flags.results)
    listing = hub.claim(flags.repo, private=flags.private, is_ours=is_ours)
    for path in files:
        known = listing is not None and path in listing.files
        print(f"{path}: {'already there' if known else 'to send'}")
    if flags.dry_run:
        print(f"{flags.repo}: nothing was sent (--dry-run)")
        return
    hub.create(flags.repo, private=flags.private)
    commit = hub.persistently(lambda: put(flags.repo, files))
    print(f"{hub.page(flags.repo, DATASET)} at {commit[:12]}: complete and checked")


def is_ours(path: str) -> bool:
    """Return whether this command, or the Hub on creating the repository, could have written `path`."""
    return path in (".gitattributes", "README.md") or is_result(path)


def put(repository: str, files: dict[str, Path]) -> str:
    """Commit the missing files and a card of all results, verify the upload, and return the commit."""
    listing = hub.list_files(repository)
    results = all_results(repository, listing, files, DATASET)
    wanted = {name: path.read_bytes() for name, path in files.items()}
    wanted["README.md"] = "\n".join([_HEADER, *sections(results)]).encode()
    return hub.put(repository, wanted, f"Add {len(files)} results", listing)


main = partial(cli.run, Flags, run)

if __name__ == "__main__":
    raise SystemExit(main())
