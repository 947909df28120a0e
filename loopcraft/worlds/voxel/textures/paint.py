"""Brushes of the texture painters: small palettes, clumped noise that wraps, and sprites.

A texture is painted as an index image (a shade number per texel) and coloured last, as in pixel art. Row 0
is the top. Everything is integer arithmetic on raw generator words, so all machines give the same bytes.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import TypeAlias

import numpy as np
from jaxtyping import Int64, UInt8

SIZE = 16
"""Texels along the side of a texture."""

CLEAR = -99
"""Index of a transparent texel, far enough below zero to survive shading by a few steps."""

Texture: TypeAlias = UInt8[np.ndarray, "16 16 4"]
Palette: TypeAlias = UInt8[np.ndarray, "K 3"]
Indices: TypeAlias = Int64[np.ndarray, "16 16"]
Painter: TypeAlias = Callable[[np.random.Generator], Texture]

ROW, COL = np.mgrid[0:SIZE, 0:SIZE]

EDGE = np.minimum(np.minimum(ROW, COL), SIZE - 1 - np.maximum(ROW, COL))
"""Distance to the border in texels: 0 in the outermost frame, 7 in the middle."""

ACROSS = np.where(np.abs(2 * ROW - 15) > np.abs(2 * COL - 15), COL, ROW)
"""Position along the nearest side, of which lines that run straight out from that side are a function."""


def palette(colours: str) -> Palette:
    """Parse words of RRGGBB, by convention from dark to light."""
    return np.array([list(bytes.fromhex(word)) for word in colours.split()], np.uint8)


def paint(index: Indices, colours: Palette) -> Texture:
    """Colour an index image: indices past an end of the palette take that end, CLEAR is transparent black."""
    opaque = index > CLEAR // 2
    rgb = colours[np.clip(index, 0, len(colours) - 1)]
    return np.where(opaque[..., None], np.dstack([rgb, np.full_like(rgb[..., 0], 255)]), np.uint8(0))


def over(base: Texture, top: Texture) -> Texture:
    """Lay the top texture over the base, which shows through its holes."""
    return np.where(top[..., 3:] == 255, top, base)


def draws(rng: np.random.Generator, count: int, high: int) -> Int64[np.ndarray, "count"]:
    """Draw integers in [0, high) from raw words, which NumPy promises to keep stable, unlike `integers`."""
    return ((rng.bit_generator.random_raw(count) >> np.uint64(32)) % np.uint64(high)).astype(np.int64)


def noise(rng: np.random.Generator, tall: int = 1, wide: int = 1) -> Indices:
    """Return noise summed over a wrapped box of tall x wide texels: seamless clumps of about that size."""
    field = draws(rng, SIZE * SIZE, 4096).reshape(SIZE, SIZE)
    box = [np.roll(field, (down, right), (0, 1)) for down in range(tall) for right in range(wide)]
    return np.asarray(np.sum(box, axis=0))


def quantise(field: Indices, weights: Sequence[int]) -> Indices:
    """Return shade numbers 0, 1, ... by rank, with shares of the texels in proportion to the weights."""
    bounds = np.cumsum((0, *weights)) * field.size // sum(weights)
    index = np.empty(field.size, np.int64)
    index[field.ravel().argsort(kind="stable")] = np.repeat(np.arange(len(weights)), np.diff(bounds))
    return index.reshape(field.shape)


def mottle(rng: np.random.Generator, weights: Sequence[int], tall: int = 2, wide: int = 2) -> Indices:
    """Return clumped shades, the base of most textures."""
    return quantise(noise(rng, tall, wide), weights)


def mottled(colours: str, weights: Sequence[int], tall: int = 2, wide: int = 2) -> Painter:
    """Return a painter of clumped shades only."""
    return lambda rng: paint(mottle(rng, weights, tall, wide), palette(colours))


def scatter(rng: np.random.Generator, rows: int, cols: int) -> Int64[np.ndarray, "P 2"]:
    """Spread points (row, col) evenly over a wrapped texture: a staggered grid, each point moved a little."""
    row, col = (grid.ravel() for grid in np.mgrid[0:rows, 0:cols])
    tall, wide = SIZE // rows, SIZE // cols
    down = draws(rng, len(row), max(tall - 1, 1))
    right = draws(rng, len(col), max(wide - 1, 1))
    points = [row * SIZE // rows + down, col * SIZE // cols + row % 2 * wide // 2 + right]
    return np.stack(points, axis=1) % SIZE


def cells(points: Int64[np.ndarray, "P 2"], squash: int = 1) -> Indices:
    """Return the index of each texel's nearest point, wrapped: cells, which `squash` > 1 flattens."""
    away_y = np.abs(ROW[..., None] - points[:, 0])
    away_x = np.abs(COL[..., None] - points[:, 1])
    away_y, away_x = np.minimum(away_y, SIZE - away_y), np.minimum(away_x, SIZE - away_x)
    return np.asarray(np.argmin(squash * away_y**2 + away_x**2, axis=2))


def bevel(label: Indices) -> Indices:
    """Return the relief of wrapped regions lit from the top left: +1 on lit rims, -1 on dark ones, else 0."""
    lit = (np.roll(label, 1, 0) != label) | (np.roll(label, 1, 1) != label)
    dark = (np.roll(label, -1, 0) != label) | (np.roll(label, -1, 1) != label)
    return np.where(dark, -1, lit.astype(np.int64))


def stamp(index: Indices, shape: str, row: int, col: int) -> None:
    """Draw a small motif in place, wrapped: digits are shades, '.' is skipped, '/' separates rows."""
    for y, line in enumerate(shape.split("/")):
        for x, letter in enumerate(line):
            if letter.isdigit():
                index[(row + y) % SIZE, (col + x) % SIZE] = int(letter)


def sprite(rows: str, colours: Mapping[str, str]) -> Texture:
    """Draw pixel art from text: one letter per texel, '.' transparent; centred on the bottom row."""
    lines = rows.split()
    texture = np.zeros((SIZE, SIZE, 4), np.uint8)
    top, left = SIZE - len(lines), (SIZE - max(map(len, lines))) // 2
    for y, line in enumerate(lines):
        for x, letter in enumerate(line):
            if letter != ".":
                texture[top + y, left + x] = (*bytes.fromhex(colours[letter]), 255)
    return texture
