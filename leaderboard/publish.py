"""Put a built site on the Hugging Face Hub as a static Space; what is there already is not sent again."""

from dataclasses import dataclass
from functools import partial
from pathlib import Path

import tyro

from leaderboard.hub.spaces import is_ours, put_site, read_site
from loopcraft.core import cli
from loopcraft.hub import repository as hub
from loopcraft.hub.errors import SPACE


@dataclass(frozen=True, kw_only=True)
class Flags:
    """Which site, and where to."""

    site: tyro.conf.Positional[Path]
    """Folder that leaderboard.build wrote."""
    repo: str
    """ORG/NAME of the Space; made if it does not exist."""
    private: bool = False
    """Make the Space private."""
    dry_run: bool = False
    """Check everything, say what would be sent, and send nothing."""


def publish(flags: Flags) -> None:
    """Check the site and the rights, and send what is missing in one commit."""
    files = read_site(flags.site)
    hub.claim(flags.repo, private=flags.private, is_ours=is_ours, repo_type=SPACE)
    total = sum(path.stat().st_size for path in files.values())
    if flags.dry_run:
        print(f"{flags.repo}: {len(files)} files of {total:,} bytes; nothing was sent (--dry-run)")
        return
    hub.create(flags.repo, private=flags.private, repo_type=SPACE)
    commit = hub.persistently(lambda: put_site(flags.repo, files))
    print(f"{hub.page(flags.repo, SPACE)} at {commit[:12]}: complete and checked")


main = partial(cli.run, Flags, publish)

if __name__ == "__main__":
    raise SystemExit(main())
