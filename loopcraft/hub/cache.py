"""Checksums of files in the Hub's local cache, which the Hub's client does not check.

The client names each cached file by its checksum (SHA-256 for large files, git's for small ones); the path
that it returns is a link to that file.
"""

import re
from pathlib import Path

from huggingface_hub.utils.sha import git_hash

from loopcraft.core.errors import UserError
from loopcraft.core.files import file_sha256


def require_hubs_sum(path: Path) -> None:
    """Raise `UserError` if a cached file is damaged; a file not named by its checksum is not checked."""
    stored = path.resolve()
    if re.fullmatch(r"[0-9a-f]{64}", stored.name):
        checksum = file_sha256(stored)
    elif re.fullmatch(r"[0-9a-f]{40}", stored.name):
        checksum = git_hash(stored.read_bytes())
    else:
        return
    if checksum != stored.name:
        raise UserError(f"{path}: does not match the Hub's checksum; delete {stored} and try again")
