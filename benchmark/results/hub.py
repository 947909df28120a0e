"""Result files in a Hub repository: their paths, those already there, and their tables in Markdown.

A result is stored at results/PROTOCOL/MODEL-DIGEST.json: uploading the same file again changes nothing, and
another run of the same model gets its own file. Only results of the same protocol, data and metrics share
a table.
"""

import hashlib
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from huggingface_hub import snapshot_download

from benchmark.results.comparable import require_comparable
from benchmark.results.formats import markdown_table
from benchmark.results.result_file import Result, read_result, read_results
from benchmark.results.tables import window_tables
from loopcraft.core.errors import UserError
from loopcraft.core.urls import COPY, require_folder
from loopcraft.core.writing import working_folder
from loopcraft.hub import repository as hub
from loopcraft.hub.errors import RepoType, plain_errors

_PATH = re.compile(r"results/[\w.-]+/[\w.-]+\.json")


def result_files(paths: Sequence[Path]) -> dict[str, Path]:
    """Map repository paths to result files, given the files or their run folders.

    Raises `UserError` if one is not a result file.
    """
    for path in paths:
        require_folder(path, COPY)
    results = read_results(paths)
    return {_repository_path(Path(source), result): Path(source) for source, result in results.items()}


def is_result(path: str) -> bool:
    """Return whether `path` has the form of a result's path in the repository."""
    return _PATH.fullmatch(path) is not None


def all_results(
    repository: str, listing: hub.Listing, files: Mapping[str, Path], repo_type: RepoType
) -> dict[str, Result]:
    """Return the results in the repository and those in `files`, by path."""
    with working_folder() as folder:
        existing = [path for path in listing.files if is_result(path) and path not in files]
        if existing:
            with plain_errors(repository, repo_type):
                snapshot_download(
                    repository,
                    repo_type=repo_type,
                    revision=listing.commit,
                    allow_patterns=existing,
                    local_dir=folder,
                )
        sources = {**files, **{path: folder / path for path in existing}}
        return {path: read_result(source) for path, source in sorted(sources.items())}


def sections(results: Mapping[str, Result]) -> list[str]:
    """Return, for each group of comparable results, one table per window and links to the files."""
    groups: list[dict[str, Result]] = []
    for path, result in results.items():
        group = next((group for group in groups if _fits({**group, path: result})), None)
        if group is None:
            groups.append(group := {})
        group[path] = result
    return [_section(group) for group in groups]


def _repository_path(path: Path, result: Result) -> str:
    digest = hashlib.sha256(path.read_bytes()).hexdigest()[:12]
    return f"results/{_plain(result.protocol.id)}/{_plain(result.model.name)}-{digest}.json"


def _plain(name: str) -> str:
    return re.sub(r"[^\w.-]+", "-", name).lstrip(".") or "-"


def _fits(results: dict[str, Result]) -> bool:
    try:
        require_comparable(results)
    except UserError:
        return False
    return True


def _section(results: dict[str, Result]) -> str:
    first = next(iter(results.values()))
    title = f"## {first.protocol.id} on data set {first.data.fingerprint[:12]}"
    files = "\n".join(f"- [{path}]({path})" for path in results)
    tables = (markdown_table(table, "model") for table in window_tables(results))
    return "\n\n".join([title, *map(str.rstrip, tables), files]) + "\n"
