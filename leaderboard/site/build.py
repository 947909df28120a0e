"""Build all files of the site from entries and scenes, without clock, network or randomness."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from leaderboard.checks.entries import check_entry
from leaderboard.checks.findings import Finding, marked
from leaderboard.entry.folder import Entry
from leaderboard.film.scene import FILES
from leaderboard.site import chart_library
from leaderboard.site.data_files import entry_value, resamples_value, scenes_value, script, table_value
from leaderboard.site.downloads import as_csv, as_json
from leaderboard.site.pages import make_pages
from leaderboard.site.tables import SiteTable, site_tables, slug
from loopcraft.core.errors import UserError
from loopcraft.core.files import is_passing, write_json

ASSETS = Path(__file__).with_name("assets")

Content = bytes | Path
Scenes = Mapping[str, Mapping[str, Path]]
"""Scene folders by table (PROTOCOL/DATA), then name."""


def check(entries: Sequence[Entry]) -> dict[str, list[Finding]]:
    """Return the findings on all entries by id; raise `UserError` for the first refusal.

    Refusals of a preview (a run without a card) are shown beside it as marks instead.
    """
    checked = {}
    for entry in entries:
        findings = check_entry(entry, entries)
        for index, finding in enumerate(findings):
            if finding.level == "refused" and entry.card is not None:
                raise UserError(f"{entry.id}: {finding.problem}; {finding.remedy}")
            if finding.level == "refused":
                findings[index] = marked(finding.problem, finding.remedy)
        checked[entry.id] = findings
    return checked


def site_files(
    entries: Sequence[Entry], scenes: Scenes, findings: Mapping[str, Sequence[Finding]]
) -> dict[str, Content]:
    """Return every file of the site by address, as bytes or as the path to copy it from."""
    tables = site_tables(entries)
    files: dict[str, Content] = {f"assets/{path.name}": path for path in sorted(ASSETS.iterdir())}
    files[chart_library.ADDRESS] = chart_library.library_path()
    files |= make_pages(tables, findings)
    files["data/tables.js"] = script("tables", [table_value(table, findings) for table in tables])
    for table in tables:
        files |= _table_files(table, scenes.get(table.path, {}))
    return files


def _table_files(table: SiteTable, scenes: Mapping[str, Path]) -> dict[str, Content]:
    num_videos = len(table.result.data.keys)
    files: dict[str, Content] = {
        f"downloads/{table.slug}.csv": as_csv(table),
        f"downloads/{table.slug}.json": as_json(table),
        f"data/resamples-{num_videos}.js": script(f"resamples-{num_videos}", resamples_value(num_videos)),
        f"data/scenes/{table.slug}.js": script(f"scenes/{table.slug}", scenes_value(table, scenes)),
    }
    for name, folder in scenes.items():
        for file in FILES:
            if (folder / file).is_file():
                files[f"files/truth/{table.path}/{name}/{file}"] = folder / file
    for entry in table.entries:
        name = f"entries/{slug(entry.id)}"
        files[f"data/{name}.js"] = script(name, entry_value(entry))
        files |= {f"files/{entry.id}/{name}": path for name, path in entry.files.items()}
    return files


def write_site(files: Mapping[str, Content], out: Path) -> None:
    """Write the site into `out`, a new or empty folder or an earlier site, whose obsolete files are deleted.

    Raises `UserError` if the folder holds other files.
    """
    listing = out / "site.json"
    if not listing.exists() and out.exists() and not all(is_passing(path) for path in out.iterdir()):
        raise UserError(f"{out}: holds other files; choose another --out")
    for path in sorted(out.rglob("*")):
        is_wanted = path.relative_to(out).as_posix() in files or path == listing or is_passing(path)
        if path.is_file() and not is_wanted:
            path.unlink()
    write_json(listing, {"format": "loopcraft-site", "files": sorted(files)})
    for address, content in files.items():
        path = out / address
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.read_bytes())
