"""Local mirror of a data set on the Hub: a folder into which each episode is fetched on first use.

    hf://ORG/NAME[@REVISION][/CONFIGURATION]

The revision is resolved to a commit once, so all reads see the same version. Two layouts are supported:
Loopcraft's (see packing.py; episodes are read from Parquet shards by range requests) and the paper's (folders
with index.json and 000/000.mp4). Files are stored in the Hub's cache (`HF_HOME`).
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
"""Columns that the repository's table of episodes has in addition to those of episodes.parquet."""
_DAY_S = 86_400.0
_SUMMED = ("key", "frames", "mp4_sha256", "npy_sha256")
"""Columns that the fingerprint covers."""
_LOCATED = {"key": str, "frames": int, "mp4_sha256": str, "npy_sha256": str, SHARD: int, ROW: int}
"""Required columns of the repository's table, and the type of their values."""


@dataclass(frozen=True, kw_only=True)
class _Repository:
    """A repository at one commit."""

    name: str
    commit: str

    def download(self, path: str) -> Path:
        """Download one of its files, unless cached; return the local path."""
        with plain_errors(self.name):
            local = Path(hf_hub_download(self.name, path, repo_type=DATASET, revision=self.commit))
        require_hubs_sum(local)
        return local


@dataclass(frozen=True, kw_only=True)
class FolderSource:
    """Source of episodes in the paper's layout: plain files in the Hub's snapshot folder."""

    repository: _Repository
    folder: str

    def fetch(self, key: str) -> None:
        """Download the episode's two files into the snapshot folder."""
        for suffix in (".mp4", ".npy"):
            self.repository.download(f"{self.folder}/{key}{suffix}".removeprefix("/"))


@dataclass(frozen=True, kw_only=True)
class ShardSource:
    """Source of episodes in Loopcraft's layout: rows of Parquet shards.

    `locations` maps each key to its shard, its row and the SHA-256 of its two files.
    """

    repository: _Repository
    root: Path
    locations: Mapping[str, tuple[str, int, str, str]]

    def fetch(self, key: str) -> None:
        """Read the episode's row and write its files; raise `UserError` if the shard is damaged."""
        shard, row, *sums = self.locations[key]
        content = read_content(self.repository.name, self.repository.commit, shard, row)
        if [hashlib.sha256(data).hexdigest() for data in (content.mp4, content.npy)] != sums:
            raise UserError(f"hf://{self.repository.name}: {shard} is damaged at {key}; publish it again")
        files = {".npy": content.npy, ".mp4": content.mp4}
        if content.masks is not None:  # written first: the other files mark the episode as complete
            files = {SUFFIX: encode_masks(content.masks), **files}
        for suffix, data in files.items():
            with whole_file(self.root / f"{key}{suffix}") as temporary:
                temporary.write_bytes(data)


Source = FolderSource | ShardSource


def read_content(repository: str, commit: str, shard: str, row: int) -> Content:
    """Read one episode of a shard by range requests; raise `UserError` if the shard is damaged."""
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
    """Return the local folder of `address`, with its index and table, and the source of its episodes.

    Raises `UserError` for an invalid address or an unknown configuration.
    """
    match = _ADDRESS.fullmatch(str(address))
    if match is None:
        raise UserError(
            f"{address}: not a data set's address; write hf://ORG/NAME[@REVISION][/CONFIGURATION]"
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
        raise UserError(f"hf://{name}: {chosen[:60]!r} is not a valid configuration name; publish it again")
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


def _open_shards(repository: _Repository, name: str, entry: Configuration) -> tuple[Path, Source]:
    """Write the folder's index, table and manifest from the repository's."""
    owner = repository.name.replace("/", "--")
    content = f"{name}-{entry.folder.rsplit('/', 1)[1]}"
    with plain_errors(repository.name):
        root = cached_assets_path("loopcraft", owner, content, assets_dir=constants.HF_ASSETS_CACHE)
    sweep_partials(root, older_than_s=_DAY_S)  # other processes may be fetching now
    table, columns = _located_table(repository, entry)
    paths = [entry.shards[number].path for number in columns[SHARD]]
    rows = zip(paths, columns[ROW], columns["mp4_sha256"], columns["npy_sha256"], strict=True)
    if not (root / INDEX).exists():
        with whole_file(root / EPISODES) as temporary:
            pq.write_table(table.drop_columns([SHARD, ROW]), temporary)
        if entry.manifest is not None:
            write_json(root / MANIFEST, entry.manifest)
        write_index(root, dict(zip(columns["key"], columns["frames"], strict=True)))
    locations = dict(zip(columns["key"], rows, strict=True))
    return root, ShardSource(repository=repository, root=root, locations=locations)


def _located_table(repository: _Repository, entry: Configuration) -> tuple[pa.Table, dict[str, list[Any]]]:
    """Return the table of a configuration's episodes, and its columns of `_LOCATED` as lists.

    Raises `UserError` if it is damaged or refers to rows that the configuration's shards do not have.
    """
    path = repository.download(entry.table)
    with plain_damage(f"hf://{repository.name}: its {entry.table} is damaged", "publish it again"):
        content = path.read_bytes()
        if entry.table_sha256 not in (None, hashlib.sha256(content).hexdigest()):
            raise ValueError("it does not match its SHA-256")
        table = read_parquet(io.BytesIO(content))
        columns: dict[str, list[Any]] = table.select(list(_LOCATED)).to_pydict()
        _check_locations(columns, [shard.episodes for shard in entry.shards])
        if fingerprint(zip(*(columns[name] for name in _SUMMED), strict=True)) != entry.fingerprint:
            raise ValueError(f"its fingerprint differs from that in {CATALOG}")
    return table, columns


def _check_locations(columns: dict[str, list[Any]], episodes: list[int]) -> None:
    """Raise `ValueError` unless each row refers to a row of a shard; `episodes` is the size of each shard."""
    for name, kind in _LOCATED.items():
        if not all(type(value) is kind for value in columns[name]):
            raise ValueError(f"{name} holds values other than {kind.__name__}")
    locations = list(zip(columns[SHARD], columns[ROW], strict=True))
    if len(locations) != sum(episodes) or len(set(columns["key"])) < len(locations):
        raise ValueError(f"it does not list {sum(episodes)} episodes")
    if not all(0 <= shard < len(episodes) and 0 <= row < episodes[shard] for shard, row in locations):
        raise ValueError("it refers to rows that no shard has")


def _open_folder(repository: _Repository, wanted: str | None) -> tuple[Path, Source]:
    """Find the folder with an index and its videos; of several, the preferred one."""
    folders = [wanted] if wanted else ["", *_top_folders(repository)]
    candidates = {}
    for folder in _existing(repository, folders, INDEX):
        index = repository.download(f"{folder}/{INDEX}".removeprefix("/"))
        keys = read_json(index)
        if isinstance(keys, dict) and keys and _existing(repository, [folder], f"{min(keys)}.mp4"):
            candidates[folder] = index.parent
    if not candidates:
        raise UserError(
            f"hf://{repository.name}{f'/{wanted}' if wanted else ''}: holds no data set that can be read "
            f"(neither {CATALOG} nor {INDEX} with videos); check the address"
        )
    folder = min(candidates, key=lambda name: (_rank(name), name))
    return candidates[folder], FolderSource(repository=repository, folder=folder)


def _rank(folder: str) -> int:
    """Order of preference: train, test, val, others."""
    return next((rank for rank, word in enumerate(("train", "test", "val")) if folder.startswith(word)), 3)


def _top_folders(repository: _Repository) -> list[str]:
    with plain_errors(repository.name):
        entries = HfApi().list_repo_tree(repository.name, repo_type=DATASET, revision=repository.commit)
        return [entry.path for entry in entries if isinstance(entry, RepoFolder)]


def _existing(repository: _Repository, folders: list[str], name: str) -> list[str]:
    """The folders that hold a file `name`."""
    paths = {f"{folder}/{name}".removeprefix("/"): folder for folder in folders}
    with plain_errors(repository.name):
        infos = HfApi().get_paths_info(
            repository.name, list(paths), repo_type=DATASET, revision=repository.commit
        )
    return [paths[info.path] for info in infos]
