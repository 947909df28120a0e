"""Player physics: the movement rules of Minecraft 1.11 at 20 ticks per second.

A tick turns the head, adds the input's acceleration and the jump, moves the box axis by axis (y, x, z)
against the solid cells, then applies gravity and drag. Jump is always held, as in the data set, so the
player hops along. Not modelled: currents, slippery ice, ladders, damage, sprinting. Constants are the game's
in decimal (it keeps some in float32). Poses depend only on + - *, floor, ceil and a table of sines, so their
bytes agree on all machines.
"""

from math import ceil, floor
from typing import NamedTuple

import numpy as np
from jaxtyping import Float64, Int8, Int64, Integer, UInt8

from loopcraft.core.jit import kernel
from loopcraft.walks.actions import TURN_DEGREES_PER_TICK, Action, heading_sines
from loopcraft.worlds.voxel.core.blocks import Shape, rule_array

HALF_WIDTH_BLOCKS = 0.3
HEIGHT_BLOCKS = 1.8
EYE_HEIGHT_BLOCKS = 1.62

# In blocks per tick, or factors per tick; forward input is scaled by 0.98.
_INPUT = 0.98
_GROUND_ACCELERATION, _GROUND_DRAG = 0.1, 0.546
_AIR_ACCELERATION, _AIR_DRAG = 0.02, 0.91
_WATER_ACCELERATION, _WATER_DRAG = 0.02, 0.8
_GRAVITY, _FALL_DRAG, _WATER_GRAVITY = 0.08, 0.98, 0.02
_JUMP_SPEED, _SWIM_LIFT, _BANK_HOP_SPEED, _BANK_HOP_BLOCKS = 0.42, 0.04, 0.3, 0.6
_JUMP_COOLDOWN_TICKS = 10
_SMALLEST_SPEED = 0.003

_CLEARANCE = 1e-7
"""Boxes that overlap by less do not touch: rounding in `face - 0.3 + 0.3` must not open or close passages."""
_WATER_INSET, _WATER_INSET_Y = 0.001, 0.401
"""The player swims if the box, shrunk by these on all sides, meets water."""

_PASSABLE, _SOLID, _LIQUID = 0, 1, 2
_BELOW = (HALF_WIDTH_BLOCKS, 0.0, HALF_WIDTH_BLOCKS)
_ABOVE = (HALF_WIDTH_BLOCKS, HEIGHT_BLOCKS, HALF_WIDTH_BLOCKS)
"""Extents of the box below and above the feet's centre along x, y, z."""


class _Scene(NamedTuple):
    """The blocks that the player can collide with."""

    blocks: UInt8[np.ndarray, "X Z Y"]
    matter: Int64[np.ndarray, " blocks"]
    """`_PASSABLE`, `_SOLID` or `_LIQUID` by block id."""
    origin: Int64[np.ndarray, "3"]
    """World coordinates of the array's first cell, along x, y, z."""


def simulate(
    blocks: UInt8[np.ndarray, "X Z Y"],
    start: tuple[float, float, float, float],
    actions: Integer[np.ndarray, " T"],
    *,
    x0: int,
    z0: int,
    jump: bool = True,
    margin_blocks: float = 3.0,
) -> tuple[Float64[np.ndarray, "T 5"], int]:
    """Play a walk from `start` (x, y, z of the feet, yaw in degrees), at rest.

    Return the poses (x, y, z, yaw_deg, pitch_deg) after each action and the number of ticks played. It is
    less than T if the player came within `margin_blocks` (at least 2) of a side of the array: the remaining
    poses are NaN, and the caller plays again in a larger box. Otherwise poses do not depend on the box.
    `blocks[0, 0, 0]` is the cell at (x0, 0, z0); its lowest layer extends below y = 0, above it is air.

    Raises `ValueError` if the yaw is not a multiple of `TURN_DEGREES_PER_TICK`.
    """
    x, y, z, yaw_deg = start
    if yaw_deg % TURN_DEGREES_PER_TICK != 0:
        raise ValueError(f"start yaw is {yaw_deg} degrees; it must be a multiple of {TURN_DEGREES_PER_TICK}")
    liquid = rule_array("shape") == Shape.LIQUID
    matter = np.where(rule_array("solid"), _SOLID, np.where(liquid, _LIQUID, _PASSABLE))
    poses = np.full((len(actions), 5), np.nan)
    num_played = _simulate(
        _Scene(blocks, matter, np.array([x0, 0, z0])),
        np.array([x, y, z], float),
        round(yaw_deg / TURN_DEGREES_PER_TICK) % 36,
        heading_sines(),
        np.asarray(actions, np.int8),
        jump,
        margin_blocks,
        poses,
    )
    return poses, num_played


@kernel
def _simulate(
    scene: _Scene,
    position: Float64[np.ndarray, "3"],
    heading: int,
    sines: Float64[np.ndarray, "36"],
    actions: Int8[np.ndarray, " T"],
    jump: bool,
    margin: float,
    poses: Float64[np.ndarray, "T 5"],
) -> int:
    """Fill `poses` tick by tick and return how many were filled. `heading` counts turns of 10 degrees."""
    low_x, low_z = scene.origin[0] + margin, scene.origin[2] + margin
    high_x = scene.origin[0] + scene.blocks.shape[0] - margin
    high_z = scene.origin[2] + scene.blocks.shape[1] - margin
    velocity = np.zeros(3)
    cells = np.empty((3, 2), np.int64)
    on_ground, cooldown = False, 0
    for tick, action in enumerate(actions):
        if not (low_x <= position[0] <= high_x and low_z <= position[2] <= high_z):
            return tick
        push = 0.0, 0.0
        if action == Action.LEFT:
            heading = (heading + 35) % 36
        elif action == Action.RIGHT:
            heading = (heading + 1) % 36
        else:
            push = -_INPUT * sines[heading], _INPUT * sines[(heading + 9) % 36]
        on_ground, cooldown = _tick(scene, position, velocity, push, jump, on_ground, cooldown, cells)
        for axis in range(3):
            poses[tick, axis] = position[axis]
        poses[tick, 3] = heading * TURN_DEGREES_PER_TICK - (360 if heading >= 18 else 0)
        poses[tick, 4] = 0.0
    return len(actions)


@kernel
def _tick(
    scene: _Scene,
    position: Float64[np.ndarray, "3"],
    velocity: Float64[np.ndarray, "3"],
    push: tuple[float, float],
    jump: bool,
    on_ground: bool,
    cooldown: int,
    cells: Int64[np.ndarray, "3 2"],
) -> tuple[bool, int]:
    """Move by one tick; return whether the player stands now and the ticks until the next jump."""
    for axis in range(3):
        if abs(velocity[axis]) < _SMALLEST_SPEED:
            velocity[axis] = 0.0
    _find_cells(scene, position, _WATER_INSET, _WATER_INSET_Y, cells)
    in_water = _meets(scene, _LIQUID, cells)
    cooldown = max(cooldown - 1, 0) if jump else 0
    if jump and in_water:
        velocity[1] += _SWIM_LIFT
    elif jump and on_ground and cooldown == 0:
        velocity[1] = _JUMP_SPEED
        cooldown = _JUMP_COOLDOWN_TICKS
    acceleration, drag = _AIR_ACCELERATION, _AIR_DRAG
    if in_water:
        acceleration, drag = _WATER_ACCELERATION, _WATER_DRAG
    elif on_ground:  # before the move, so the tick of a jump still pushes off the ground
        acceleration, drag = _GROUND_ACCELERATION, _GROUND_DRAG
    velocity[0] += acceleration * push[0]
    velocity[2] += acceleration * push[1]
    old_y = position[1]
    on_ground, blocked_sideways = _move(scene, position, velocity, cells)
    velocity[0] *= drag
    velocity[2] *= drag
    if in_water:
        velocity[1] = velocity[1] * _WATER_DRAG - _WATER_GRAVITY
        if blocked_sideways and _can_climb(scene, position, velocity, old_y, cells):
            velocity[1] = _BANK_HOP_SPEED
    else:
        velocity[1] = (velocity[1] - _GRAVITY) * _FALL_DRAG
    return on_ground, cooldown


@kernel
def _move(
    scene: _Scene,
    position: Float64[np.ndarray, "3"],
    velocity: Float64[np.ndarray, "3"],
    cells: Int64[np.ndarray, "3 2"],
) -> tuple[bool, bool]:
    """Move by the velocity along y, x, z, stopping at solid cells; return (landed, blocked sideways)."""
    landed, blocked_sideways = False, False
    for axis in (1, 0, 2):
        if _slide(scene, position, axis, velocity[axis], cells):
            if axis == 1:
                landed = velocity[1] < 0
            else:
                blocked_sideways = True
            velocity[axis] = 0.0
    return landed, blocked_sideways


@kernel
def _slide(
    scene: _Scene,
    position: Float64[np.ndarray, "3"],
    axis: int,
    distance: float,
    cells: Int64[np.ndarray, "3 2"],
) -> bool:
    """Move along one axis up to the first solid face; return whether there was one."""
    _find_cells(scene, position, _CLEARANCE, _CLEARANCE, cells)
    if distance > 0:
        end = ceil(position[axis] + _ABOVE[axis] + distance - _CLEARANCE) - scene.origin[axis]
        for cell in range(cells[axis, 1], end):
            cells[axis, 0], cells[axis, 1] = cell, cell + 1
            if _meets(scene, _SOLID, cells):
                position[axis] = cell + scene.origin[axis] - _ABOVE[axis]
                return True
    elif distance < 0:
        end = floor(position[axis] - _BELOW[axis] + distance + _CLEARANCE) - scene.origin[axis]
        for cell in range(cells[axis, 0] - 1, end - 1, -1):
            cells[axis, 0], cells[axis, 1] = cell, cell + 1
            if _meets(scene, _SOLID, cells):
                position[axis] = cell + 1 + scene.origin[axis] + _BELOW[axis]
                return True
    position[axis] += distance
    return False


@kernel
def _can_climb(
    scene: _Scene,
    position: Float64[np.ndarray, "3"],
    velocity: Float64[np.ndarray, "3"],
    old_y: float,
    cells: Int64[np.ndarray, "3 2"],
) -> bool:
    """Return whether a swimmer can hop out: the box 0.6 blocks up, a tick ahead, meets no solid or water."""
    ahead = position + velocity
    ahead[1] = old_y + velocity[1] + _BANK_HOP_BLOCKS
    _find_cells(scene, ahead, _CLEARANCE, _CLEARANCE, cells)
    return not (_meets(scene, _SOLID, cells) or _meets(scene, _LIQUID, cells))


@kernel
def _find_cells(
    scene: _Scene,
    position: Float64[np.ndarray, "3"],
    inset: float,
    inset_y: float,
    cells: Int64[np.ndarray, "3 2"],
) -> None:
    """Write the half-open ranges of array cells along x, y, z that the shrunk box overlaps."""
    for axis in range(3):
        shrink = inset_y if axis == 1 else inset
        cells[axis, 0] = floor(position[axis] - _BELOW[axis] + shrink) - scene.origin[axis]
        cells[axis, 1] = ceil(position[axis] + _ABOVE[axis] - shrink) - scene.origin[axis]


@kernel
def _meets(scene: _Scene, kind: int, cells: Int64[np.ndarray, "3 2"]) -> bool:
    """Return whether any cell in the ranges holds matter of this kind."""
    for x in range(cells[0, 0], cells[0, 1]):
        for z in range(cells[2, 0], cells[2, 1]):
            for y in range(cells[1, 0], min(cells[1, 1], scene.blocks.shape[2])):
                if scene.matter[scene.blocks[x, z, max(y, 0)]] == kind:
                    return True
    return False
