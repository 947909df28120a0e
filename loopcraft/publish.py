"""Publish data sets on the Hugging Face Hub: Parquet shards with videos and states, and a card.

PATH is a data set or a folder of several (train, val, test). Each becomes a configuration of the repository;
other configurations remain unchanged. If interrupted, run the command again: it sends only what is missing.
"""

import dataclasses
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, get_args

import numpy as np
import tyro
from huggingface_hub import DatasetCardData, hf_hub_download

from loopcraft.core import cli
from loopcraft.core.errors import UserError
from loopcraft.core.progress import progress_bar
from loopcraft.core.urls import path_at
from loopcraft.core.writing import working_folder
from loopcraft.dataset.catalog import CATALOG, SHARD_PATH, TINY, Catalog, decode_catalog
from loopcraft.dataset.layout import INDEX
from loopcraft.dataset.manifest import Split, default_context
from loopcraft.dataset.reader import LoopcraftDataset, open_dataset
from loopcraft.executors.threads import map_in_threads
from loopcraft.hub import repository as hub
from loopcraft.hub.errors import DATASET, plain_errors
from loopcraft.publishing.card import FIGURE, make_card
from loopcraft.publishing.packing import SHARD_BYTES, Shard, episode_table, plan_shards
from loopcraft.publishing.upload import (
    Content,
    Part,
    check,
    describe,
    switch,
    upload_shards,
    write_located_table,
)
from loopcraft.verify import Fault, check_episode, check_listed, check_strays, check_table
from loopcraft.views.contact_sheet import write_sheet

TINY_EPISODES = 4
TINY_SOURCES: tuple[Split, ...] = ("test", "val", "train")
"""The configuration `tiny` is the beginning of the first of these that exists."""


@dataclass(frozen=True, kw_only=True)
class Flags:
    """The flags of `python -m loopcraft.publish`."""

    data: tyro.conf.Positional[Path]
    """Folder of one data set or several."""
    repo: str
    """Repository ORG/NAME on the Hub; created if it does not exist."""
    private: bool = False
    """Make the repository private."""
    dry_run: bool = False
    """Check everything and list what would be sent, but send nothing."""
    licence: str = "mit"
    """The Hub's identifier of the data's licence."""
    workers: Annotated[int, tyro.conf.arg(aliases=("--jobs",))] = 2
    """Episodes checked at a time."""
    shard_mb: float = SHARD_BYTES / 1e6
    """Approximate size of a shard in megabytes."""


def run(flags: Flags) -> None:
    """Check the data and access rights, upload what is missing, switch to it, and check the result."""
    if flags.workers < 1 or flags.shard_mb <= 0:
        raise UserError(
            f"--workers {flags.workers}, --shard-mb {flags.shard_mb}: choose a positive number of each"
        )
    datasets = find_datasets(flags.data)
    listing = hub.claim(flags.repo, private=flags.private, is_ours=is_ours)
    for dataset in datasets.values():
        _refuse([*check_table(dataset), *check_strays(dataset), *check_listed(dataset)], dataset)
    hub.require_card(
        flags.repo,
        f"---\n{DatasetCardData(license=flags.licence).to_yaml()}\n---\n",
        f"--licence {flags.licence}: choose one of the Hub's identifiers, such as mit, cc-by-4.0 or other",
    )
    published = {} if listing is None else read_catalog(flags.repo, listing)
    parts = plan(datasets, published, shard_bytes=round(flags.shard_mb * 1e6))
    verify_missing(parts, listing, workers=flags.workers)
    print_plan(parts, listing)
    if flags.dry_run:
        print(f"{flags.repo}: nothing was sent (--dry-run)")
        return
    hub.create(flags.repo, private=flags.private)
    commit = release(flags.repo, parts, licence=flags.licence)
    print(f"{hub.page(flags.repo, DATASET)} at {commit[:12]}: complete and checked")
    print(f"open_dataset('hf://{flags.repo}@{commit}') reads this revision")


def find_datasets(folder: Path) -> dict[str, LoopcraftDataset]:
    """Open the data set in `folder`, or those directly below it; return them by split.

    Raises `UserError` if two have the same split.
    """
    root = path_at(folder)
    is_folder = (not isinstance(root, Path) or root.is_dir()) and not (root / INDEX).exists()
    below = sorted(path for path in root.iterdir() if (path / INDEX).exists()) if is_folder else []
    datasets: dict[str, LoopcraftDataset] = {}
    for dataset in [open_dataset(path) for path in (below if len(below) > 1 else [root])]:
        split = _split_of(dataset)
        if split in datasets:
            raise UserError(
                f"{datasets[split].root} and {dataset.root}: are both {split}; publish one of them"
            )
        datasets[split] = dataset
    return datasets


def _split_of(dataset: LoopcraftDataset) -> str:
    if dataset.manifest is not None:
        return str(dataset.manifest["split"])
    for split in get_args(Split):
        root = dataset.root
        if (root.resolve() if isinstance(root, Path) else root).name.startswith(split):
            return str(split)
    raise UserError(
        f"{dataset.root}: does not record its split; rename the folder to start with train, val or test"
    )


def is_ours(path: str) -> bool:
    """Return whether this command, or the Hub when it created the repository, may have written `path`."""
    known = path in (".gitattributes", "README.md", CATALOG, FIGURE)
    return known or SHARD_PATH.fullmatch(path) is not None or path.startswith("episodes/")


def read_catalog(repository: str, listing: hub.Listing) -> Catalog:
    """Read the repository's catalog; empty if it has none."""
    if CATALOG not in listing.files:
        return {}
    with plain_errors(repository):
        path = hf_hub_download(repository, CATALOG, repo_type=DATASET, revision=listing.commit)
    return decode_catalog(Path(path).read_bytes(), repository)


def plan(datasets: dict[str, LoopcraftDataset], published: Catalog, *, shard_bytes: int) -> list[Part]:
    """Return the configurations to publish, including `tiny` if its source is one of them."""
    parts = []
    for split, dataset in datasets.items():
        table = episode_table(dataset)
        shards = plan_shards(dataset, table, split, shard_bytes=shard_bytes)
        parts.append(Part(name=split, split=split, dataset=dataset, table=table, shards=shards))
    source = tiny_source({*datasets, *published})
    for part in [part for part in parts if part.name == source]:
        table = part.table.slice(0, TINY_EPISODES)
        shards = plan_shards(part.dataset, table, TINY, shard_bytes=shard_bytes)
        parts.append(Part(name=TINY, split=source, dataset=part.dataset, table=table, shards=shards))
    return parts


def tiny_source(names: set[str]) -> str:
    """Return which of these configurations `tiny` is taken from."""
    return next(split for split in TINY_SOURCES if split in names)


def verify_missing(parts: list[Part], listing: hub.Listing | None, *, workers: int) -> None:
    """Check each episode that will be sent, as `loopcraft.verify` does; raises `UserError` for a fault."""
    datasets = {part.dataset.root: part.dataset for part in parts}
    is_sent = {root: np.zeros(len(dataset.keys), bool) for root, dataset in datasets.items()}
    for part in parts:  # each table starts at the data set's first key, so shard rows are key positions
        for shard in part.missing(listing):
            is_sent[part.dataset.root][shard.start : shard.stop] = True
    work = ((datasets[root], index) for root, sent in is_sent.items() for index in np.flatnonzero(sent))
    with progress_bar("verifying", sum(int(sent.sum()) for sent in is_sent.values()), "episodes") as advance:

        def check_one(item: tuple[LoopcraftDataset, np.intp]) -> None:
            dataset, index = item
            _refuse(check_episode(dataset, dataset.keys[index]), dataset)

        for _ in map_in_threads(check_one, work, workers):
            advance()


def _refuse(faults: Sequence[Fault], dataset: LoopcraftDataset) -> None:
    if faults:
        raise UserError(f"{faults[0]}; see all faults with `python -m loopcraft.verify {dataset.root}`")


def print_plan(parts: list[Part], listing: hub.Listing | None) -> None:
    """Print what each configuration holds and how much of it must be sent."""
    for part in parts:
        missing = part.missing(listing)
        print(
            f"{part.name}: {part.table.num_rows} episodes, {len(part.shards)} shards, {_size(part.shards)}; "
            f"to send: {len(missing)} shards, {_size(missing)}"
        )


def _size(shards: Sequence[Shard]) -> str:
    return f"{sum(shard.num_bytes for shard in shards) / 1e6:.1f} MB"


def release(repository: str, parts: list[Part], *, licence: str) -> str:
    """Upload the parts, make them the repository's content and check it; return the commit."""
    upload_shards(repository, parts)
    commit, content = switch(
        repository, parts, lambda listing: content_at(repository, listing, parts, licence=licence)
    )
    current = [part for part in parts if part.is_in(content.catalog)]
    check(repository, commit, current, content)
    return commit


def content_at(repository: str, listing: hub.Listing, parts: list[Part], *, licence: str) -> Content:
    """Merge the parts into the repository's current content; `tiny` only if its source is still preferred."""
    published = read_catalog(repository, listing)
    source = tiny_source({*published, *(part.name for part in parts)})
    current = [part for part in parts if part.name != TINY or part.split == source]
    catalog = published | {part.name: describe(part, listing) for part in current}
    files = {"README.md": make_card(repository, catalog, licence=licence).encode()}
    with working_folder() as folder:
        for part in current:
            path = folder / part.name
            write_located_table(path, part)
            table = path.read_bytes()
            files[catalog[part.name].table] = table
            sha256 = hashlib.sha256(table).hexdigest()
            catalog[part.name] = dataclasses.replace(catalog[part.name], table_sha256=sha256)
        is_new = TINY not in published or catalog[TINY].shards != published[TINY].shards
        if is_new or FIGURE not in listing.files:
            files[FIGURE] = draw_figure(current[-1], folder / FIGURE)
    return Content(files=files, catalog=catalog)


def draw_figure(part: Part, path: Path) -> bytes:
    """Draw the card's figure, frames of the part's first episode; return the file's content."""
    key, num_frames = part.table["key"][0].as_py(), part.table["frames"][0].as_py()
    title = " · ".join(text for text in (f"episode {key}", part.dataset.world_id) if text)
    frames = part.dataset.iterate_frames(key)
    write_sheet(path, frames, num_frames, default_context(num_frames), title=title)
    return path.read_bytes()


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return the exit code; as a script (no `argv`), exit the process at once."""
    code = cli.run(Flags, run, argv)
    if argv is None:
        cli.leave(code)
    return code


if __name__ == "__main__":
    raise SystemExit(main())
