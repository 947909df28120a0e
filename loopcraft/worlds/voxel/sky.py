"""The sky of one episode: gradient, a square sun and a layer of blocky clouds, all fixed by the episode's seed."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from jaxtyping import Float32, Int32, UInt8

from loopcraft.seeding import generator
from loopcraft.worlds.voxel.jit import inlined
from loopcraft.worlds.voxel.lanes import blend, pack

GRADIENT_STEPS = 256
CLOUD_HEIGHT_BLOCKS = 118.0
CLOUD_CELL_BLOCKS = 12.0
CLOUD_CELLS = 64
CLOUD_FADE_BLOCKS = 700.0
SUN_HALF_WIDTH = 0.085
"""Half the side of the sun's square on a plane at distance 1."""
SUN_GLOW = 0.42


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
    """What the shader reads for a ray that meets no block, and for fog."""

    gradient: Int32[np.ndarray, " 256"]
    """Packed colours by the sine of the elevation, from -1 to 1."""
    sun_axes: Float32[np.ndarray, "3 3"]
    """Unit vectors: the sun's right, its up, towards the sun (x, y, z)."""
    sun_color: np.int32
    cloud_color: np.int32
    clouds: UInt8[np.ndarray, "64 64"]
    """1 where the layer has a cloud; repeats every 64 cells."""


def make_sky(seed: int) -> Sky:
    """The sky of an episode's seed."""
    rng = generator(seed, "voxel-v1/sky")
    palette = PALETTES[rng.integers(len(PALETTES))]
    return Sky(
        gradient=_gradient(palette),
        sun_axes=_sun_axes(rng.uniform(-1, 1), rng.uniform(0.22, 0.5), int(rng.integers(4))),
        sun_color=np.int32(pack(np.array(palette.sun, np.uint8))),
        cloud_color=np.int32(pack(np.array(palette.cloud, np.uint8))),
        clouds=_clouds(rng, cover=rng.uniform(0.12, 0.42)),
    )


def _gradient(palette: Palette) -> Int32[np.ndarray, " 256"]:
    """Horizon colour at and below the horizon, easing to the zenith colour by about 35 degrees up."""
    sine = np.linspace(-1, 1, GRADIENT_STEPS)[:, None]
    share = np.clip(sine / 0.58, 0, 1)
    share = share * (2 - share)
    color = np.array(palette.horizon) * (1 - share) + np.array(palette.zenith) * share
    return pack(np.round(color).astype(np.uint8))


def _sun_axes(across: float, height: float, quarter: int) -> Float32[np.ndarray, "3 3"]:
    """A sun at slope `height` above the horizon, in one of four quarters of the compass."""
    toward = np.array([across, height * np.sqrt(1 + across * across), 1.0])
    for _ in range(quarter):
        toward = np.array([toward[2], toward[1], -toward[0]])
    toward /= np.sqrt((toward * toward).sum())
    right = np.array([toward[2], 0.0, -toward[0]])
    right /= np.sqrt((right * right).sum())
    return np.stack([right, np.cross(toward, right), toward]).astype(np.float32)


def _clouds(rng: np.random.Generator, *, cover: float) -> UInt8[np.ndarray, "64 64"]:
    """A repeating mask of clumps that covers about the given share of the layer."""
    noise = rng.random((CLOUD_CELLS, CLOUD_CELLS))
    for _ in range(3):
        noise = sum(np.roll(noise, shift, axis) for axis in (0, 1) for shift in (-1, 0, 1))  # type: ignore[assignment]
    return (noise > np.quantile(noise, 1 - cover)).astype(np.uint8)


@inlined
def gradient_step(sine):
    """Place in the gradient of a sine of elevation."""
    return np.int32((sine + np.float32(1)) * np.float32(127.5))


@inlined
def sky_gradient(gradient, sine):
    """The gradient's colour at a sine of elevation."""
    return gradient[np.uint32(gradient_step(sine))]


@inlined
def sky_color(gradient, axes, clouds, colors, x, y, z, dx, dy, dz):
    """Packed colours of the sky seen from a world position along a unit direction."""
    sun_color, cloud_color = colors
    color = sky_gradient(gradient, dy)
    toward = dx * axes[2, 0] + dy * axes[2, 1] + dz * axes[2, 2]
    if toward > 0.5:
        right = abs(dx * axes[0, 0] + dy * axes[0, 1] + dz * axes[0, 2]) / toward
        up = abs(dx * axes[1, 0] + dy * axes[1, 1] + dz * axes[1, 2]) / toward
        off = max(right, up)
        if off < SUN_HALF_WIDTH:
            color = sun_color
        elif off < SUN_GLOW:
            glow = (np.float32(SUN_GLOW) - off) / np.float32(SUN_GLOW - SUN_HALF_WIDTH)
            color = blend(color, sun_color, np.int32(glow * glow * np.float32(110)))
    if dy > 0.03:
        reach = (np.float32(CLOUD_HEIGHT_BLOCKS) - y) / dy
        fade = np.float32(1) - reach * np.float32(1 / CLOUD_FADE_BLOCKS)
        if fade > 0:
            cell_x = int(np.floor((x + reach * dx) * np.float32(1 / CLOUD_CELL_BLOCKS))) & (CLOUD_CELLS - 1)
            cell_z = int(np.floor((z + reach * dz) * np.float32(1 / CLOUD_CELL_BLOCKS))) & (CLOUD_CELLS - 1)
            if clouds[cell_x, cell_z]:
                color = blend(color, cloud_color, np.int32(min(fade * 2, np.float32(1)) * np.float32(190)))
    return color
