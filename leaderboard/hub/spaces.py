"""The site as a static Space: a repository at the Hub that is served as it lies there."""

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

Long-range memory in video world models. Made by `python -m leaderboard.build`, put here by
`python -m leaderboard.publish`; change entries and build again rather than edit it.
"""


def read_site(site: Path) -> dict[str, Path]:
    """The files of a finished site by address; raises `UserError` where it is none or lacks one."""
    listing = site / "site.json"
    if not listing.is_file():
        raise UserError(f"{site}: holds no site; make it with python -m leaderboard.build --out {site}")
    addresses = [*read_json(listing)["files"], "site.json"]
    for address in addresses:
        if not (site / address).is_file():
            raise UserError(f"{site}: lacks {address}; build the site again")
    return {address: site / address for address in addresses}


def is_ours(path: str) -> bool:
    """Whether the site has such a file, or the Hub itself made it."""
    folders = ("assets/", "data/", "downloads/", "files/", "models/")
    pages = (
        "index.html",
        "compare.html",
        "submit.html",
        "site.json",
        "README.md",
        ".gitattributes",
        "style.css",
    )
    return path in pages or path.startswith(folders)


def put_site(repository: str, files: dict[str, Path]) -> str:
    """Send in one commit, which is returned, what the Space lacks or has otherwise."""
    listing = hub.list_files(repository, repo_type=SPACE)
    wanted: dict[str, bytes | Path] = {**files, "README.md": README.encode()}
    return hub.put(repository, wanted, f"Site of {len(files)} files", listing, SPACE)
