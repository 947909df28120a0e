"""Publish the site as a static Space, a Hub repository whose files are served as they are."""

from pathlib import Path

from loopcraft.core.errors import UserError
from loopcraft.core.files import read_json
from loopcraft.hub import repository as hub
from loopcraft.hub.errors import SPACE

README = """\
---
title: Loopcraft leaderboard
emoji: 🔁
colorFrom: blue
colorTo: yellow
sdk: static
app_file: index.html
pinned: false
---

Long-range memory in video world models. Made by `python -m leaderboard.build`, published by
`python -m leaderboard.publish`. To change it, change the entries and build it again.
"""


def read_site(site: Path) -> dict[str, Path]:
    """Return the files of a built site by address; raise `UserError` if it is not a site or incomplete."""
    listing = site / "site.json"
    if not listing.is_file():
        raise UserError(f"{site}: not a site; create it with python -m leaderboard.build --out {site}")
    addresses = [*read_json(listing)["files"], "site.json"]
    for address in addresses:
        if not (site / address).is_file():
            raise UserError(f"{site}: lacks {address}; build the site again")
    return {address: site / address for address in addresses}


def is_site_file(path: str) -> bool:
    """Return whether `path` can be a file of the site or one that the Hub creates in a Space."""
    folders = ("assets/", "data/", "downloads/", "files/", "models/")
    pages = ("index.html", "compare.html", "submit.html", "site.json", "README.md")
    created_by_hub = (".gitattributes", "style.css")
    return path in (*pages, *created_by_hub) or path.startswith(folders)


def upload_site(repository: str, files: dict[str, Path]) -> str:
    """Upload files that are new or differ in one commit; return its id."""
    listing = hub.list_files(repository, repo_type=SPACE)
    content: dict[str, bytes | Path] = {**files, "README.md": README.encode()}
    return hub.put(repository, content, f"Site of {len(files)} files", listing, SPACE)
