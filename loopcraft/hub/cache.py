"""Files in the Hub's cache, compared with the checksums that the Hub gave: the client itself does not look.

It keeps each file under the name of its checksum (SHA-256 of large files, git's of small ones); the path that
it hands out is a link to that.
"""

import re
from pathlib import Path

from huggingface_hub.utils.sha import git_hash

from loopcraft.core.errors import UserError
from loopcraft.core.files import file_sha256


def require_hubs_sum(path: Path) -> None:
    """Raise `UserError` where a downloaded file is damaged; a copy, kept under its own name, is not read."""
    stored = path.resolve()
    if re.fullmatch(r"[0-9a-f]{64}", stored.name):
        found = file_sha256(stored)
    elif re.fullmatch(r"[0-9a-f]{40}", stored.name):
        found = git_hash(stored.read_bytes())
    else:
        return
    if found != stored.name:
        raise UserError(f"{path}: not what the Hub's checksum says; delete {stored} and try again")
