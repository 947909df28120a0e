"""Draw the pictures of the README and of docs/: `python docs/pictures.py`.

docs/seeds.jpg: twelve worlds as an agent first sees them; docs/courts.jpg: twelve courts of plaza-v1.
docs/episode.jpg: an episode's views of the same places at different times, and the map of its walk.
docs/court-map.jpg: a walk in a court from above.
"""

from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from loopcraft.core.seeding import generator
from loopcraft.drawing.canvas import CONTEXT_COLOR, HORIZON_COLOR, Canvas
from loopcraft.drawing.grid import Grid
from loopcraft.views.map import draw_map, ground_below
from loopcraft.walks.revisits import find_revisits
from loopcraft.walks.selection import select_walk
from loopcraft.worlds import make_world
from loopcraft.worlds.base import PathWorld, World

DOCS = Path(__file__).resolve().parent
SEEDS = range(12)
EPISODE_SEED = 4
GAP = 6
COURT_MAP = 540


def first_sight(seed: int, world: World) -> UInt8[np.ndarray, "H W 3"]:
    """Return the frame after a short walk, in which the agent has looked around a little."""
    actions = select_walk(generator(seed, "docs"), num_ticks=64, num_context=16).actions
    return list(world.play(seed, actions))[40].frame


def frame_grid(frames: list[UInt8[np.ndarray, "H W 3"]], columns: int) -> Canvas:
    """Draw frames in rows with narrow gaps."""
    grid = Grid(tile=len(frames[0]), columns=columns, gap=GAP)
    canvas = Canvas(*grid.size(len(frames)))
    for index, frame in enumerate(frames):
        canvas.place(*grid.corner(index), frame)
    return canvas


def episode_picture(world: World) -> Canvas:
    """Draw pairs of frames, far apart in time, that show the same place; beside them the map."""
    actions = select_walk(generator(EPISODE_SEED, "docs/episode")).actions
    observations = list(world.play(EPISODE_SEED, actions))
    poses = np.array([observation.pose for observation in observations])
    pairs = revisit_pairs(poses)
    grid = Grid(tile=world.resolution, columns=len(pairs), gap=GAP, above=26)
    width, height = grid.size(2 * len(pairs))
    canvas = Canvas(width + GAP + height, height)
    for index, frame in enumerate(frame for row in zip(*pairs, strict=True) for frame in row):
        left, top = grid.corner(index)
        canvas.place(left, top, observations[frame].frame)
        is_context = index < len(pairs)
        text = f"frame {frame}: seen" if is_context else f"frame {frame}: is it still there?"
        canvas.write(left + 2, top - 23, text, 16, CONTEXT_COLOR if is_context else HORIZON_COLOR)
    canvas.place(width + GAP, 0, walk_map("voxel-v1", poses), height)
    return canvas


def walk_map(world_id: str, poses: np.ndarray) -> UInt8[np.ndarray, "H W 3"]:
    """Draw the map of a walk in the world of the episode's seed."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / "map.png"
        draw_map(path, poses, 256, background=ground_below(world_id, EPISODE_SEED, poses))
        return np.asarray(Image.open(path).convert("RGB"))


def revisit_pairs(poses: np.ndarray, count: int = 3) -> list[tuple[int, int]]:
    """Find pairs of a context and a horizon frame with nearly the same pose, the pairs far apart in time."""
    pairs: list[tuple[int, int]] = []
    horizon = 256 + np.flatnonzero(find_revisits(poses, 256))
    for frame in horizon[::-1]:
        if all(abs(frame - other) > 60 for _, other in pairs):
            turn = np.abs((poses[:256, 3] - poses[frame, 3] + 180) % 360 - 180)
            away = np.hypot(*(poses[:256, [0, 2]] - poses[frame, [0, 2]]).T) + turn / 10
            pairs.append((int(away.argmin()), int(frame)))
        if len(pairs) == count:
            break
    return pairs


def court_map(world: PathWorld) -> Canvas:
    """Draw the map of a walk of 1024 ticks in a court."""
    poses = world.path(EPISODE_SEED, select_walk(generator(EPISODE_SEED, "docs/court")).actions)
    canvas = Canvas(COURT_MAP, COURT_MAP)
    canvas.place(0, 0, walk_map("plaza-v1", poses), COURT_MAP)
    return canvas


def main() -> None:
    """Write all pictures."""
    world = make_world("voxel-v1", resolution=256, quality="best")
    plaza = make_world("plaza-v1", resolution=256, quality="best")
    assert isinstance(plaza, PathWorld)
    for name, canvas in (
        ("seeds", frame_grid([first_sight(seed, world) for seed in SEEDS], 4)),
        ("episode", episode_picture(world)),
        ("courts", frame_grid([first_sight(seed, plaza) for seed in SEEDS], 4)),
        ("court-map", court_map(plaza)),
    ):
        canvas.save(DOCS / f"{name}.jpg", quality=86)


if __name__ == "__main__":
    main()
