"""A data set on the Hub as a local folder that fills as it is read: each episode is fetched once.

    hf://ORG/NAME[@REVISION][/CONFIGURATION]

The revision is resolved to its commit once, so what is read later belongs together. Two layouts are known:
ours (see packing.py; episodes come out of the Parquet shards by range requests) and the paper's own (folders
with index.json and 000/000.mp4). Files lie in the Hub's cache (`HF_HOME`).
"""

import hashlib
import io
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from huggingface_hub import HfApi, HfFileSystem, cached_assets_path, constants, hf_hub_download
from huggingface_hub.errors import EntryNotFoundError, LocalEntryNotFoundError
from huggingface_hub.hf_api import RepoFolder

from loopcraft.core.errors import UserError
from loopcraft.core.files import is_key, read_json, sweep_partials, whole_file, write_json
from loopcraft.dataset.catalog import CATALOG, Configuration, decode_catalog, preferred
from loopcraft.dataset.episode_files import fingerprint, write_index
from loopcraft.dataset.layout import EPISODES, INDEX, MANIFEST
from loopcraft.dataset.mask_files import SUFFIX, encode_masks
from loopcraft.dataset.parquet_damage import plain_damage, read_parquet
from loopcraft.dataset.shards import Content, read_row
from loopcraft.hub.cache import require_hubs_sum
from loopcraft.hub.errors import DATASET, plain_errors, require_name

_ADDRESS = re.compile(
    r"hf:/{1,2}(?:datasets/)?(?P<repository>[\w.-]+/[\w.-]+)(?:@(?P<revision>[^/]+))?(?:/(?P<name>[\w.-]+))?/?"
)
SHARD, ROW = "shard", "row"
"""Columns of the repository's table of episodes beside those of episodes.parquet."""
_DAY_S = 86_400.0
_SUMMED = ("key", "frames", "mp4_sha256", "npy_sha256")
"""The columns of which a fingerprint is made."""
_LOCATED = {"key": str, "frames": int, "mp4_sha256": str, "npy_sha256": str, SHARD: int, ROW: int}
"""What each row of that table must tell."""


@dataclass(frozen=True, kw_only=True)
class _Repository:
    """A repository at one commit."""

    name: str
    commit: str

    def download(self, path: str) -> Path:
        """The local path of one of its files."""
        with plain_errors(self.name):
            found = Path(hf_hub_download(self.name, path, repo_type=DATASET, revision=self.commit))
        require_hubs_sum(found)
        return found


@dataclass(frozen=True, kw_only=True)
class FolderSource:
    """The paper's layout: the files themselves, in the Hub's snapshot folder."""

    repository: _Repository
    folder: str

    def fetch(self, key: str) -> None:
        """Download the episode's two files to where the snapshot has them."""
        for suffix in (".mp4", ".npy"):
            self.repository.download(f"{self.folder}/{key}{suffix}".removeprefix("/"))


@dataclass(frozen=True, kw_only=True)
class ShardSource:
    """Our layout: rows of Parquet shards; `places` has shard, row and the files' SHA-256 of each key."""

    repository: _Repository
    root: Path
    places: Mapping[str, tuple[str, int, str, str]]

    def fetch(self, key: str) -> None:
        """Read the episode's row and write its files. Raises `UserError` if they are not the table's."""
        shard, row, *sums = self.places[key]
        content = read_content(self.repository.name, self.repository.commit, shard, row)
        if [hashlib.sha256(data).hexdigest() for data in (content.mp4, content.npy)] != sums:
            raise UserError(f"hf://{self.repository.name}: {shard} is damaged at {key}; publish it again")
        files = {".npy": content.npy, ".mp4": content.mp4}
        if content.masks is not None:  # first: that the others are there says that all is
            files = {SUFFIX: encode_masks(content.masks), **files}
        for suffix, data in files.items():
            with whole_file(self.root / f"{key}{suffix}") as temporary:
                temporary.write_bytes(data)


Source = FolderSource | ShardSource


def read_content(repository: str, commit: str, shard: str, row: int) -> Content:
    """One episode of a shard, by range requests; raises `UserError` where the shard is damaged."""
    path = f"datasets/{repository}@{commit}/{shard}"
    with (
        plain_damage(f"hf://{repository}: {shard} is damaged", "publish it again"),
        plain_errors(repository),
        HfFileSystem().open(path, "rb", cache_type="none") as file,
    ):
        return read_row(file, row, _footer(path))


@lru_cache(maxsize=256)
def _footer(path: str) -> pq.FileMetaData:
    with HfFileSystem().open(path, "rb", cache_type="none") as file:
        return pq.read_metadata(file)


def open_mirror(address: str | Path) -> tuple[Path, Source]:
    """The folder that stands for `address`, with its index and table, and the source of its episodes.

    Raises `UserError` for an address or a configuration that is none.
    """
    match = _ADDRESS.fullmatch(str(address))
    if match is None:
        raise UserError(
            f"{address}: no address of a data set; write hf://ORG/NAME[@REVISION][/CONFIGURATION]"
        )
    name, wanted = match["repository"], match["name"]
    require_name(name)
    with plain_errors(name):
        info = HfApi().repo_info(name, repo_type=DATASET, revision=match["revision"])
    repository = _Repository(name=name, commit=str(info.sha))
    catalog = _catalog_path(repository)
    if catalog is None:
        return _open_folder(repository, wanted)
    configurations = decode_catalog(catalog.read_bytes(), name)
    chosen = wanted or preferred(list(configurations))
    if chosen not in configurations:
        raise UserError(f"hf://{name}: no configuration {chosen!r}; choose {' or '.join(configurations)}")
    if not is_key(chosen) or "/" in chosen:  # it becomes a folder's name
        raise UserError(f"hf://{name}: {chosen[:60]!r} is no name of a configuration; publish it again")
    return _open_shards(repository, chosen, configurations[chosen])


def _catalog_path(repository: _Repository) -> Path | None:
    with plain_errors(repository.name):
        try:
            path = hf_hub_download(repository.name, CATALOG, repo_type=DATASET, revision=repository.commit)
        except LocalEntryNotFoundError:
            raise
        except EntryNotFoundError:
            return None
    require_hubs_sum(Path(path))
    return Path(path)


def _open_shards(repository: _Repository, name: str, found: Configuration) -> tuple[Path, Source]:
    """Write the folder's index, table and manifest from the repository's."""
    owner = repository.name.replace("/", "--")
    content = f"{name}-{found.folder.rsplit('/', 1)[1]}"
    with plain_errors(repository.name):
        root = cached_assets_path("loopcraft", owner, content, assets_dir=constants.HF_ASSETS_CACHE)
    sweep_partials(root, older_than_s=_DAY_S)  # others may be fetching
    table, columns = _located_table(repository, found)
    paths = [found.shards[number].path for number in columns[SHARD]]
    places = zip(paths, columns[ROW], columns["mp4_sha256"], columns["npy_sha256"], strict=True)
    if not (root / INDEX).exists():
        with whole_file(root / EPISODES) as temporary:
            pq.write_table(table.drop_columns([SHARD, ROW]), temporary)
        if found.manifest is not None:
            write_json(root / MANIFEST, found.manifest)
        write_index(root, dict(zip(columns["key"], columns["frames"], strict=True)))
    source = ShardSource(
        repository=repository, root=root, places=dict(zip(columns["key"], places, strict=True))
    )
    return root, source


def _located_table(repository: _Repository, found: Configuration) -> tuple[pa.Table, dict[str, list[Any]]]:
    """The table of a configuration's episodes, and the columns that say where each lies.

    Raises `UserError` where it is damaged or names what the configuration's shards cannot hold.
    """
    path = repository.download(found.table)
    with plain_damage(f"hf://{repository.name}: its {found.table} is damaged", "publish it again"):
        content = path.read_bytes()
        if found.table_sha256 not in (None, hashlib.sha256(content).hexdigest()):
            raise ValueError("it is not what its SHA-256 says")
        table = read_parquet(io.BytesIO(content))
        columns: dict[str, list[Any]] = table.select(list(_LOCATED)).to_pydict()
        _check_places(columns, [shard.episodes for shard in found.shards])
        if fingerprint(zip(*(columns[name] for name in _SUMMED), strict=True)) != found.fingerprint:
            raise ValueError(f"it is not the one whose fingerprint {CATALOG} has")
    return table, columns


def _check_places(columns: dict[str, list[Any]], episodes: list[int]) -> None:
    """Raise `ValueError` unless every row names an episode that a shard of so many can hold."""
    for name, kind in _LOCATED.items():
        if not all(type(value) is kind for value in columns[name]):
            raise ValueError(f"{name} holds more than {kind.__name__}")
    places = list(zip(columns[SHARD], columns[ROW], strict=True))
    if len(places) != sum(episodes) or len(set(columns["key"])) < len(places):
        raise ValueError(f"it does not name {sum(episodes)} episodes")
    if not all(0 <= shard < len(episodes) and 0 <= row < episodes[shard] for shard, row in places):
        raise ValueError("it names rows that no shard has")


def _open_folder(repository: _Repository, wanted: str | None) -> tuple[Path, Source]:
    """Find the folder with an index whose videos are there; the preferred one of several."""
    folders = [wanted] if wanted else ["", *_top_folders(repository)]
    found = {}
    for folder in _existing(repository, folders, INDEX):
        index = repository.download(f"{folder}/{INDEX}".removeprefix("/"))
        keys = read_json(index)
        if isinstance(keys, dict) and keys and _existing(repository, [folder], f"{min(keys)}.mp4"):
            found[folder] = index.parent
    if not found:
        raise UserError(
            f"hf://{repository.name}{f'/{wanted}' if wanted else ''}: holds no data set that can be read "
            f"(neither {CATALOG} nor {INDEX} with videos); check the address"
        )
    folder = min(found, key=lambda name: (_rank(name), name))
    return found[folder], FolderSource(repository=repository, folder=folder)


def _rank(folder: str) -> int:
    """Training videos first, then test, then others."""
    return next((rank for rank, word in enumerate(("train", "test", "val")) if folder.startswith(word)), 3)


def _top_folders(repository: _Repository) -> list[str]:
    with plain_errors(repository.name):
        entries = HfApi().list_repo_tree(repository.name, repo_type=DATASET, revision=repository.commit)
        return [entry.path for entry in entries if isinstance(entry, RepoFolder)]


def _existing(repository: _Repository, folders: list[str], name: str) -> list[str]:
    """Those folders that hold a file `name`."""
    paths = {f"{folder}/{name}".removeprefix("/"): folder for folder in folders}
    with plain_errors(repository.name):
        infos = HfApi().get_paths_info(
            repository.name, list(paths), repo_type=DATASET, revision=repository.commit
        )
    return [paths[info.path] for info in infos]
