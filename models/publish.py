"""Publish checkpoints on the Hugging Face Hub: `python -m models.publish DIR --repo ORG/NAME`.

Uploads the autoencoders and video models in DIR (autoencoder.safetensors, millivid.safetensors, ...), their
training logs (millivid.jsonl), any result files, and a card that describes the whole repository. Training
states (MODEL.training.pt) and files that the Hub already has are not uploaded; checkpoints on the Hub that
are not in DIR stay. `--checkpoint hf://ORG/NAME` reads them back.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import tyro

from benchmark.results.hub import all_results, is_result, result_files, sections
from loopcraft.core import cli
from loopcraft.hub import repository as hub
from loopcraft.hub.errors import MODEL
from models.publishing.card import make_card
from models.publishing.repository import (
    describe,
    find_files,
    is_checkpoint_file,
    require_autoencoders,
    require_own_results,
    split_results,
)


@dataclass(frozen=True, kw_only=True)
class Flags:
    """The flags of `python -m models.publish`."""

    folder: tyro.conf.Positional[Path]
    """The folder of the checkpoints."""
    repo: str
    """ORG/NAME of a model repository on the Hub; created if it does not exist."""
    private: bool = False
    """Make the repository private."""
    dry_run: bool = False
    """Check everything and list what would be sent, but send nothing."""
    results: tuple[Path, ...] = ()
    """Result files (or run folders) whose tables the card shows."""
    datasets: tuple[str, ...] = ()
    """ORG/NAME of the data sets on the Hub that the models were trained on, for the card's header."""
    licence: str = "mit"
    """The Hub's identifier of the weights' licence."""


def run(flags: Flags) -> None:
    """Check files and permissions, upload missing files in one commit, and verify the upload."""
    files = find_files(flags.folder)
    results = result_files(flags.results) if flags.results else {}
    listing = hub.claim(flags.repo, private=flags.private, is_ours=is_ours, repo_type=MODEL)
    checkpoints = describe(flags.repo, files, listing)
    require_autoencoders(checkpoints, flags.folder)
    require_own_results(results, checkpoints)
    card = make_card(flags.repo, checkpoints, (), licence=flags.licence, datasets=flags.datasets)
    remedy = (
        f"--licence {flags.licence}: choose one of the Hub's identifiers, such as mit, cc-by-4.0 or other; "
        "give --datasets as ORG/NAME"
    )
    hub.require_card(flags.repo, card, remedy, MODEL)
    for path, source in {**files, **results}.items():
        is_unchanged = listing is not None and hub.is_same(source, listing.files.get(path))
        status = "already there" if is_unchanged else f"to send, {source.stat().st_size / 1e6:.1f} MB"
        print(f"{path}: {status}")
    for state in sorted(flags.folder.glob("*.training.pt")):
        print(f"{state.name}: stays here; it is only needed to resume training")
    if flags.dry_run:
        print(f"{flags.repo}: nothing was sent (--dry-run)")
        return
    hub.create(flags.repo, private=flags.private, repo_type=MODEL)
    commit = hub.persistently(lambda: put(flags, files, results))
    print(f"{hub.page(flags.repo, MODEL)} at {commit[:12]}: complete and checked")
    print(f"--checkpoint hf://{flags.repo}@{commit} reads this revision")


def is_ours(path: str) -> bool:
    """Return whether this command, or the Hub on creating the repository, could have written `path`."""
    return path in (".gitattributes", "README.md") or is_checkpoint_file(path) or is_result(path)


def put(flags: Flags, files: Mapping[str, Path], results: dict[str, Path]) -> str:
    """Commit the missing files and the card, verify the upload, and return the commit."""
    listing = hub.list_files(flags.repo, repo_type=MODEL)
    checkpoints = describe(flags.repo, files, listing)
    own_results, _ = split_results(all_results(flags.repo, listing, results, MODEL), checkpoints)
    tables = sections(own_results)
    card = make_card(flags.repo, checkpoints, tables, licence=flags.licence, datasets=flags.datasets)
    wanted: dict[str, bytes | Path] = {**files, **results, "README.md": card.encode()}
    return hub.put(flags.repo, wanted, f"Publish {', '.join(files)}", listing, MODEL)


main = partial(cli.run, Flags, run)

if __name__ == "__main__":
    raise SystemExit(main())
