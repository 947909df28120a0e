"""Build the leaderboard site, a folder of static files; the same entries give the same bytes.

Runs that are not submitted yet can be previewed on it, with the data set that they were scored on.
"""

import webbrowser
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import tyro

from leaderboard.entry.folder import Entry, read_entries
from leaderboard.entry.shipped import ENTRIES, TRUTH, scene_folders
from leaderboard.film.preview import preview_entries, preview_scenes
from leaderboard.site.build import Scenes, check, site_files, write_site
from loopcraft.core import cli
from loopcraft.core.errors import UserError
from loopcraft.core.writing import working_folder, writing_to


@dataclass(frozen=True, kw_only=True)
class Flags:
    """What the site shows and where it is written."""

    runs: tyro.conf.Positional[tuple[Path, ...]] = ()
    """Folders of finished runs to preview beside the entries."""
    out: Path = Path("site")
    """Folder for the site: new, empty, or an earlier site."""
    entries: Path | None = None
    """Folder of entries, as PROTOCOL/DATA/NAME; the project's own by default."""
    truth: Path | None = None
    """Folder of scenes for the player, as PROTOCOL/DATA/KEY; the project's own by default."""
    data: Path | None = None
    """Data set of the runs; if given, the player shows the truth beside them."""
    open: bool = False
    """Open the site in a browser."""


def build(flags: Flags) -> None:
    """Check the entries, write the site and print its address."""
    if flags.data is not None and not flags.runs:
        raise UserError("--data is the data set of the runs: give runs too, or leave --data out")
    folder = flags.entries or ENTRIES
    entries = read_entries(folder)
    with working_folder() as work:
        previews = preview_entries(flags.runs, work / "entries", {entry.id for entry in entries})
        scenes = _find_scenes(entries, flags.truth or TRUTH)
        if flags.data is not None:
            scenes = {**scenes, **preview_scenes(previews, flags.data, work / "scenes")}
        rows = [*entries, *previews]
        if not rows:
            raise UserError(f"{folder}: has no entries; give runs or another --entries")
        findings = check(rows)
        with writing_to(flags.out):
            write_site(site_files(rows, scenes, findings), flags.out)
    address = (flags.out / "index.html").resolve().as_uri()
    print(f"{len(rows)} rows: {address}")
    if flags.open:
        webbrowser.open(address)


def _find_scenes(entries: Sequence[Entry], truth: Path) -> Scenes:
    tables = sorted({entry.table for entry in entries})
    return {table: scene_folders(truth, table) for table in tables}


main = partial(cli.run, Flags, build)

if __name__ == "__main__":
    raise SystemExit(main())
