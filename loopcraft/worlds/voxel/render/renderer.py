"""Rendering of one picture: trace, shade, and anti-alias by tracing again only at visible edges.

Quality "fast" takes one sample per pixel and "best" the mean of 2x2 everywhere, the result of the paper's
512 to 256 box filter. "default" adds two samples on a diagonal, only at pixels whose neighbour sees another
face of a different colour. "undrawn" traces but leaves the picture black, for callers that need only its
surfaces.
"""

from functools import cache

import numpy as np
from jaxtyping import Float32, Float64, Int32, Int64, UInt8, UInt64

from loopcraft.core.errors import UserError
from loopcraft.core.jit import inlined, kernel
from loopcraft.worlds.base import UNDRAWN, Pose
from loopcraft.worlds.voxel.render.ray_packet import (
    I0,
    I1,
    I4,
    PACKET,
    SKY,
    Hits,
    View,
    new_hits,
    place_parts,
)
from loopcraft.worlds.voxel.render.scene import Scene
from loopcraft.worlds.voxel.render.shade import shade
from loopcraft.worlds.voxel.render.sky import Sky
from loopcraft.worlds.voxel.render.trace import trace

QUALITIES = ("fast", "default", "best")
EYE_HEIGHT_BLOCKS = 1.62
HALF_FIELD_OF_VIEW_TANGENT = 0.7002075382097097
"""tan(35 degrees): the vertical field of view is 70 degrees."""
I8, I16, BYTE, I24_BITS = np.int32(8), np.int32(16), np.int32(255), np.int32(0xFFFFFF)
U12, U36, NO_FACE = np.uint64(12), np.uint64(36), np.uint64(0)
TILE, PIXELS = 8, 64
"""Pixels along a side of a tile, and in a whole tile."""
EDGE_CONTRAST = 128
"""Neighbours on different faces form an edge if their channels differ by more than this in total."""
DIAGONAL = np.array([[-0.3, -0.3], [0.3, 0.3]], np.float32)
BOX = np.array([[-0.25, -0.25], [0.25, -0.25], [-0.25, 0.25], [0.25, 0.25]], np.float32)
"""Offsets of further samples from the pixel's centre, in pixels."""


class Renderer:
    """Draws square pictures of scenes. It reuses buffers, but no picture depends on an earlier one."""

    def __init__(self, *, resolution: int, quality: str = "default", view_distance: float = 64.0):
        if quality not in (*QUALITIES, UNDRAWN):
            raise UserError(f"unknown quality {quality!r}: choose one of {', '.join(QUALITIES)}")
        if resolution < TILE or resolution % TILE:
            raise UserError(f"resolution {resolution} is not a positive multiple of {TILE}")
        self.resolution = resolution
        self.quality = quality
        self.view_distance = np.float32(view_distance)
        self.pixel_size = np.float32(2 * HALF_FIELD_OF_VIEW_TANGENT / resolution)
        pixels = resolution * resolution
        self._centres = pixel_centres(resolution)
        self._hits = new_hits(pixels)
        self._colors = np.empty(pixels, np.int32)
        self._edges = np.empty(pixels, np.int64)
        self._offsets = BOX if quality == "best" else DIAGONAL
        self._fine_screen = np.empty(3 * len(self._offsets) * pixels, np.float32)
        self._fine_hits = new_hits(len(self._offsets) * pixels)
        self._fine_colors = np.empty(len(self._offsets) * pixels, np.int32)

    def render(self, scene: Scene, sky: Sky, pose: Pose) -> UInt8[np.ndarray, "H W 3"]:
        """Draw the picture seen from a pose."""
        eye, axes = camera(scene, pose)
        view = View(eye.astype(np.float32), axes, self.view_distance, self.pixel_size)
        trace(scene, view, self._centres, self._hits)
        if self.quality == UNDRAWN:
            return np.zeros((self.resolution, self.resolution, 3), np.uint8)
        shade(scene, sky, view, self._centres, self._hits, self._colors)
        if self.quality != "fast":
            contrast = -1 if self.quality == "best" else EDGE_CONTRAST
            count = find_edges(self._hits.places, self._colors, self.resolution, contrast, self._edges)
            self._resample(scene, sky, view, self._edges[:count])
        return assemble(self._colors, self.resolution)

    def surface(self, scene: Scene) -> UInt64[np.ndarray, "H W"]:
        """Return the face ids at the last picture's pixel centres; the sky is 0, water hides its ground."""
        return surface_ids(scene.x0, scene.z0, self._hits, self.resolution)

    def _resample(self, scene: Scene, sky: Sky, view: View, edges: Int64[np.ndarray, " E"]) -> None:
        """Replace the colours of the listed pixels by the mean of more samples."""
        num_samples = -(-len(self._offsets) * len(edges) // PACKET) * PACKET
        fine = self._fine_screen[: 3 * num_samples].reshape(3, num_samples)  # contiguous, like the centres
        spread_samples(self._centres, edges, self._offsets * self.pixel_size, fine)
        view = view._replace(pixel_size=np.float32(self.pixel_size / 2))
        trace(scene, view, fine, self._fine_hits)
        shade(scene, sky, view, fine, self._fine_hits, self._fine_colors)
        average_samples(self._fine_colors, edges, len(self._offsets), self.quality == "default", self._colors)


def pixel_centres(resolution: int) -> Float32[np.ndarray, "3 N"]:
    """Return each pixel's right and up at distance 1, and length; in tile order, to keep packets compact."""
    steps = ((np.arange(resolution) + 0.5) * (2 / resolution) - 1) * HALF_FIELD_OF_VIEW_TANGENT
    right, up = np.meshgrid(steps, -steps, indexing="xy")
    grid = np.stack([right, up, np.sqrt(1 + right * right + up * up)])
    tiles = resolution // TILE
    ordered = grid.reshape(3, tiles, TILE, tiles, TILE).transpose(0, 1, 3, 2, 4)
    return np.ascontiguousarray(ordered.reshape(3, -1), np.float32)


@cache
def exact_sin_cos(angle_deg: float) -> tuple[float, float]:
    """Return sine and cosine rounded to 12 digits, so that all machines agree."""
    angle = np.deg2rad(angle_deg)
    return float(np.round(np.sin(angle), 12)), float(np.round(np.cos(angle), 12))


def camera(scene: Scene, pose: Pose) -> tuple[Float64[np.ndarray, " 3"], Float32[np.ndarray, "3 3"]]:
    """Return the eye in the padded volume's coordinates and the right, up and forward axes (x, y, z)."""
    sin_yaw, cos_yaw = exact_sin_cos(pose.yaw_deg)
    sin_pitch, cos_pitch = exact_sin_cos(pose.pitch_deg)
    eye = np.array([pose.x - scene.x0, pose.y + 1 + EYE_HEIGHT_BLOCKS, pose.z - scene.z0])
    right = (-cos_yaw, 0.0, -sin_yaw)
    up = (-sin_yaw * sin_pitch, cos_pitch, cos_yaw * sin_pitch)
    forward = (-sin_yaw * cos_pitch, -sin_pitch, cos_yaw * cos_pitch)
    return eye, np.array([right, up, forward], np.float32)


@inlined
def _tile_order(row: int, column: int, tiles: int) -> int:
    """Return the index of a pixel in tile order, in a picture `tiles` tiles wide."""
    return ((row >> 3) * tiles + (column >> 3) << 6) + ((row & 7) << 3) + (column & 7)


@kernel
def find_edges(
    places: Int32[np.ndarray, " N"],
    colors: Int32[np.ndarray, " N"],
    resolution: int,
    contrast: int,
    edges: Int64[np.ndarray, " N"],
) -> int:
    """List (in `edges`, in tile order) the pixels to sample more finely and return their number.

    These are the pixels with a neighbour on another face whose colour differs by more than `contrast`; a
    negative contrast lists all pixels.
    """
    marked = np.zeros(resolution * resolution, np.uint8)
    if contrast < 0:
        marked[:] = 1
    else:
        _mark_edges(places, colors, resolution // TILE, np.int32(contrast), marked)
    count = 0
    rows = marked.view(np.uint64)  # eight pixels at a time, as few have edges
    for row in range(len(rows)):
        if rows[row]:
            for pixel in range(row * TILE, row * TILE + TILE):
                edges[count] = pixel
                count += marked[pixel]
    return count


@kernel
def _mark_edges(
    places: Int32[np.ndarray, " N"],
    colors: Int32[np.ndarray, " N"],
    tiles: int,
    contrast: np.int32,
    marked: UInt8[np.ndarray, " N"],
) -> None:
    """Set `marked` to 1 at edges, tile by tile, with branches only at the tiles' right borders."""
    # A tile's pixels and the row below; edges to the right and below, each with a row of zeros in front.
    tile_places, tile_colors = np.empty(PIXELS + TILE, np.int32), np.empty(PIXELS + TILE, np.int32)
    to_right, to_below = np.zeros(TILE + PIXELS, np.int32), np.zeros(TILE + PIXELS, np.int32)
    for tile in range(tiles * tiles):
        first = tile * PIXELS
        below = first + tiles * PIXELS if tile < tiles * (tiles - 1) else first + PIXELS - TILE
        for k in range(PIXELS):
            tile_places[k], tile_colors[k] = places[first + k], colors[first + k]
        for k in range(TILE):
            tile_places[PIXELS + k], tile_colors[PIXELS + k] = places[below + k], colors[below + k]
        for k in range(PIXELS):
            place, color = tile_places[k], tile_colors[k]
            differs = (place != tile_places[k + 1]) & (_contrast(color, tile_colors[k + 1]) > contrast)
            to_right[TILE + k] = I1 if differs & (k & 7 != 7) else I0
            differs = (place != tile_places[k + TILE]) & (_contrast(color, tile_colors[k + TILE]) > contrast)
            to_below[TILE + k] = I1 if differs else I0
        for k in range(PIXELS):
            beside = to_right[TILE + k] | to_right[TILE - 1 + k]
            marked[first + k] |= np.uint8(beside | to_below[TILE + k] | to_below[k])
        for k in range(TILE):
            marked[below + k] |= np.uint8(to_below[PIXELS + k])
        if (tile + 1) % tiles:
            for left in range(first + TILE - 1, first + PIXELS, TILE):
                right = left + PIXELS - TILE + 1
                if places[left] != places[right] and _contrast(colors[left], colors[right]) > contrast:
                    marked[left] = marked[right] = 1


@inlined
def _contrast(first: np.int32, second: np.int32) -> np.int32:
    """Return the sum of the absolute differences of the three channels."""
    red = abs(np.int32((first & BYTE) - (second & BYTE)))
    green = abs(np.int32((first >> I8 & BYTE) - (second >> I8 & BYTE)))
    return np.int32(red + green + abs(np.int32((first >> I16) - (second >> I16))))


@kernel
def spread_samples(
    centres: Float32[np.ndarray, "3 N"],
    edges: Int64[np.ndarray, " E"],
    offsets: Float32[np.ndarray, "S 2"],
    fine: Float32[np.ndarray, "3 M"],
) -> None:
    """Place samples around each listed pixel's centre; repeat the last pixel's to fill the last packet.

    The pattern is mirrored on alternate pixels, as on a chessboard, so that no slope of edge is at a
    disadvantage everywhere.
    """
    num_each = len(offsets)
    for item in range(fine.shape[1] // num_each):
        pixel = edges[min(item, len(edges) - 1)]
        is_mirrored = not (pixel ^ pixel >> 3) & 1
        for k in range(num_each):
            right, up = offsets[k]
            a = centres[0, pixel] + (-right if is_mirrored else right)
            b = centres[1, pixel] + up
            sample = item * num_each + k
            fine[0, sample], fine[1, sample] = a, b
            fine[2, sample] = np.sqrt(np.float32(1) + a * a + b * b)


@kernel
def average_samples(
    fine: Int32[np.ndarray, " M"],
    edges: Int64[np.ndarray, " E"],
    num_each: int,
    with_centre: bool,
    colors: Int32[np.ndarray, " N"],
) -> None:
    """Replace each listed pixel by the rounded mean of its samples, with or without its centre."""
    count = num_each + int(with_centre)
    share = -(-(1 << 16) // count)  # total * share >> 16 is total / count
    for item in range(len(edges)):
        pixel = edges[item]
        mean = 0
        for shift in (0, 8, 16):
            total = (colors[pixel] >> shift & 0xFF) * int(with_centre) + count // 2
            for sample in range(num_each * item, num_each * item + num_each):
                total += fine[sample] >> shift & 0xFF
            mean |= (total * share >> 16) << shift
        colors[pixel] = mean


@kernel
def assemble(colors: Int32[np.ndarray, " N"], resolution: int) -> UInt8[np.ndarray, "H W 3"]:
    """Convert colours in tile order to an RGB picture, uint8 (H, W, 3)."""
    frame = np.empty((resolution, resolution, 3), np.uint8)
    for row in range(resolution):
        for column in range(resolution):
            color = colors[_tile_order(row, column, resolution // TILE)]
            frame[row, column, 0] = color & 0xFF
            frame[row, column, 1] = color >> 8 & 0xFF
            frame[row, column, 2] = color >> 16 & 0xFF
    return frame


@kernel
def surface_ids(x0: int, z0: int, hits: Hits, resolution: int) -> UInt64[np.ndarray, "H W"]:
    """Return world-wide face ids of `hits`: x and z (24 bits each), y (8), face + 1 (4); 0 is the sky."""
    places, _, water_places, water_distances = hits
    ids = np.empty((resolution, resolution), np.uint64)
    tile_ids = np.empty(PIXELS, np.uint64)
    tiles = resolution // TILE
    corner_x, corner_z = np.int32(x0), np.int32(z0)
    for tile in range(tiles * tiles):
        first = tile * PIXELS
        for k in range(PIXELS):
            is_water = water_distances[first + k] > 0
            place = water_places[first + k] if is_water else places[first + k]
            x, y, z, face = place_parts(place)
            far_x, far_z = np.uint64(x + corner_x & I24_BITS), np.uint64(z + corner_z & I24_BITS)
            near = np.uint64(np.int32(y - I1) << I4 | np.int32(face + I1))
            face_id = far_x << U36 | far_z << U12 | near
            tile_ids[k] = NO_FACE if place == SKY else face_id
        top, left = tile // tiles * TILE, tile % tiles * TILE
        for k in range(PIXELS):
            ids[top + (k >> 3), left + (k & 7)] = tile_ids[k]
    return ids
