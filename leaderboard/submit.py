"""Add a finished run to the leaderboard as an entry: its result, model card and a few videos.

Everything is checked before anything is written; each error says what is wrong and how to fix it.
"""

import shutil
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import tyro

from benchmark.results.result_file import read_result
from leaderboard.checks.entries import check_entry
from leaderboard.entry.card import read_card
from leaderboard.entry.folder import (
    CARD,
    RESULT,
    VIDEOS,
    Entry,
    make_entry_id,
    plain_name,
    read_entries,
    read_entry,
)
from leaderboard.entry.shipped import ENTRIES, TRUTH, scene_folders
from leaderboard.film.clips import kept_videos, write_run_clips
from leaderboard.film.scene import scene_name
from leaderboard.hub.proposals import propose
from loopcraft.core import cli
from loopcraft.core.errors import UserError
from loopcraft.core.urls import COPY, require_folder
from loopcraft.core.writing import working_folder


@dataclass(frozen=True, kw_only=True)
class Flags:
    """The run, its model card and the destination."""

    run: tyro.conf.Positional[Path]
    """Folder of the finished run, or its result file."""
    card: Path
    """JSON file of the model card; docs/leaderboard.md shows an example."""
    name: str | None = None
    """Name of the entry's folder; by default derived from the model's name."""
    entries: Path | None = None
    """Folder of entries, such as a clone of an entries repository; the project's own by default."""
    videos: int = 2
    """Largest number of the run's videos in the entry; those with a scene in the player come first."""
    replace: bool = False
    """Replace an existing entry of the same name."""
    repo: str | None = None
    """ORG/NAME of an entries repository on the Hub; the entry is proposed there as a pull request."""
    dry_run: bool = False
    """Check everything, but write nothing."""


def submit(flags: Flags) -> int:
    """Check the run, then write or propose its entry."""
    require_folder(flags.run, COPY)
    result_path = flags.run / RESULT if flags.run.is_dir() else flags.run
    if not result_path.is_file():
        raise UserError(f"{result_path}: no such file; the run is unfinished, so repeat its command")
    result = read_result(result_path)
    entry_id = make_entry_id(result, flags.name or plain_name(result.model.name))
    entries = flags.entries or ENTRIES
    target = entries / entry_id
    if target.exists() and not flags.replace:
        raise UserError(f"{target}: already exists; choose another --name, or --replace it")
    with working_folder() as work:
        folder = work / entry_id
        folder.mkdir(parents=True)
        shutil.copyfile(result_path, folder / RESULT)
        read_card(flags.card)
        shutil.copyfile(flags.card, folder / CARD)
        keys = _choose_keys(entry_id, list(kept_videos(result_path.parent, result)), flags.videos)
        write_run_clips(folder / VIDEOS, result_path.parent, result, keys)
        entry = read_entry(folder)
        _require_valid(entry, [other for other in read_entries(entries) if other.id != entry_id])
        if flags.dry_run:
            print(f"{entry_id}: good; nothing was written (--dry-run)")
        elif flags.repo is not None:
            print(propose(flags.repo, folder, entry_id))
        else:
            _install(folder, target)
            print(f"{target}: added; view it with python -m leaderboard.build --entries {entries} --open")
    return cli.EXIT_OK


def _choose_keys(entry_id: str, kept: Sequence[str], limit: int) -> list[str]:
    """Choose up to `limit` of the kept videos, those with a scene in the player first."""
    scenes = scene_folders(TRUTH, entry_id.rpartition("/")[0])
    return sorted(kept, key=lambda key: (scene_name(key) not in scenes, key))[:limit]


def _require_valid(entry: Entry, others: Sequence[Entry]) -> None:
    """Print marks and notes on the entry; raise `UserError` with the first refusal and how many follow."""
    refusals = []
    for finding in check_entry(entry, others):
        if finding.level == "refused":
            refusals.append(finding)
        else:
            print(cli.one_line(str(finding)), file=sys.stderr)
    if refusals:
        num_more = len(refusals) - 1
        more = f" (and {num_more} more, as listed by python -m leaderboard.validate)" if num_more else ""
        raise UserError(f"{entry.id}: {refusals[0]}{more}")


def _install(folder: Path, target: Path) -> None:
    """Copy a checked entry to `target`, replacing an old one only once the copy is complete."""
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = target.with_name(f".{target.name}.new")
    shutil.rmtree(temporary, ignore_errors=True)
    shutil.copytree(folder, temporary)
    shutil.rmtree(target, ignore_errors=True)
    temporary.rename(target)


main = partial(cli.run, Flags, submit)

if __name__ == "__main__":
    raise SystemExit(main())
