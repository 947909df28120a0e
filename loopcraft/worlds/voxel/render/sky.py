"""The sky of an episode, fixed by its seed: a gradient, a square sun and a layer of blocky clouds."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from jaxtyping import Float32, Int32, UInt8

from loopcraft.core.jit import inlined
from loopcraft.core.seeding import generator
from loopcraft.worlds.voxel.core.packed_color import blend, pack
from loopcraft.worlds.voxel.render.ray_packet import F0, F1, PACKET, Floats, Ints, View

GRADIENT_STEPS = 256
CLOUD_HEIGHT_BLOCKS = np.float32(118)
CLOUD_CELL_BLOCKS = 12.0
CLOUD_CELLS = 64
CLOUD_FADE_BLOCKS = 700.0
"""Clouds fade from half this distance on and end at it."""
CLOUD_OPACITY = np.float32(190)
LOWEST_CLOUD = np.float32(0.03)
"""Sine of the elevation below which no cloud is drawn."""
SUN_HALF_WIDTH = np.float32(0.085)
"""Half the side of the sun's square on a plane at distance 1."""
SUN_GLOW = np.float32(0.42)
"""Distance from the sun's centre on that plane within which the sky is brightened."""
GLOW_SHARE = np.float32(110)

# Rows of the shader's scratch that this module reads or fills.
RIGHT, RISE, LENGTH = (PACKET * row for row in range(3))
COLOR, SUN_SHARE, CLOUD_SHARE, CLOUD_CELL, GRADIENT = (PACKET * row for row in range(5))

CELLS_PER_BLOCK, FADE_PER_BLOCK = np.float32(1 / CLOUD_CELL_BLOCKS), np.float32(2 / CLOUD_FADE_BLOCKS)
GLOW_PER_SLOPE = np.float32(1 / (0.42 - 0.085))
CELL_MASK, FULL = np.int32(CLOUD_CELLS - 1), np.int32(256)
F2, HALF = np.float32(2), np.float32(0.5)


@dataclass(frozen=True, kw_only=True)
class Palette:
    """Colours (RGB) of one kind of day."""

    zenith: tuple[int, int, int]
    horizon: tuple[int, int, int]
    sun: tuple[int, int, int]
    cloud: tuple[int, int, int]


PALETTES = (
    Palette(zenith=(98, 148, 245), horizon=(184, 211, 255), sun=(255, 252, 224), cloud=(255, 255, 255)),
    Palette(zenith=(84, 136, 226), horizon=(196, 216, 240), sun=(255, 246, 205), cloud=(248, 250, 255)),
    Palette(zenith=(118, 160, 232), horizon=(226, 220, 208), sun=(255, 236, 170), cloud=(255, 246, 232)),
    Palette(zenith=(126, 150, 190), horizon=(200, 208, 218), sun=(252, 248, 236), cloud=(232, 235, 240)),
    Palette(zenith=(104, 126, 206), horizon=(245, 205, 168), sun=(255, 224, 150), cloud=(255, 228, 205)),
)


class Sky(NamedTuple):
    """Data for shading rays that meet no block, and for fog."""

    gradient: Int32[np.ndarray, " 256"]
    """Packed colours by the sine of the elevation, from -1 to 1."""
    sun_axes: Float32[np.ndarray, "3 3"]
    """Unit vectors (x, y, z): the sun's right, its up, and towards the sun."""
    sun_color: np.int32
    cloud_color: np.int32
    clouds: UInt8[np.ndarray, "64 64"]
    """1 where the layer has a cloud; repeats every 64 cells."""


def make_sky(seed: int) -> Sky:
    """Make the sky for an episode's seed."""
    rng = generator(seed, "voxel-v1/sky")
    palette = PALETTES[rng.integers(len(PALETTES))]
    return clear_sky(palette, rng)._replace(clouds=_clouds(rng, cover=rng.uniform(0.12, 0.42)))


def clear_sky(palette: Palette, rng: np.random.Generator) -> Sky:
    """Make a sky without clouds; the generator decides the sun's position."""
    return Sky(
        gradient=_gradient(palette),
        sun_axes=_sun_axes(rng.uniform(-1, 1), rng.uniform(0.22, 0.5), int(rng.integers(4))),
        sun_color=np.int32(pack(np.array(palette.sun, np.uint8))),
        cloud_color=np.int32(pack(np.array(palette.cloud, np.uint8))),
        clouds=np.zeros((CLOUD_CELLS, CLOUD_CELLS), np.uint8),
    )


def _gradient(palette: Palette) -> Int32[np.ndarray, " 256"]:
    """Return the horizon colour at and below the horizon, easing to the zenith colour at about 35 degrees."""
    sine = np.linspace(-1, 1, GRADIENT_STEPS)[:, None]
    share = np.clip(sine / 0.58, 0, 1)
    share = share * (2 - share)
    color = np.array(palette.horizon) * (1 - share) + np.array(palette.zenith) * share
    return pack(np.round(color).astype(np.uint8))


def _sun_axes(across: float, height: float, quarter: int) -> Float32[np.ndarray, "3 3"]:
    """Return the axes of a sun at slope `height` above the horizon, in one of four compass quarters."""
    toward = np.array([across, height * np.sqrt(1 + across * across), 1.0])
    for _ in range(quarter):
        toward = np.array([toward[2], toward[1], -toward[0]])
    toward /= np.sqrt((toward * toward).sum())
    right = np.array([toward[2], 0.0, -toward[0]])
    right /= np.sqrt((right * right).sum())
    return np.stack([right, np.cross(toward, right), toward]).astype(np.float32)


def _clouds(rng: np.random.Generator, *, cover: float) -> UInt8[np.ndarray, "64 64"]:
    """Return a repeating mask of clumps that covers about the share `cover` of the layer."""
    noise = rng.random((CLOUD_CELLS, CLOUD_CELLS))
    for _ in range(3):
        noise = sum(np.roll(noise, shift, axis) for axis in (0, 1) for shift in (-1, 0, 1))  # type: ignore[assignment]
    return (noise > np.quantile(noise, 1 - cover)).astype(np.uint8)


@inlined
def gradient_step(sine: np.float32) -> np.int32:
    """Return the index in the gradient for a sine of elevation."""
    return np.int32((sine + np.float32(1)) * np.float32(127.5))


@inlined
def shade_sky(sky: Sky, origin: tuple[int, int], view: View, floats: Floats, ints: Ints) -> None:
    """Fill row `COLOR` with the sky's colours for a packet whose rows `RIGHT`, `RISE`, `LENGTH` are set."""
    gradient, clouds, axes = sky.gradient, sky.clouds.reshape(-1), sky.sun_axes
    sun_color, cloud_color = sky.sun_color, sky.cloud_color
    ex, ey, ez = view.eye
    wx, wz = np.float32(ex + origin[0]), np.float32(ez + origin[1])
    rx, ry, rz = view.axes[0]
    ux, uy, uz = view.axes[1]
    fx, fy, fz = view.axes[2]
    for k in range(PACKET):
        a, b, per_length = floats[RIGHT + k], floats[RISE + k], F1 / floats[LENGTH + k]
        dx, dy = (a * rx + b * ux + fx) * per_length, (a * ry + b * uy + fy) * per_length
        dz = (a * rz + b * uz + fz) * per_length
        right = abs(dx * axes[0, 0] + dy * axes[0, 1] + dz * axes[0, 2])
        up = abs(dx * axes[1, 0] + dy * axes[1, 1] + dz * axes[1, 2])
        toward = dx * axes[2, 0] + dy * axes[2, 1] + dz * axes[2, 2]
        off = max(right, up) / toward if toward > HALF else SUN_GLOW
        glow = max(SUN_GLOW - off, F0) * GLOW_PER_SLOPE
        ints[SUN_SHARE + k] = FULL if off < SUN_HALF_WIDTH else np.int32(glow * glow * GLOW_SHARE)
        reach = (CLOUD_HEIGHT_BLOCKS - ey) / max(dy, LOWEST_CLOUD)
        fade = min(max(F2 - reach * FADE_PER_BLOCK, F0), F1) if dy > LOWEST_CLOUD else F0
        ints[CLOUD_SHARE + k] = np.int32(fade * CLOUD_OPACITY)
        cell_x = np.int32(np.floor((wx + reach * dx) * CELLS_PER_BLOCK)) & CELL_MASK
        cell_z = np.int32(np.floor((wz + reach * dz) * CELLS_PER_BLOCK)) & CELL_MASK
        ints[CLOUD_CELL + k] = np.int32(cell_x * CLOUD_CELLS + cell_z)
        ints[GRADIENT + k] = gradient_step(dy)
    for k in range(PACKET):
        ints[GRADIENT + k] = gradient[np.uint32(ints[GRADIENT + k])]
        ints[CLOUD_SHARE + k] *= clouds[np.uint32(ints[CLOUD_CELL + k])]
    for k in range(PACKET):
        color = blend(ints[GRADIENT + k], sun_color, ints[SUN_SHARE + k])
        ints[COLOR + k] = blend(color, cloud_color, ints[CLOUD_SHARE + k])
