"""Generate a data set: videos of an agent that keeps coming back, with its actions and poses.

Progress is stored on disk: run the same command again to resume, or to remake a file that was deleted. The
result has the same bytes, whatever the number of workers, shards or interruptions. An unfinished episode
consists of a video, a states file and a row file (000/000.json), each written whole or not at all; at the end
the rows become episodes.parquet, the row files are removed, and index.json is written last.

--shard 2/8 generates the second eighth of the same data set, on any machine. To merge shards, copy their
folders over each other (or let them share one on a common disk) and run the same command once more without
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

_LOOKED_FOR_AT_ONCE = 1000
"""Episodes: as many as a folder holds."""


@dataclass(frozen=True, kw_only=True)
class Flags:
    """The flags of `python -m loopcraft.generate`."""

    out: Path
    """Folder of the data set, or its address, as in s3://BUCKET/FOLDER: new, empty or begun so before."""
    preset: str | None = None
    """A canonical test set, like loopcraft-mini/plaza-v1: stands for all flags that decide what is made."""
    split: Split | None = None
    """Which split; splits share no seeds. Required without --preset."""
    num_episodes: int | None = None
    """How many episodes to make. Required without --preset."""
    num_frames: int = 1024
    """Frames of an episode, 20 a second."""
    resolution: int = 256
    """Height and width of a frame in pixels."""
    seed: int = 0
    """Root of all randomness."""
    world: str = "voxel-v1"
    """The world, as in plaza-v1."""
    quality: str = "default"
    """Rendering quality: fast, default or best."""
    candidates: int | None = None
    """val and test: candidate walks, of which some are kept; 10 x num-episodes by default."""
    select: Select = "planned"
    """val and test: keep the walks that go furthest (planned) or that really see things again (realised)."""
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
    """Bring the data set in `root` (or its shard) to its end and print what there is, as `complete` tells."""
    print(complete(root, recipe, make_world=make_world, executor=executor, shard=shard))


def complete(
    root: AnyPath,
    recipe: Recipe,
    *,
    make_world: WorldFactory,
    executor: Executor | None = None,
    shard: str = WHOLE,
) -> str:
    """Bring the data set in `root` (or its shard) to its end; return what there is, in a few lines.

    Without an executor the work is done in this process.
    Raises `UserError` for a folder or a flag that cannot be right, `OSError` for a disk that cannot be
    written.
    """
    executor = executor or LocalExecutor()
    is_path_known = isinstance(make_world(), PathWorld)  # an unknown world is said before anything is written
    if isinstance(root, UrlPath) and not is_path_known:
        raise UserError(
            f"{root}: {recipe.world} is not made at an address; give a folder and copy the finished set"
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
                return f"{root}: candidates {part.start} to {part.stop - 1} are played"
            played.adopt_best(root, recipe)
        indices = range(recipe.num_episodes) if num_candidates else part
        missing, found = _record_missing(
            root, recipe, indices, make_world, executor, is_path_known=is_path_known
        )
        is_old = is_whole and not missing and (root / INDEX).exists()
        if not is_old:
            found = Summary()
            rows = found.watch(read_rows(root, map(episode_key, indices)))
            if is_whole:
                _finish(root, rows)
            else:
                deque(rows, maxlen=0)
        if is_whole and isinstance(root, Path):
            played.forget(root)
    lines = found.text(root, recipe)
    return f"{root}: already complete\n{lines}" if is_old else lines


def _record_missing(
    root: AnyPath,
    recipe: Recipe,
    indices: Sequence[int],
    make_world: WorldFactory,
    executor: Executor,
    *,
    is_path_known: bool,
) -> tuple[Sequence[int], Summary]:
    """Make those of the episodes `indices` that are not there; which they are, and what there was before."""
    found = Summary()
    draws, missing = _look(root, indices, recipe.num_episodes, found)
    if not missing:
        return missing, found
    check_versions(root)
    simulates = cast(simulated.PathWorldFactory, make_world) if is_path_known else None
    job = _episode_job(root, recipe, draws, simulates, executor)
    with progress_bar("generating", len(indices), "episodes", len(indices) - len(missing)) as advance:
        for _ in executor.run(job, missing, make_state=make_world):
            advance()

    def lost() -> list[str]:
        _, left = _look(root, missing, recipe.num_episodes, Summary())
        return [episode_key(index) for index in left]

    require_arrived(root, lost, "episodes")
    return missing, found


def _episode_job(
    root: AnyPath,
    recipe: Recipe,
    draws: simulated.Draws,
    make_path_world: simulated.PathWorldFactory | None,
    executor: Executor,
) -> Callable[[Any, int], None]:
    """What makes an episode: it is simulated first where the world knows its path, else played."""
    if make_path_world is not None:
        return simulated.episode_job(root, recipe, draws, make_path_world, executor)
    assert isinstance(root, Path)
    return played.episode_job(root, recipe, draws)


def _look(
    root: AnyPath, indices: Sequence[int], num_episodes: int, found: Summary
) -> tuple[simulated.Draws, list[int]]:
    """The draws of the episodes `indices` that have rows, and which of them are missing."""
    draws = np.full(num_episodes, simulated.NO_ROW, np.int64)
    is_finished = np.zeros(num_episodes, bool)
    for rows in batches(found.watch(read_rows(root, map(episode_key, indices))), _LOOKED_FOR_AT_ONCE):
        files = {row["key"]: {f"{row['key']}.mp4", f"{row['key']}.npy"} for row in rows}
        there = existing(root, sorted(set().union(*files.values())))
        for row in rows:
            index = episode_index(row["key"])
            draws[index] = row["draw"]
            is_finished[index] = files[row["key"]] <= there
    return draws, [index for index in indices if not is_finished[index]]


def _finish(root: AnyPath, rows: Iterable[Row]) -> None:
    """Turn row files into the table and say with the index that all is there."""
    sweep_partials(root)  # of workers that were lost
    frames: dict[str, int] = {}

    def noted() -> Iterator[Row]:
        for row in rows:
            frames[row["key"]] = row["frames"]
            yield row

    write_table(root, noted())
    remove_rows(root, frames)
    simulated.forget(root)
    write_index(root, frames)


def run(flags: Flags) -> None:
    """Make the data set that the flags ask for, and print what there is."""
    print(make(flags))


def make(flags: Flags) -> str:
    """Make the data set that the flags ask for; return what there is, in a few lines."""
    recipe = recipe_of(flags)
    if recipe.select == "realised":
        require_sight(recipe.world)
    require_world(recipe.world)
    factory: WorldFactory
    factory = partial(make_world, recipe.world, resolution=recipe.resolution, quality=recipe.quality)
    asked = flags.workers
    asked.check()
    if asked.executor == "local" and not world_spec(recipe.world).knows_path:
        factory, workers = played.take_turns(factory, asked.workers or num_cores())
        asked = replace(asked, workers=workers)
    with open_executor(asked) as executor:
        root = asked.shared_path(flags.out)
        lines = complete(root, recipe, make_world=factory, executor=executor, shard=asked.shard)
    is_whole = flags.preset is not None and (root / INDEX).exists()
    return f"{lines}\n{compared_with_preset(flags.preset or '', root)}" if is_whole else lines


def recipe_of(flags: Flags) -> Recipe:
    """The recipe that the flags spell out, or that of the preset that they name.

    Raises `UserError` for flags that are missing or say what the preset does.
    """
    chosen = {known.name: getattr(flags, known.name) for known in dataclasses.fields(Recipe)}
    if flags.preset is None:
        for name in ("split", "num_episodes"):
            if chosen[name] is None:
                raise UserError(f"--{name.replace('_', '-')} is missing: give it, or a --preset")
        return Recipe(**chosen)
    defaults = {known.name: known.default for known in dataclasses.fields(Flags)}
    for name, value in chosen.items():
        if value != defaults[name]:
            raise UserError(
                f"--{name.replace('_', '-')} {value}: --preset {flags.preset} says it already; leave it out"
            )
    found = get_test_set(flags.preset)
    return Recipe(
        world=found.world,
        split=SPLIT,
        num_episodes=found.num_episodes,
        num_frames=found.num_frames,
        resolution=found.resolution,
        seed=SEED,
        select=found.select,
    )


def compared_with_preset(preset: str, root: AnyPath) -> str:
    """Whether the finished set in `root` is byte for byte the canonical one, in a line."""
    pinned, found = get_test_set(preset).fingerprint, open_dataset(root).fingerprint
    if pinned is None:
        return f"fingerprint {found}: {preset} has no pinned one yet"
    if found == pinned:
        return f"fingerprint {found}: that of {preset}"
    return (
        f"fingerprint {found}: not that of {preset} ({pinned}); results on it stand in a table of their own. "
        "Install the versions of constraints.txt: the bytes of videos depend on the encoder's"
    )


def require_sight(world: str) -> None:
    """Raise `UserError` for a world that cannot tell before an episode is drawn what its pixels will show."""
    spec = world_spec(world)
    if not (spec.knows_surfaces and spec.knows_path):
        able = ", ".join(worlds_that("knows_surfaces"))
        raise UserError(
            f"--select realised: world {world!r} cannot tell what a pixel shows, so nobody knows what its "
            f"walks see again; leave it out (planned), or choose one of these worlds: {able}"
        )


main = partial(cli.run, Flags, run)

if __name__ == "__main__":
    raise SystemExit(main())
