"""Repositories on the Hugging Face Hub: access rights, listings, commits and retries.

The client chooses the endpoint (`HF_ENDPOINT`) and the token (`HF_TOKEN` or `hf auth login`). This module
checks only that a token exists, and never shows or stores it.
"""

import hashlib
import re
import sys
import textwrap
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from huggingface_hub import (
    CommitOperationAdd,
    CommitOperationCopy,
    CommitOperationDelete,
    DatasetCard,
    HfApi,
    ModelCard,
    constants,
    get_token,
)
from huggingface_hub.errors import RepositoryNotFoundError
from huggingface_hub.hf_api import RepoFile
from huggingface_hub.utils.sha import git_hash

from loopcraft.core.errors import UserError
from loopcraft.core.files import file_sha256
from loopcraft.hub.errors import AGAIN, DATASET, SPACE, RepoType, UnavailableError, plain_errors, require_name

Operation = CommitOperationAdd | CommitOperationCopy | CommitOperationDelete
Result = TypeVar("Result")

RETRY_WAITS_S = (5.0, 30.0, 120.0, 300.0)
"""How long to wait before each further attempt, after the client's own retries have failed."""

_REPOSITORY = re.compile(r"[\w.-]+/[\w.-]+", re.ASCII)


@dataclass(frozen=True, kw_only=True)
class Listing:
    """The content of a repository: its commit, and each file by its path."""

    commit: str
    files: dict[str, RepoFile]


def page(repository: str, repo_type: RepoType) -> str:
    """Return the URL of the repository's web page."""
    folder = {DATASET: "datasets/", SPACE: "spaces/"}.get(repo_type, "")
    return f"{constants.ENDPOINT}/{folder}{repository}"


def require_card(repository: str, content: str, remedy: str, repo_type: RepoType = DATASET) -> None:
    """Raise `UserError` with `remedy` if the Hub would refuse the header of this README.md."""
    card = (DatasetCard if repo_type == DATASET else ModelCard)(content)

    def step() -> None:
        with plain_errors(repository, repo_type):
            card.validate(repo_type=repo_type)

    try:
        persistently(step)
    except ValueError as error:  # the client's error for a refusal
        reason = textwrap.shorten(str(error), 200)
        raise UserError(f"{repository}: the Hub refuses the card's header ({reason}); {remedy}") from error


def persistently(step: Callable[[], Result]) -> Result:
    """Return the result of `step`, retrying it after waits while the Hub is unavailable."""
    for wait_s in RETRY_WAITS_S:
        try:
            return step()
        except UnavailableError as error:
            reason = str(error).removesuffix(f"; {AGAIN}")
            print(f"{reason}; trying again in {wait_s:.0f} s", file=sys.stderr)
            time.sleep(wait_s)
    return step()


def claim(
    repository: str, *, private: bool, is_ours: Callable[[str], bool], repo_type: RepoType = DATASET
) -> Listing | None:
    """Check that we may write to `repository`; return its listing, or None if it does not exist yet.

    Raises `UserError` if access is denied, or if it holds a path that `is_ours` rejects. Writes nothing.
    """
    if not _REPOSITORY.fullmatch(repository):
        raise UserError(f"--repo {repository}: must look like ORG/NAME")
    require_name(repository)
    if get_token() is None:
        raise UserError("no Hugging Face token; run `hf auth login` or set HF_TOKEN")
    api = HfApi()
    with plain_errors(repository, repo_type):
        _check_account(repository, api.whoami())
        try:
            info = api.repo_info(repository, repo_type=repo_type)
        except RepositoryNotFoundError:
            return None
        api.auth_check(repository, repo_type=repo_type, write=True)
    if private and not info.private:
        raise UserError(
            f"{repository}: exists and is public; make it private in its settings or choose another --repo"
        )
    listing = list_files(repository, info.sha, repo_type)
    for path in listing.files:
        if not is_ours(path):
            raise UserError(
                f"{repository}: exists and holds {path!r}, which is not from Loopcraft; choose another --repo"
            )
    return listing


def _check_account(repository: str, account: dict[str, Any]) -> None:
    """Raise `UserError` unless the token can write and the owner is the user or lets the user write."""
    owner, user = repository.split("/")[0], account["name"]
    writable = [org["name"] for org in account.get("orgs", ()) if org.get("roleInOrg") != "read"]
    if owner not in (user, *writable):
        raise UserError(
            f"{repository}: belongs to {owner}, where {user} has no write access; "
            f"choose --repo {user}/{repository.split('/')[1]}"
        )
    if account.get("auth", {}).get("accessToken", {}).get("role") == "read":
        raise UserError(
            f"the token of {user} is read-only; create one with write access and run `hf auth login`"
        )


def create(repository: str, *, private: bool, repo_type: RepoType = DATASET) -> None:
    """Create the repository unless it exists; a Space is created as a static site."""
    sdk = "static" if repo_type == SPACE else None

    def step() -> None:
        with plain_errors(repository, repo_type):
            HfApi().create_repo(
                repository, repo_type=repo_type, private=private, exist_ok=True, space_sdk=sdk
            )

    persistently(step)


def list_files(repository: str, revision: str | None = None, repo_type: RepoType = DATASET) -> Listing:
    """List all files of the repository at `revision` (default: the latest)."""
    api = HfApi()
    with plain_errors(repository, repo_type):
        commit = str(api.repo_info(repository, repo_type=repo_type, revision=revision).sha)
        entries = api.list_repo_tree(repository, repo_type=repo_type, revision=commit, recursive=True)
        return Listing(commit=commit, files={e.path: e for e in entries if isinstance(e, RepoFile)})


def stored_sha256(listing: Listing, path: str) -> str:
    """Return the SHA-256 of a large file; raises `UserError` if the Hub has none of that name."""
    file = listing.files.get(path)
    if file is None or file.lfs is None:
        raise UserError(f"{path}: is not on the Hub as a large file; run the same command again")
    return str(file.lfs.sha256)


def is_same(content: bytes | Path, file: RepoFile | None) -> bool:
    """Return whether the Hub's `file` has this content, by SHA-256 (large files) or git's hash (small)."""
    if file is None:
        return False
    if file.lfs is not None and isinstance(content, Path):
        return bool(file.lfs.sha256 == file_sha256(content))
    data = content.read_bytes() if isinstance(content, Path) else content
    if file.lfs is not None:
        return bool(file.lfs.sha256 == hashlib.sha256(data).hexdigest())
    return bool(file.blob_id == git_hash(data))


def commit(
    repository: str,
    operations: Sequence[Operation],
    message: str,
    parent: str,
    repo_type: RepoType = DATASET,
) -> str:
    """Create a commit on top of `parent` and return its id; content that the Hub has is not sent again."""
    with plain_errors(repository, repo_type):
        info = HfApi().create_commit(
            repository,
            operations,
            commit_message=message,
            repo_type=repo_type,
            parent_commit=parent,
        )
    return str(info.oid)


def put(
    repository: str,
    files: Mapping[str, bytes | Path],
    message: str,
    listing: Listing,
    repo_type: RepoType = DATASET,
) -> str:
    """Upload the `files` that are missing from or differ in `listing`, the latest, in one commit; return it.

    If none differ, return the commit of `listing`. Raises `UserError` if the Hub stored a file incorrectly.
    """
    operations = [
        CommitOperationAdd(path, content)
        for path, content in files.items()
        if not is_same(content, listing.files.get(path))
    ]
    if not operations:
        return listing.commit
    new_commit = commit(repository, operations, message, listing.commit, repo_type)
    stored = list_files(repository, new_commit, repo_type).files
    for path, content in files.items():
        if not is_same(content, stored.get(path)):
            raise UserError(f"{repository}: {path} did not arrive as it was sent; run the same command again")
    return new_commit
