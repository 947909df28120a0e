"""Draw the pictures of the README and of docs/: `python docs/pictures.py`.

docs/seeds.jpg: twelve worlds as an agent first sees them, docs/courts.jpg twelve courts of plaza-v1.
docs/episode.jpg: one episode, what the agent sees when it comes back to a place, and the map of its walk;
docs/court-map.jpg: a walk in a court from above.
"""

from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from jaxtyping import UInt8
from PIL import Image, ImageDraw, ImageFont

from loopcraft.core.seeding import generator
from loopcraft.view import ground_below
from loopcraft.views.map import CONTEXT_COLOR, HORIZON_COLOR, draw_map
from loopcraft.walks.revisits import find_revisits
from loopcraft.walks.selection import select_walk
from loopcraft.worlds import make_world
from loopcraft.worlds.base import PathWorld, World

DOCS = Path(__file__).resolve().parent
SEEDS = range(12)
EPISODE_SEED = 4
GAP = 6


def first_sight(seed: int, world: World) -> UInt8[np.ndarray, "H W 3"]:
    """The frame after a short walk: the agent has looked around a little."""
    actions = select_walk(generator(seed, "docs"), num_ticks=64, num_context=16).actions
    return list(world.play(seed, actions))[40].frame


def grid(frames: list[UInt8[np.ndarray, "H W 3"]], columns: int) -> Image.Image:
    """Frames in rows, with narrow gaps."""
    size = frames[0].shape[0]
    rows = -(-len(frames) // columns)
    sheet = Image.new("RGB", (columns * (size + GAP) - GAP, rows * (size + GAP) - GAP), "white")
    for place, frame in enumerate(frames):
        corner = (place % columns * (size + GAP), place // columns * (size + GAP))
        sheet.paste(Image.fromarray(frame), corner)
    return sheet


def episode_picture(world: World) -> Image.Image:
    """Pairs of frames, far apart in time, in which the agent sees the same place; beside them the map."""
    actions = select_walk(generator(EPISODE_SEED, "docs/episode")).actions
    seen = list(world.play(EPISODE_SEED, actions))
    poses = np.array([one.pose for one in seen])
    pairs = revisit_pairs(poses)
    size, label = world.resolution, 26
    with TemporaryDirectory() as folder:
        draw_map(
            Path(folder) / "map.png", poses, 256, background=ground_below("voxel-v1", EPISODE_SEED, poses)
        )
        height = 2 * (size + label)
        walk = (
            Image.open(Path(folder) / "map.png")
            .convert("RGB")
            .resize((height, height), Image.Resampling.LANCZOS)
        )
    sheet = Image.new("RGB", (len(pairs) * (size + GAP) + height, height), "white")
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(16)
    for column, pair in enumerate(pairs):
        for row, (frame, color) in enumerate(zip(pair, (CONTEXT_COLOR, HORIZON_COLOR), strict=True)):
            corner = (column * (size + GAP), row * (size + label) + label)
            sheet.paste(Image.fromarray(seen[frame].frame), corner)
            text = f"frame {frame}: seen" if row == 0 else f"frame {frame}: is it still there?"
            draw.text((corner[0] + 2, corner[1] - label + 3), text, color, font=font)
    sheet.paste(walk, (len(pairs) * (size + GAP), 0))
    return sheet


def revisit_pairs(poses: np.ndarray, count: int = 3) -> list[tuple[int, int]]:
    """Frames of the context and of the horizon with nearly the same pose; the pairs lie far apart in time."""
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


def court_map(world: PathWorld) -> Image.Image:
    """The map of a walk of 1024 ticks in a court."""
    actions = select_walk(generator(EPISODE_SEED, "docs/court")).actions
    poses = world.path(EPISODE_SEED, actions)
    with TemporaryDirectory() as folder:
        path = Path(folder) / "map.png"
        draw_map(path, poses, 256, background=ground_below("plaza-v1", EPISODE_SEED, poses))
        return Image.open(path).convert("RGB")


def main() -> None:
    """Write all pictures."""
    world = make_world("voxel-v1", resolution=256, quality="best")
    grid([first_sight(seed, world) for seed in SEEDS], 4).save(DOCS / "seeds.jpg", quality=86)
    episode_picture(world).save(DOCS / "episode.jpg", quality=86)
    plaza = make_world("plaza-v1", resolution=256, quality="best")
    assert isinstance(plaza, PathWorld)
    grid([first_sight(seed, plaza) for seed in SEEDS], 4).save(DOCS / "courts.jpg", quality=86)
    court_map(plaza).resize((540, 540), Image.Resampling.LANCZOS).save(DOCS / "court-map.jpg", quality=86)


if __name__ == "__main__":
    main()
