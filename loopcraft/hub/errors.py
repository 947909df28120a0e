"""Conversion of the Hub client's errors into sentences for users, and the check of repository names."""

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

from huggingface_hub import constants
from huggingface_hub.errors import (  # type: ignore[attr-defined]  # HTTPError is the HTTP library's
    EntryNotFoundError,
    HfHubHTTPError,
    HFValidationError,
    HTTPError,
    LocalEntryNotFoundError,
    OfflineModeIsEnabled,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)
from huggingface_hub.utils import validate_repo_id  # type: ignore[attr-defined]  # loaded on demand

from loopcraft.core.errors import UserError

RepoType = Literal["dataset", "model", "space"]
DATASET: RepoType = "dataset"
MODEL: RepoType = "model"
SPACE: RepoType = "space"
KINDS: dict[RepoType, str] = {DATASET: "data set", MODEL: "model", SPACE: "Space"}

_NOT_WRITABLE = (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR)

AGAIN = "run the same command again later to resume"


class UnavailableError(UserError):
    """Raised when the Hub cannot answer now, but the same request may succeed later."""


class UnreachableError(UnavailableError):
    """Raised when nothing answers at the Hub's address."""


@contextmanager
def plain_errors(repository: str, repo_type: RepoType = DATASET) -> Iterator[None]:
    """Turn the client's errors about `repository` into a `UserError` of one sentence."""
    try:
        yield
    except HFValidationError as error:
        raise _invalid_name(repository) from error
    except OfflineModeIsEnabled as error:
        raise _offline(repository) from error
    except LocalEntryNotFoundError as error:  # the file is not in the cache, and there is no connection
        if isinstance(error.__cause__, OfflineModeIsEnabled):
            raise _offline(repository) from error
        if isinstance(error.__cause__, HfHubHTTPError):
            raise _explain(repository, error.__cause__.response.status_code) from error
        raise UnreachableError(
            f"{constants.ENDPOINT} cannot be reached; check the network; {AGAIN}"
        ) from error
    except (RepositoryNotFoundError, RevisionNotFoundError, EntryNotFoundError) as error:
        reasons = {
            RevisionNotFoundError: "no such revision",
            RepositoryNotFoundError: f"no such {KINDS[repo_type]}",
        }
        reason = next((text for kind, text in reasons.items() if isinstance(error, kind)), "lacks a file")
        raise UserError(
            f"{repository}: {reason} at {constants.ENDPOINT}, or it is private and the token cannot read it; "
            "check the name, or run `hf auth login`"
        ) from error
    except HfHubHTTPError as error:
        raise _explain(repository, error.response.status_code) from error
    except HTTPError as error:
        raise UnreachableError(
            f"{constants.ENDPOINT} cannot be reached ({type(error).__name__}); check the network; {AGAIN}"
        ) from error
    except OSError as error:  # about a file in the client's cache, not the network
        if error.errno not in _NOT_WRITABLE:
            raise
        raise UserError(
            f"{error.filename or constants.HF_HOME}: cannot be written ({error.strerror}); set HF_HOME to a "
            "writable folder for files from the Hub"
        ) from error
    except RuntimeError as error:  # the client's wrapper for errors in its upload threads
        cause = error.__cause__
        if isinstance(cause, HfHubHTTPError):
            raise _explain(repository, cause.response.status_code) from error
        if isinstance(cause, HTTPError):
            raise UnavailableError(
                f"{constants.ENDPOINT}: the upload was interrupted ({type(cause).__name__}); {AGAIN}"
            ) from error
        raise


def _invalid_name(repository: str) -> UserError:
    return UserError(
        f"{repository}: not a valid repository name; ORG and NAME are at most 96 letters, digits, '-', '_' "
        "and '.', with no '-' or '.' at either end, no '--' or '..', and no '.git' at the end"
    )


def _offline(repository: str) -> UserError:
    return UserError(f"{repository}: needs the network, and HF_HUB_OFFLINE forbids it; unset that variable")


def require_name(repository: str) -> None:
    """Raise `UserError` if the Hub does not allow this name for a repository."""
    try:
        validate_repo_id(repository)
    except HFValidationError as error:
        raise _invalid_name(repository) from error


def _explain(repository: str, status: int) -> UserError:
    if status == 401:
        return UserError(
            f"{constants.ENDPOINT} refuses the token (401); create one with write access in its settings, "
            "then run `hf auth login` or set HF_TOKEN"
        )
    if status == 403:
        return UserError(
            f"{repository}: the token does not permit this (403); run `hf auth login` with one that does"
        )
    if status == 412:
        return UnavailableError(f"{repository}: was changed by someone else in the meantime (412); {AGAIN}")
    if status == 429:
        return UnavailableError(f"{constants.ENDPOINT} accepts no more requests for now (429); {AGAIN}")
    if status >= 500:
        return UnavailableError(f"{constants.ENDPOINT} failed ({status}); {AGAIN}")
    return UserError(f"{repository}: {constants.ENDPOINT} refused the request ({status}); check the name")
