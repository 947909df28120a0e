"""Verify every file of a data set, and list each one that is damaged, missing or out of place.

For each episode: both files exist and match their SHA-256, video and states have as many frames as the index
says, the video decodes to its end, each turn of yaw matches its action, and recall masks, if present, have
the right types and shape. For the folder: index and table name the same episodes, and it has no stray
files. To repair a file, delete it and rerun the loopcraft.generate command that made the data set. Temporary
files of a killed command are listed but are not faults, because no reader opens them.

Files without a checksum are counted, because damage in them can go unnoticed. To add checksums, run
`cd DIR && sha256sum index.json */*.npy */*.mp4 > SHA256SUMS`.
"""

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated

import numpy as np
import tyro

from loopcraft.core import cli
from loopcraft.core.checksums import SUMS
from loopcraft.core.errors import UserError
from loopcraft.core.files import file_sha256, is_partial, is_passing
from loopcraft.core.progress import progress_bar
from loopcraft.core.urls import AnyPath, files_below
from loopcraft.dataset.audit import is_misaligned
from loopcraft.dataset.episode_files import AGAIN, ITS_SUM, read_states, read_table, rows_of_keys
from loopcraft.dataset.layout import EPISODES, INDEX, MANIFEST
from loopcraft.dataset.mask_files import SUFFIX, read_masks
from loopcraft.dataset.reader import LoopcraftDataset, open_dataset
from loopcraft.executors.threads import map_in_threads
from loopcraft.video.h264 import count_decodable
from loopcraft.walks.actions import Action

_EPISODE_SUFFIXES = (".mp4", ".npy", SUFFIX)
_WRONG_SUM = f"does not match {ITS_SUM}; {AGAIN}"


@dataclass(frozen=True, kw_only=True)
class Fault:
    """One problem of one file."""

    path: AnyPath
    problem: str

    def __str__(self) -> str:
        return f"{self.path}: {self.problem}"


@dataclass(frozen=True, kw_only=True)
class Flags:
    """The flags of `python -m loopcraft.verify`."""

    data: tyro.conf.Positional[Path]
    """Folder or URL (s3://BUCKET/FOLDER) of the data set."""
    workers: Annotated[int, tyro.conf.arg(aliases=("--jobs",))] = 2
    """Episodes checked at a time."""


def verify(dataset: LoopcraftDataset, *, workers: int = 1) -> list[Fault]:
    """Return all faults of the data set, first those of the folder, then those of each episode."""
    faults = [*check_table(dataset), *check_strays(dataset), *check_listed(dataset)]
    with progress_bar("verifying", len(dataset.keys), "episodes") as advance:
        for episode_faults in map_in_threads(partial(check_episode, dataset), dataset.keys, workers):
            faults += episode_faults
            advance()
    return faults


def check_table(dataset: LoopcraftDataset) -> Iterator[Fault]:
    """Check that the table, if present, has the episodes and lengths of the index."""
    path = dataset.root / EPISODES
    if not path.exists():
        if dataset.manifest is not None:
            yield Fault(path=path, problem="missing; restore it")
        return
    try:
        table = read_table(dataset.root, ("key", "frames"))
    except (UserError, OSError) as error:
        yield Fault(path=path, problem=_reason(path, error))
        return
    frames = table["frames"].combine_chunks()
    for key, row in zip(dataset.keys, rows_of_keys(table, dataset.keys), strict=True):
        if not row.is_valid:
            yield Fault(path=path, problem=f"lacks episode {key}, which the index names")
        elif (count := frames[row.as_py()].as_py()) != dataset.num_frames(key):
            yield Fault(path=path, problem=f"gives {key} {count} frames, the index {dataset.num_frames(key)}")
    for batch in table.to_batches(max_chunksize=1000):
        for key in batch["key"].to_pylist():
            if key not in dataset:
                yield Fault(path=path, problem=f"names episode {key}, which the index lacks")


def check_listed(dataset: LoopcraftDataset) -> Iterator[Fault]:
    """Check the files in SHA256SUMS that `check_table` and `check_episode` do not check."""
    for name, sha256 in dataset.sums.items():
        path = dataset.root / name
        if not path.is_file():
            if not _is_of_episode(dataset, name) or name.endswith(SUFFIX):
                yield Fault(path=path, problem=f"missing, though {SUMS} names it; make it again")
        elif name != EPISODES and not _is_of_episode(dataset, name) and file_sha256(path) != sha256:
            yield Fault(path=path, problem=f"does not match {ITS_SUM} in {SUMS}; restore it")


def without_sums(dataset: LoopcraftDataset) -> str:
    """Describe how many files, and which, have no checksum; empty if none."""
    names = [name for name in (INDEX, MANIFEST, EPISODES) if (dataset.root / name).exists()]
    lacking = Counter(name for name in names if name not in dataset.sums)
    for key in dataset.keys:
        for suffix in _EPISODE_SUFFIXES:
            path = dataset.root / f"{key}{suffix}"
            if path.exists() and _recorded_sha256(dataset, path) is None:
                lacking[f"*{suffix}"] += 1
    kinds = (name if count == 1 and name in names else f"{count} {name}" for name, count in lacking.items())
    return f"{lacking.total()} files without a checksum ({', '.join(kinds)})" if lacking else ""


def check_strays(dataset: LoopcraftDataset) -> Iterator[Fault]:
    """Find files among the episodes that belong to none."""
    folders = {key.rpartition("/")[0] for key in dataset.keys}
    for path in files_below(dataset.root):
        name = path.relative_to(dataset.root).as_posix()
        folder = name.rpartition("/")[0]
        is_among_episodes = folder and (folder in folders or folder.partition("/")[0].isdecimal())
        if is_among_episodes and not _is_of_episode(dataset, name) and not is_passing(path):
            yield Fault(path=path, problem="belongs to no episode of the index; remove it")


def _is_of_episode(dataset: LoopcraftDataset, name: str) -> bool:
    return any(name.endswith(suffix) and name.removesuffix(suffix) in dataset for suffix in _EPISODE_SUFFIXES)


def leftovers(dataset: LoopcraftDataset) -> list[AnyPath]:
    """Return the temporary files in the folder, left by a killed command or in use by a running one."""
    return [path for path in files_below(dataset.root) if is_partial(path)]


def check_episode(dataset: LoopcraftDataset, key: str) -> list[Fault]:
    """Return all faults of one episode's files."""
    checks: dict[AnyPath, Callable[[AnyPath, int], Iterator[str]]]
    checks = {dataset.video_path(key): _check_video, dataset.states_path(key): _check_states}
    if dataset.masks_path(key).exists():
        checks[dataset.masks_path(key)] = partial(_check_masks, most_pixels=dataset.num_pixels(key))
    faults = []
    for path, check in checks.items():
        if not path.is_file():
            faults.append(Fault(path=path, problem="missing; make it again"))
            continue
        try:
            recorded = _recorded_sha256(dataset, path)
            if recorded is not None and file_sha256(path) != recorded:
                faults.append(Fault(path=path, problem=_WRONG_SUM))
            faults += [Fault(path=path, problem=problem) for problem in check(path, dataset.num_frames(key))]
        except (UserError, OSError) as error:
            faults.append(Fault(path=path, problem=_reason(path, error)))
    return faults


def _recorded_sha256(dataset: LoopcraftDataset, path: AnyPath) -> str | None:
    """Return the recorded checksum; None without one, or if the table cannot be read (a separate fault)."""
    try:
        return dataset.recorded_sha256(path)
    except (UserError, OSError):
        return None


def _reason(path: AnyPath, error: UserError | OSError) -> str:
    text = str(error) if isinstance(error, UserError) else cli.describe_os_error(error)
    return text.removeprefix(f"{path}: ")


def _check_video(path: AnyPath, num_frames: int) -> Iterator[str]:
    decodable = count_decodable(path)
    if decodable != num_frames:
        yield f"{decodable} frames can be decoded, but the index says {num_frames}"


def _check_states(path: AnyPath, num_frames: int) -> Iterator[str]:
    states = read_states(path, num_frames)
    actions = states[:, 0]
    if not np.isin(actions, list(Action)).all():
        yield "holds actions other than 0, 1 and 2"
    elif not np.isfinite(states).all():
        yield "holds numbers that are not finite"
    elif is_misaligned(states[:, 4], actions.astype(np.int64)):
        yield "some turn of yaw does not match its action: the rows are shifted or damaged"


def _check_masks(path: AnyPath, num_frames: int, *, most_pixels: int) -> Iterator[str]:
    read_masks(path, num_frames, most_pixels)
    return iter(())


def run(flags: Flags) -> int:
    """Print every fault; return 1 if there are any."""
    cli.require_at_least(flags, workers=1)
    dataset = open_dataset(flags.data)
    faults = verify(dataset, workers=flags.workers)
    for path in leftovers(dataset):
        print(f"{path}: belongs to a running or killed command: not a fault, keep or remove it")
    for fault in faults:
        print(fault)
    counts = [f"{len(dataset.keys)} episodes", without_sums(dataset), f"{len(faults) or 'no'} faults"]
    print(f"{dataset.root}: {', '.join(text for text in counts if text)}")
    return cli.EXIT_FAILED if faults else cli.EXIT_OK


main = partial(cli.run, Flags, run)

if __name__ == "__main__":
    raise SystemExit(main())
