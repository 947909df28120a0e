"""Build the site: entries in, a folder of static files out, the same bytes again for the same entries.

Runs that nobody has submitted yet may stand in it as a preview, beside the data set that they were scored on.
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
    """What the site shows, and where it goes."""

    runs: tyro.conf.Positional[tuple[Path, ...]] = ()
    """Folders of finished runs to preview beside the entries."""
    out: Path = Path("site")
    """Folder of the site: new, empty, or that of an earlier one."""
    entries: Path | None = None
    """Folder of entries, as PROTOCOL/DATA/NAME; by default those of the project."""
    truth: Path | None = None
    """Folder of scenes for the player, as PROTOCOL/DATA/KEY; by default those of the project."""
    data: Path | None = None
    """The data set of the runs: with it the player shows the truth beside them."""
    open: bool = False
    """Open the site in a browser."""


def build(flags: Flags) -> None:
    """Check the entries, make the files and say where to look."""
    if flags.data is not None and not flags.runs:
        raise UserError("--data is the data set of the runs: name them too, or leave it out")
    folder = flags.entries or ENTRIES
    entries = read_entries(folder)
    with working_folder() as work:
        previews = preview_entries(flags.runs, work / "entries", {entry.id for entry in entries})
        scenes = shipped_scenes(entries, (flags.truth or TRUTH))
        if flags.data is not None:
            scenes = {**scenes, **preview_scenes(previews, flags.data, work / "scenes")}
        everything = [*entries, *previews]
        if not everything:
            raise UserError(f"{folder}: holds no entry; name runs, or other --entries")
        findings = check(everything)
        with writing_to(flags.out):
            write_site(site_files(everything, scenes, findings), flags.out)
    address = (flags.out / "index.html").resolve().as_uri()
    print(f"{len(everything)} rows: {address}")
    if flags.open:
        webbrowser.open(address)


def shipped_scenes(entries: Sequence[Entry], truth: Path) -> Scenes:
    """The scenes of the entries' tables."""
    places = sorted({entry.id.rpartition("/")[0] for entry in entries})
    return {place: scene_folders(truth, place) for place in places}


main = partial(cli.run, Flags, build)

if __name__ == "__main__":
    raise SystemExit(main())
