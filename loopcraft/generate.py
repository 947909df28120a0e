"""Generate a data set: videos of an agent that revisits places, with its actions and poses.

Progress is stored on disk: run the same command again to resume, or to remake a deleted file. The result has
the same bytes regardless of the number of workers, shards and interruptions. Until the data set is finished,
an episode is a video, a states file and a row file (000/000.json), each written atomically; at the end the
rows become episodes.parquet, the row files are removed, and index.json is written last.

--shard 2/8 generates the second eighth of the data set, on any machine. To merge shards, copy their folders
over each other (or write to the same folder on a shared disk) and run the same command once more without
--shard: it writes the table and the index, and removes what killed shards left behind.
"""

import dataclasses
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any, cast

import numpy as np

from loopcraft.core import cli
from loopcraft.core.errors import UserError
from loopcraft.core.files import sweep_partials
from loopcraft.core.progress import progress_bar
from loopcraft.core.urls import AnyPath, UrlPath, existing
from loopcraft.core.writing import writing_to
from loopcraft.dataset.episode_files import write_index
from loopcraft.dataset.episode_table import Row, batches, read_rows, remove_rows, write_table
from loopcraft.dataset.layout import INDEX, episode_index, episode_key
from loopcraft.dataset.manifest import Split
from loopcraft.dataset.reader import open_dataset
from loopcraft.executors.base import Executor, require_arrived
from loopcraft.executors.choice import WHOLE, WorkerFlags, num_cores, open_executor
from loopcraft.executors.local import LocalExecutor
from loopcraft.executors.shard import shard_range
from loopcraft.generation import played, simulated
from loopcraft.generation.played import WorldFactory
from loopcraft.generation.recipe import Recipe, Select, check_versions, claim_folder
from loopcraft.generation.summary import Summary
from loopcraft.test_sets.known import SEED, SPLIT, get_test_set
from loopcraft.worlds import make_world, world_spec
from loopcraft.worlds.base import PathWorld
from loopcraft.worlds.checks import require_world
from loopcraft.worlds.registry import worlds_that

_BATCH = 1000
"""Episodes whose files are looked up at a time: as many as one folder holds."""


@dataclass(frozen=True, kw_only=True)
class Flags:
    """The flags of `python -m loopcraft.generate`."""

    out: Path
    """Folder or URL (s3://BUCKET/FOLDER) of the data set: new, empty or started with the same flags."""
    preset: str | None = None
    """Canonical test set, such as loopcraft-mini/plaza-v1; replaces all flags that define the content."""
    split: Split | None = None
    """Split to generate; splits share no seeds. Required without --preset."""
    num_episodes: int | None = None
    """Number of episodes. Required without --preset."""
    num_frames: int = 1024
    """Frames per episode, at 20 per second."""
    resolution: int = 256
    """Height and width of a frame in pixels."""
    seed: int = 0
    """Root seed of all randomness."""
    world: str = "voxel-v1"
    """World to record, such as plaza-v1."""
    quality: str = "default"
    """Rendering quality: fast, default or best."""
    candidates: int | None = None
    """val and test: number of candidate walks to choose from; 10 x num-episodes by default."""
    select: Select = "planned"
    """val and test: keep the walks that go furthest (planned) or that see most again (realised)."""
    lossless: bool = False
    """Store RGB losslessly: ten times the size, and fewer players can read it."""
    workers: WorkerFlags = field(default_factory=WorkerFlags)


def generate(
    root: AnyPath,
    recipe: Recipe,
    *,
    make_world: WorldFactory,
    executor: Executor | None = None,
    shard: str = WHOLE,
) -> None:
    """Call `complete` and print the summary that it returns."""
    print(complete(root, recipe, make_world=make_world, executor=executor, shard=shard))


def complete(
    root: AnyPath,
    recipe: Recipe,
    *,
    make_world: WorldFactory,
    executor: Executor | None = None,
    shard: str = WHOLE,
) -> str:
    """Generate the missing episodes of the data set in `root` (or a shard); return a summary of a few lines.

    Without an executor, the work is done in this process. Raises `UserError` for an invalid folder or flag,
    and `OSError` if the disk cannot be written.
    """
    executor = executor or LocalExecutor()
    is_path_known = isinstance(make_world(), PathWorld)  # an unknown world fails before anything is written
    if isinstance(root, UrlPath) and not is_path_known:
        raise UserError(
            f"{root}: {recipe.world} cannot be written to a URL; choose a folder and copy the finished set"
        )
    num_candidates = None if is_path_known else recipe.candidates
    part = shard_range(shard, num_candidates or recipe.num_episodes)
    is_whole = len(part) == (num_candidates or recipe.num_episodes)
    with writing_to(root, together=not is_whole, swept=()):
        claim_folder(root, recipe)
        if is_whole:
            sweep_partials(root)
        if num_candidates and isinstance(root, Path) and not played.are_chosen(root, recipe):
            played.play_candidates(root, recipe, part, make_world, executor)
            if not is_whole:
                return f"{root}: played candidates {part.start} to {part.stop - 1}"
            played.adopt_best(root, recipe)
        indices = range(recipe.num_episodes) if num_candidates else part
        was_missing, summary = _record_missing(
            root, recipe, indices, make_world, executor, is_path_known=is_path_known
        )
        was_complete = is_whole and not was_missing and (root / INDEX).exists()
        if not was_complete:
            summary = Summary()
            rows = summary.watch(read_rows(root, map(episode_key, indices)))
            if is_whole:
                _finish(root, rows)
            else:
                deque(rows, maxlen=0)
        if is_whole and isinstance(root, Path):
            played.forget(root)
    lines = summary.text(root, recipe)
    return f"{root}: already complete\n{lines}" if was_complete else lines


def _record_missing(
    root: AnyPath,
    recipe: Recipe,
    indices: Sequence[int],
    make_world: WorldFactory,
    executor: Executor,
    *,
    is_path_known: bool,
) -> tuple[Sequence[int], Summary]:
    """Record the missing episodes of `indices`; return their indices and a summary of the existing rows."""
    summary = Summary()
    draws, missing = _find_missing(root, indices, recipe.num_episodes, summary)
    if not missing:
        return missing, summary
    check_versions(root)
    simulates = cast(simulated.PathWorldFactory, make_world) if is_path_known else None
    job = _episode_job(root, recipe, draws, simulates, executor)
    with progress_bar("generating", len(indices), "episodes", len(indices) - len(missing)) as advance:
        for _ in executor.run(job, missing, make_state=make_world):
            advance()

    def list_missing() -> list[str]:
        _, still_missing = _find_missing(root, missing, recipe.num_episodes, Summary())
        return [episode_key(index) for index in still_missing]

    require_arrived(root, list_missing, "episodes")
    return missing, summary


def _episode_job(
    root: AnyPath,
    recipe: Recipe,
    draws: simulated.Draws,
    make_path_world: simulated.PathWorldFactory | None,
    executor: Executor,
) -> Callable[[Any, int], None]:
    """Return the job that records an episode: simulated first if the world knows its path, else played."""
    if make_path_world is not None:
        return simulated.episode_job(root, recipe, draws, make_path_world, executor)
    assert isinstance(root, Path)
    return played.episode_job(root, recipe, draws)


def _find_missing(
    root: AnyPath, indices: Sequence[int], num_episodes: int, summary: Summary
) -> tuple[simulated.Draws, list[int]]:
    """Return the draws of the episodes `indices` that have rows, and the indices whose files are missing."""
    draws = np.full(num_episodes, simulated.NO_ROW, np.int64)
    is_finished = np.zeros(num_episodes, bool)
    for rows in batches(summary.watch(read_rows(root, map(episode_key, indices))), _BATCH):
        files = {row["key"]: {f"{row['key']}.mp4", f"{row['key']}.npy"} for row in rows}
        present = existing(root, sorted(set().union(*files.values())))
        for row in rows:
            index = episode_index(row["key"])
            draws[index] = row["draw"]
            is_finished[index] = files[row["key"]] <= present
    return draws, [index for index in indices if not is_finished[index]]


def _finish(root: AnyPath, rows: Iterable[Row]) -> None:
    """Merge the row files into the table, and write the index, which marks the data set as complete."""
    sweep_partials(root)  # from lost workers
    frames: dict[str, int] = {}

    def record_frames() -> Iterator[Row]:
        for row in rows:
            frames[row["key"]] = row["frames"]
            yield row

    write_table(root, record_frames())
    remove_rows(root, frames)
    simulated.forget(root)
    write_index(root, frames)


def run(flags: Flags) -> None:
    """Generate the data set that the flags describe, and print a summary."""
    print(make(flags))


def make(flags: Flags) -> str:
    """Generate the data set that the flags describe; return a summary of a few lines."""
    recipe = recipe_of(flags)
    if recipe.select == "realised":
        require_sight(recipe.world)
    require_world(recipe.world)
    factory: WorldFactory
    factory = partial(make_world, recipe.world, resolution=recipe.resolution, quality=recipe.quality)
    workers = flags.workers
    workers.check()
    if workers.executor == "local" and not world_spec(recipe.world).knows_path:
        factory, num_workers = played.take_turns(factory, workers.workers or num_cores())
        workers = replace(workers, workers=num_workers)
    with open_executor(workers) as executor:
        root = workers.shared_path(flags.out)
        lines = complete(root, recipe, make_world=factory, executor=executor, shard=workers.shard)
    if flags.preset is not None and (root / INDEX).exists():
        lines += f"\n{compare_with_preset(flags.preset, root)}"
    return lines


def recipe_of(flags: Flags) -> Recipe:
    """Return the recipe given by the flags, or that of their preset.

    Raises `UserError` for missing flags, and for flags that the preset already sets.
    """
    chosen = {field.name: getattr(flags, field.name) for field in dataclasses.fields(Recipe)}
    if flags.preset is None:
        for name in ("split", "num_episodes"):
            if chosen[name] is None:
                raise UserError(f"--{name.replace('_', '-')} is missing: give it, or a --preset")
        return Recipe(**chosen)
    defaults = {field.name: field.default for field in dataclasses.fields(Flags)}
    for name, value in chosen.items():
        if value != defaults[name]:
            raise UserError(
                f"--{name.replace('_', '-')} {value}: --preset {flags.preset} already sets it; leave it out"
            )
    test_set = get_test_set(flags.preset)
    return Recipe(
        world=test_set.world,
        split=SPLIT,
        num_episodes=test_set.num_episodes,
        num_frames=test_set.num_frames,
        resolution=test_set.resolution,
        seed=SEED,
        select=test_set.select,
    )


def compare_with_preset(preset: str, root: AnyPath) -> str:
    """Report in one line whether the finished data set has the fingerprint of the canonical one."""
    pinned, actual = get_test_set(preset).fingerprint, open_dataset(root).fingerprint
    if pinned is None:
        return f"fingerprint {actual}: {preset} has no pinned fingerprint yet"
    if actual == pinned:
        return f"fingerprint {actual}: matches {preset}"
    return (
        f"fingerprint {actual}: does not match {preset} ({pinned}); results on it get a table of their own. "
        "Install the versions of constraints.txt: the bytes of videos depend on the encoder's version"
    )


def require_sight(world: str) -> None:
    """Raise `UserError` unless the world can tell what pixels will show before an episode is drawn."""
    spec = world_spec(world)
    if not (spec.knows_surfaces and spec.knows_path):
        worlds = ", ".join(worlds_that("knows_surfaces"))
        raise UserError(
            f"--select realised: world {world!r} cannot tell what a pixel shows, so what its walks see again "
            f"is unknown; leave the flag out (planned), or choose one of these worlds: {worlds}"
        )


main = partial(cli.run, Flags, run)

if __name__ == "__main__":
    raise SystemExit(main())
