"""Scenes: what the player shows of one test video beside the models, as up to four small files.

truth.mp4     the true frames, context and horizon
memory.mp4    the returned pixels, coloured on black, if the data set has recall masks
walk.json     context length, positions, headings and returns, frame by frame
map.webp      the ground from above, if the world can draw it
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float
from PIL import Image

from leaderboard.film.clips import write_clip
from loopcraft.core.files import whole_file, write_json
from loopcraft.dataset import LoopcraftDataset
from loopcraft.dataset.mask_files import DTYPES, Masks, spread
from loopcraft.views.map import ground_of
from loopcraft.walks.revisits import find_revisits

TRUTH, MEMORY, WALK, MAP = "truth.mp4", "memory.mp4", "walk.json", "map.webp"
FILES = (TRUTH, MEMORY, WALK, MAP)
MOST_BYTES = 90_000
"""Largest size of a clip."""
RETURNED = (255, 45, 130)
"""Colour of pixels whose surface the context showed and that were out of sight in between."""
MARGIN_BLOCKS = 4.0
MAP_PIXELS = 256


def scene_name(key: str) -> str:
    """Return the folder name of a scene."""
    return key.replace("/", "-")


def write_scene(folder: Path, dataset: LoopcraftDataset, key: str, num_context: int, num_frames: int) -> None:
    """Write the scene of one video into `folder`."""
    frames = list(dataset.iterate_frames(key, 0, num_frames))
    write_clip(folder / TRUTH, frames, MOST_BYTES)
    masks = dataset.masks(key) if dataset.num_context == num_context else None
    if masks is not None and set(masks) == set(DTYPES):
        write_clip(folder / MEMORY, returned_pixels(masks, num_frames, *frames[0].shape[:2]), MOST_BYTES)
    poses = dataset.states(key)[:num_frames, 1:]
    ground = ground_map(dataset, key, poses)
    if ground is not None:
        picture, extent = ground
        with whole_file(folder / MAP) as temporary:
            picture.save(temporary, format="WEBP", quality=60, method=6)
    write_json(folder / WALK, describe_walk(poses, num_context, None if ground is None else extent))


def returned_pixels(masks: Masks, num_frames: int, height: int, width: int) -> list[np.ndarray]:
    """Return the mask of returned pixels as frames: coloured where a pixel returned, black elsewhere."""
    returned = spread(masks["age"][:num_frames] > 0, height, width, "the scene")
    return list(np.where(returned[..., None], np.array(RETURNED, np.uint8), np.uint8(0)))


def describe_walk(
    poses: Float[np.ndarray, "T 5"], num_context: int, extent: Mapping[str, float] | None
) -> dict[str, Any]:
    """Return positions in blocks, headings in degrees, and the frames at which returns begin."""
    is_back = np.zeros(len(poses), bool)
    is_back[num_context:] = find_revisits(poses, num_context)
    returns = np.flatnonzero(is_back & ~np.roll(is_back, 1))
    return {
        "context": num_context,
        "x": [round(float(x), 2) for x in poses[:, 0]],
        "z": [round(float(z), 2) for z in poses[:, 2]],
        "yaw_deg": [round(float(yaw) % 360.0, 1) for yaw in poses[:, 3]],
        "is_back": [int(flag) for flag in is_back],
        "returns": [int(frame) for frame in returns],
        "map": None if extent is None else dict(extent),
    }


def ground_map(
    dataset: LoopcraftDataset, key: str, poses: Float[np.ndarray, "T 5"]
) -> tuple[Image.Image, dict[str, float]] | None:
    """Return a map of the ground of a walk and its extent in blocks, or None if the world cannot draw it."""
    ground = ground_of(dataset, key, poses, MARGIN_BLOCKS)
    if ground is None:
        return None
    reach = float(np.ptp(poses[:, [0, 2]], axis=0).max())
    image = Image.fromarray(ground.image)
    center = (poses[:, [0, 2]].min(axis=0) + poses[:, [0, 2]].max(axis=0)) / 2
    left, top = center - reach / 2 - MARGIN_BLOCKS
    side = reach + 2 * MARGIN_BLOCKS
    scale = ground.blocks_per_pixel
    x, y = (left - ground.west) / scale, (top - ground.north) / scale
    right, bottom = (left + side - ground.west) / scale, (top + side - ground.north) / scale
    size, box = (MAP_PIXELS, MAP_PIXELS), (x, y, right, bottom)
    picture = image.transform(size, Image.Transform.EXTENT, box, resample=Image.Resampling.NEAREST)
    extent = {"left": round(float(left), 2), "top": round(float(top), 2), "side": round(side, 2)}
    return picture.convert("RGB"), extent
