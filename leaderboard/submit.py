"""Add a finished run to the leaderboard: check it, and lay its result, card and a few videos into an entry.

Everything is checked before anything is written; every refusal says what is wrong and how to mend it.
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
    place_of,
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
    """Which run, under which card, and where to."""

    run: tyro.conf.Positional[Path]
    """Folder of the finished run, or its result file."""
    card: Path
    """The model card, as docs/leaderboard.md shows one."""
    name: str | None = None
    """Name of the entry's folder; by default that of the model."""
    entries: Path | None = None
    """Folder of entries: that of an entries repository, or (the default) of the project."""
    videos: int = 2
    """How many of the run's videos the entry holds at most; those of the player come first."""
    replace: bool = False
    """Take the place of an entry of the same name."""
    repo: str | None = None
    """ORG/NAME of an entries repository at the Hub: propose the entry there, as a pull request."""
    dry_run: bool = False
    """Check everything and write nothing."""


def submit(flags: Flags) -> int:
    """Check the run and write its entry."""
    require_folder(flags.run, COPY)
    result_path = flags.run / RESULT if flags.run.is_dir() else flags.run
    if not result_path.is_file():
        raise UserError(f"{result_path}: is not there; the run is unfinished: give its command once more")
    result = read_result(result_path)
    entry_id = place_of(result, flags.name or plain_name(result.model.name))
    entries = flags.entries or ENTRIES
    target = entries / entry_id
    if target.exists() and not flags.replace:
        raise UserError(f"{target}: is there already; choose another --name, or --replace it")
    with working_folder() as work:
        folder = work / entry_id
        folder.mkdir(parents=True)
        shutil.copyfile(result_path, folder / RESULT)
        read_card(flags.card)
        shutil.copyfile(flags.card, folder / CARD)
        keys = chosen_keys(entry_id, list(kept_videos(result_path.parent, result)), flags.videos)
        write_run_clips(folder / VIDEOS, result_path.parent, result, keys)
        entry = read_entry(folder)
        require_sound(entry, [other for other in read_entries(entries) if other.id != entry_id])
        if flags.dry_run:
            print(f"{entry_id}: good; nothing was written (--dry-run)")
        elif flags.repo is not None:
            print(propose(flags.repo, folder, entry_id))
        else:
            put(folder, target)
            print(f"{target}: added; see it with python -m leaderboard.build --entries {entries} --open")
    return cli.EXIT_OK


def chosen_keys(entry_id: str, kept: Sequence[str], most: int) -> list[str]:
    """Which of the kept videos to show: first those of which the table has scenes."""
    scenes = scene_folders(TRUTH, entry_id.rpartition("/")[0])
    return sorted(kept, key=lambda key: (scene_name(key) not in scenes, key))[:most]


def require_sound(entry: Entry, others: Sequence[Entry]) -> None:
    """Print what readers will see beside the row; raise `UserError` with all that refuses it."""
    findings = check_entry(entry, others)
    for finding in findings:
        if finding.level != "refused":
            print(cli.one_line(str(finding)), file=sys.stderr)
    refusals = [str(finding) for finding in findings if finding.level == "refused"]
    if refusals:
        more = (
            f" (and {len(refusals) - 1} more, as python -m leaderboard.validate lists)"
            if refusals[1:]
            else ""
        )
        raise UserError(f"{entry.id}: {refusals[0]}{more}")


def put(folder: Path, target: Path) -> None:
    """Lay a checked entry into its place, whole or not at all."""
    target.parent.mkdir(parents=True, exist_ok=True)
    beside = target.with_name(f".{target.name}.new")
    shutil.rmtree(beside, ignore_errors=True)
    shutil.copytree(folder, beside)
    shutil.rmtree(target, ignore_errors=True)
    beside.rename(target)


main = partial(cli.run, Flags, submit)

if __name__ == "__main__":
    raise SystemExit(main())
