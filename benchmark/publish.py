"""Publish result files on the Hugging Face Hub, with a card whose tables hold all that the repository has.

A result goes to results/PROTOCOL/MODEL-DIGEST.json: the same file again changes nothing, another run of the
same model stands beside it. Only results that answer one question (protocol, data, metrics) share a table.
"""

import hashlib
import re
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import tyro
from huggingface_hub import CommitOperationAdd, constants, snapshot_download

from benchmark.comparable import require_comparable
from benchmark.results import Result, read_result, read_results
from benchmark.tables import Row, Table, heading, window_tables
from loopcraft import cli, hub
from loopcraft.cli import UserError

_PATH = re.compile(r"results/[^/]+/[^/]+\.json")
_HEADER = """\
---
tags:
- loopcraft
- benchmark
configs: []
---

# Loopcraft results

Result files of the Loopcraft benchmark: how well video world models remember what they saw. Download a file
and compare it with yours: `python -m leaderboard.compare theirs.json yours.json`. Brackets hold 95 %
bootstrap intervals over videos; bounds are shown, not ranked.
"""


@dataclass(frozen=True, kw_only=True)
class Flags:
    """The flags of `python -m benchmark.publish`."""

    results: tyro.conf.Positional[tuple[Path, ...]]
    """Result files (or the folders of their runs)."""
    repo: str
    """ORG/NAME of a data set repository at the Hub; made if it does not exist."""
    private: bool = False
    """Make the repository private."""
    dry_run: bool = False
    """Check everything, say what would be sent, and send nothing."""


def run(flags: Flags) -> None:
    """Check the files and the rights, and put what is missing in one commit."""
    results = read_results(flags.results)
    files = {repository_path(Path(source), result): Path(source) for source, result in results.items()}
    listing = hub.claim(flags.repo, private=flags.private, is_ours=is_ours)
    for path in files:
        known = listing is not None and path in listing.files
        print(f"{path}: {'is there already' if known else 'to send'}")
    if flags.dry_run:
        print(f"{flags.repo}: nothing was sent (--dry-run)")
        return
    hub.create(flags.repo, private=flags.private)
    commit = hub.persistently(lambda: put(flags.repo, files))
    print(f"{constants.ENDPOINT}/datasets/{flags.repo} at {commit[:12]}: complete and checked")


def repository_path(path: Path, result: Result) -> str:
    """Where the file goes; the digest is of its bytes."""
    digest = hashlib.sha256(path.read_bytes()).hexdigest()[:12]
    return f"results/{_plain(result.protocol.id)}/{_plain(result.model.name)}-{digest}.json"


def _plain(name: str) -> str:
    return re.sub(r"[^\w.-]+", "-", name)


def is_ours(path: str) -> bool:
    """Whether this command could have written `path`, or the Hub itself when the repository was made."""
    return path in (".gitattributes", "README.md") or _PATH.fullmatch(path) is not None


def put(repository: str, files: dict[str, Path]) -> str:
    """Commit the files that are missing and a card of all; check what arrived; return the commit."""
    listing = hub.list_files(repository)
    with tempfile.TemporaryDirectory(prefix="loopcraft-") as folder:
        with hub.plain_errors(repository):
            snapshot_download(
                repository,
                repo_type=hub.REPO_TYPE,
                revision=listing.commit,
                allow_patterns="results/*",
                local_dir=folder,
            )
        present = {path: Path(folder) / path for path in listing.files if _PATH.fullmatch(path)}
        every = {path: read_result(place) for path, place in sorted({**present, **files}.items())}
    wanted = {path: place.read_bytes() for path, place in files.items()}
    wanted["README.md"] = make_card(every).encode()
    operations = [
        CommitOperationAdd(path, content)
        for path, content in wanted.items()
        if not hub.is_same(content, listing.files.get(path))
    ]
    if not operations:
        return listing.commit
    commit = hub.commit(repository, operations, f"Add {len(files)} results", listing.commit)
    arrived = hub.list_files(repository, commit).files
    for path, content in wanted.items():
        if not hub.is_same(content, arrived.get(path)):
            raise UserError(f"{repository}: {path} did not arrive as it was sent; run the same command again")
    return commit


def make_card(results: dict[str, Result]) -> str:
    """The repository's README.md: tables a window, for each group of results that may be compared."""
    groups: list[dict[str, Result]] = []
    for path, result in results.items():
        group = next((group for group in groups if _fits({**group, path: result})), None)
        if group is None:
            groups.append(group := {})
        group[path] = result
    return "\n".join([_HEADER, *(_section(group) for group in groups)])


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
    return "\n\n".join([title, *(_markdown(table) for table in window_tables(results)), files]) + "\n"


def _markdown(table: Table) -> str:
    head = ["model", *(heading(card) for card in table.cards)]
    lines = [head, ["---"] * len(head), *(_cells(row) for row in table.rows)]
    return "\n".join([f"### {table.title}", "", *(f"| {' | '.join(line)} |" for line in lines)])


def _cells(row: Row) -> list[str]:
    texts = ["" if cell is None else f"**{cell.text}**" if cell.bold else cell.text for cell in row.cells]
    return [f"{row.label} (bound)" if row.is_bound else row.label, *texts]


def main(argv: Sequence[str] | None = None) -> int:
    """The command line; returns the exit code."""
    return cli.run(Flags, run, argv)


if __name__ == "__main__":
    raise SystemExit(main())
