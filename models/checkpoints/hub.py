"""Checkpoints on the Hugging Face Hub: the paper's, and those at any hf://ORG/NAME."""

import logging
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from loopcraft.core.errors import UserError
from loopcraft.core.files import file_sha256


@dataclass(frozen=True, kw_only=True)
class HubFile:
    """A file in a Hub repository at a revision; `sha256` is checked if known."""

    name: str
    repository: str = "charatan/millivid"
    revision: str = "main"
    sha256: str | None = None


PUBLISHED = {
    "autoencoder": HubFile(name="autoencoder_3zg3ovzdhnun_128000.ckpt"),
    "millivid": HubFile(name="millivid_192k.ckpt"),
    "framepack": HubFile(name="framepack_192k.ckpt"),
    "full-resolution": HubFile(name="full_resolution_rollout_192k.ckpt"),
}
"""The checkpoints of the paper's main table."""

ADDRESS = re.compile(r"hf:/{1,2}(?P<repository>[\w.-]+/[\w.-]+)(?:@(?P<revision>[^/]+))?/?", re.ASCII)


def is_address(checkpoint: str) -> bool:
    """Return whether a checkpoint is on the Hub (a `Path` collapses the two slashes to one)."""
    return checkpoint.startswith("hf:/")


def fetch_first(address: str, names: Sequence[str]) -> Path | None:
    """Fetch the first of the files `names` that hf://ORG/NAME[@REVISION] holds, into the Hub's own cache.

    Returns None if it holds none of them. Raises `UserError` for an invalid address, a missing repository and
    an unreachable Hub.
    """
    match = ADDRESS.fullmatch(address)
    if match is None:
        raise UserError(f"{address}: not a valid address; write hf://ORG/NAME or hf://ORG/NAME@REVISION")
    try:
        from huggingface_hub import hf_hub_download
        from huggingface_hub.errors import EntryNotFoundError, LocalEntryNotFoundError

        from loopcraft.hub.errors import MODEL, plain_errors, require_name
    except ImportError as error:
        raise UserError(f"{address} needs huggingface_hub; pip install huggingface_hub") from error
    require_name(match["repository"])
    unreachable = None
    for name in names:
        with plain_errors(match["repository"], MODEL):
            try:
                return Path(hf_hub_download(match["repository"], name, revision=match["revision"]))
            except LocalEntryNotFoundError as error:  # no network, but another name may be in the cache
                unreachable = error
            except EntryNotFoundError:
                continue
    if unreachable is not None:
        with plain_errors(match["repository"], MODEL):
            raise unreachable
    return None


def fetch(file: HubFile) -> Path:
    """Return the local path of a Hub file, downloaded once into the Hub's own cache.

    Raises `UserError` if it cannot be fetched.
    """
    try:
        from huggingface_hub import hf_hub_download

        from loopcraft.hub.errors import MODEL, UnreachableError, plain_errors
    except ImportError as error:
        raise UserError(f"fetching {file.name} needs huggingface_hub; pip install huggingface_hub") from error
    try:
        with plain_errors(file.repository, MODEL), _quiet():
            path = Path(hf_hub_download(file.repository, file.name, revision=file.revision))
    except UnreachableError as error:
        raise UserError(
            f"{file.repository}/{file.name} cannot be fetched from the Hugging Face Hub; connect to the "
            "network, or copy the file into a folder and give that folder as the checkpoint"
        ) from error
    require_sha256(path, file.sha256)
    return path


@contextmanager
def _quiet() -> Iterator[None]:
    """Silence the Hub client's log line for each retry; the outcome is reported once."""
    logger = logging.getLogger("huggingface_hub")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)


def require_sha256(path: Path, expected: str | None) -> None:
    """Raise `UserError` if the file does not have the expected SHA-256 (None: not known)."""
    if expected is not None and (actual := file_sha256(path)) != expected:
        raise UserError(f"{path}: has sha256 {actual}, expected {expected}; delete it and fetch it again")
