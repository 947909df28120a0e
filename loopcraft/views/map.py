"""Top-down map of a walk: the paths of context and horizon, and where the horizon revisits the context.

North (-z) is up and east (+x) is right, as in Minecraft; yaw 0 looks south.
"""

from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke

from loopcraft.core.files import whole_file
from loopcraft.dataset import LoopcraftDataset
from loopcraft.drawing.canvas import CONTEXT_COLOR, HORIZON_COLOR, REVISIT_COLOR
from loopcraft.drawing.walk import headings
from loopcraft.walks.revisits import find_revisits
from loopcraft.worlds import world_ids, world_spec
from loopcraft.worlds.base import GroundPicture

FRAMES_PER_HEADING = 32
MARGIN_BLOCKS = 8.0

Poses = Float[np.ndarray, "T 5"]


def ground_of(
    dataset: LoopcraftDataset, key: str, poses: Poses, margin_blocks: float = MARGIN_BLOCKS
) -> GroundPicture | None:
    """Return the ground around an episode's walk, None if the data set does not record its world."""
    if dataset.world_id is None or "world_seed" not in dataset.metadata:
        return None
    return ground_below(dataset.world_id, int(dataset.metadata["world_seed"].loc[key]), poses, margin_blocks)


def ground_below(
    world_id: str, world_seed: int, poses: Poses, margin_blocks: float = MARGIN_BLOCKS
) -> GroundPicture | None:
    """Return the ground around a walk, None if the world is unknown or cannot draw it."""
    spec = world_spec(world_id) if world_id in world_ids() else None
    if spec is None or spec.map_ground is None:
        return None
    reach = float(np.ptp(poses[:, [0, 2]], axis=0).max())  # the map is a square
    picture: GroundPicture = spec.load(spec.map_ground)(world_seed, poses, margin_blocks + reach)
    return picture


def draw_map(
    path: Path, poses: Poses, num_context: int, *, title: str = "", background: GroundPicture | None = None
) -> None:
    """Write the map of an episode's poses (x, y, z, yaw, pitch) as a PNG."""
    figure = Figure(figsize=(7.2, 7.2), dpi=150, layout="constrained")
    axes = figure.add_subplot()
    if background is not None:
        _draw_background(axes, background)
    _draw_walk(axes, poses, num_context)
    _set_view(axes, poses[:, 0], poses[:, 2])
    axes.set_title(title, loc="left", fontsize=11)
    axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.08), ncols=4, frameon=False)
    with whole_file(path) as temporary:
        figure.savefig(temporary, format="png", metadata={"Software": None})


def _draw_walk(axes: Axes, poses: Poses, num_context: int) -> None:
    x, z = poses[:, 0], poses[:, 2]
    revisits = num_context + np.flatnonzero(find_revisits(poses, num_context))
    dark = "#30343b"
    horizon = slice(num_context - 1, None)  # starts at the context's last position
    _draw_line(axes, x[:num_context], z[:num_context], CONTEXT_COLOR, "context", width=3.4, zorder=3)
    _draw_line(axes, x[horizon], z[horizon], HORIZON_COLOR, "horizon", width=1.8, zorder=2)
    axes.scatter(x[revisits], z[revisits], s=9, c=REVISIT_COLOR, lw=0, label="revisits the context", zorder=4)
    sparse = slice(None, None, FRAMES_PER_HEADING)
    look_x, look_z = headings(poses[sparse, 3]).T
    arrows: dict[str, Any] = {"angles": "xy", "scale": 38, "width": 0.0028, "color": dark, "zorder": 5}
    axes.quiver(x[sparse], z[sparse], look_x, look_z, **arrows)
    axes.scatter(x[:1], z[:1], s=90, c="white", ec=dark, lw=1.6, label="start", zorder=6)


def _draw_line(
    axes: Axes,
    x: Float[np.ndarray, " N"],
    z: Float[np.ndarray, " N"],
    color: str,
    label: str,
    *,
    width: float,
    zorder: int,
) -> None:
    """Draw a line with a white edge, visible on any ground."""
    edge = withStroke(linewidth=width + 1.8, foreground="white")
    axes.plot(x, z, color=color, lw=width, label=label, zorder=zorder, path_effects=[edge])


def _set_view(axes: Axes, x: Float[np.ndarray, " T"], z: Float[np.ndarray, " T"]) -> None:
    """Show a square around the walk, with north up."""
    half = max(np.ptp(x), np.ptp(z)) / 2 + MARGIN_BLOCKS
    center_x, center_z = (x.min() + x.max()) / 2, (z.min() + z.max()) / 2
    axes.set_xlim(center_x - half, center_x + half)
    axes.set_ylim(center_z + half, center_z - half)
    axes.set_aspect("equal")
    axes.set_xlabel("x: blocks to the east")
    axes.set_ylabel("z: blocks to the south")
    axes.locator_params(integer=True)
    axes.grid(color="#000000", alpha=0.08)
    axes.spines[:].set_color("#c9ccd1")
    axes.tick_params(color="#c9ccd1", labelsize=9)


def _draw_background(axes: Axes, background: GroundPicture) -> None:
    height, width, _ = background.image.shape
    east = background.west + width * background.blocks_per_pixel
    south = background.north + height * background.blocks_per_pixel
    extent = (background.west, east, south, background.north)
    axes.imshow(background.image, extent=extent, interpolation="nearest", alpha=0.75, zorder=0)
