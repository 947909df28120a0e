"""The published checkpoints on the Hugging Face Hub: which files there are, and how one is fetched."""

from dataclasses import dataclass
from pathlib import Path

from loopcraft.cli import UserError
from loopcraft.storage import file_sha256


@dataclass(frozen=True, kw_only=True)
class HubFile:
    """One file of a Hub repository at a revision; `sha256` is checked where it is known."""

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
"""The checkpoints behind the paper's main table."""


def fetch(file: HubFile) -> Path:
    """The local path of a Hub file, downloaded once and kept in the Hub's own cache."""
    try:
        from huggingface_hub import hf_hub_download
        from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError
    except ImportError as error:
        raise UserError(f"fetching {file.name} needs huggingface_hub; pip install huggingface_hub") from error
    try:
        path = Path(hf_hub_download(file.repository, file.name, revision=file.revision))
    except (LocalEntryNotFoundError, HfHubHTTPError, OSError) as error:
        raise UserError(
            f"{file.repository}/{file.name} cannot be fetched from the Hugging Face Hub; connect to the "
            "network, or copy the file into a folder and give that folder as the checkpoint"
        ) from error
    require_sha256(path, file.sha256)
    return path


def require_sha256(path: Path, expected: str | None) -> None:
    """Refuse a file of another content than the recorded one (None: nothing is recorded)."""
    if expected is not None and (found := file_sha256(path)) != expected:
        raise UserError(f"{path}: has sha256 {found}, expected {expected}; delete it and fetch it again")
