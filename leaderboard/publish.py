"""Publish a built site on the Hugging Face Hub as a static Space; only new or changed files are sent."""

from dataclasses import dataclass
from functools import partial
from pathlib import Path

import tyro

from leaderboard.hub.spaces import is_site_file, read_site, upload_site
from loopcraft.core import cli
from loopcraft.hub import repository as hub
from loopcraft.hub.errors import SPACE


@dataclass(frozen=True, kw_only=True)
class Flags:
    """The site and its destination."""

    site: tyro.conf.Positional[Path]
    """Folder written by leaderboard.build."""
    repo: str
    """ORG/NAME of the Space; created if it does not exist."""
    private: bool = False
    """Make the Space private."""
    dry_run: bool = False
    """Check everything and print what would be sent, but send nothing."""


def publish(flags: Flags) -> None:
    """Check the site and the permissions, then send new and changed files in one commit."""
    files = read_site(flags.site)
    hub.claim(flags.repo, private=flags.private, is_ours=is_site_file, repo_type=SPACE)
    total = sum(path.stat().st_size for path in files.values())
    if flags.dry_run:
        print(f"{flags.repo}: {len(files)} files of {total:,} bytes; nothing was sent (--dry-run)")
        return
    hub.create(flags.repo, private=flags.private, repo_type=SPACE)
    commit = hub.persistently(lambda: upload_site(flags.repo, files))
    print(f"{hub.page(flags.repo, SPACE)} at {commit[:12]}: complete and checked")


main = partial(cli.run, Flags, publish)

if __name__ == "__main__":
    raise SystemExit(main())
