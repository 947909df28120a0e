"""The player's physics: known figures of the game, single situations, and a second implementation."""

import hashlib
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from loopcraft.walks.actions import Action, draw_walk
from loopcraft.worlds.voxel.core.blocks import BLOCK_IDS, BLOCKS, Shape
from loopcraft.worlds.voxel.physics import simulate

STONE, WATER, GRASS = BLOCK_IDS["stone"], BLOCK_IDS["water"], BLOCK_IDS["tall_grass"]
GROUND = 4
PINNED_LAST_POSE = [12.3, 9.024424099752524, 6.7, 40.0, 0.0]
PINNED_POSES = "14b9ee11cb9b4ff1"
F, L, R = Action.FORWARD, Action.LEFT, Action.RIGHT


def flat(size_x: int = 48, size_z: int = 48, height: int = 24) -> np.ndarray:
    """Stone up to y = 4."""
    blocks = np.zeros((size_x, size_z, height), np.uint8)
    blocks[:, :, :GROUND] = STONE
    return blocks


def play(blocks, start, actions, **kwargs):
    """Poses of a walk that must stay in the box."""
    poses, num_played = simulate(blocks, start, np.array(actions), x0=0, z0=0, **kwargs)
    assert num_played == len(actions)
    return poses


# --- figures of the game


def test_walking_speed_without_the_jump():
    poses = play(flat(), (24.5, GROUND, 8.5, 0.0), [F] * 100, jump=False)
    assert poses[-1, 2] - poses[-2, 2] == pytest.approx(0.098 / (1 - 0.546), abs=1e-12)
    assert round(poses[-1, 2] - poses[-2, 2], 4) == 0.2159
    assert set(poses[:, 1]) == {GROUND}
    assert set(poses[:, 0]) == {24.5}


def test_first_steps_from_rest():
    # Tick 1 is in the air (the player has not touched the ground yet), ticks 2 and 3 push off the ground.
    poses = play(flat(), (24.5, GROUND, 8.5, 0.0), [F] * 4, jump=False)
    air = 0.0196
    first = air * 0.91 + 0.0196
    second = first * 0.91 + 0.098
    third = second * 0.546 + 0.098
    steps = [air, first, second, third]
    np.testing.assert_allclose(poses[:, 2], 8.5 + np.cumsum(steps), atol=1e-12)


def test_terminal_speed_of_a_fall():
    blocks = np.zeros((8, 8, 1), np.uint8)
    poses = play(blocks, (4.0, 5000.0, 4.0, 0.0), [L] * 600)
    assert poses[-1, 1] - poses[-2, 1] == pytest.approx(-0.08 * 0.98 / 0.02, abs=1e-4)
    assert poses[1, 1] - poses[0, 1] == pytest.approx(-0.0784, abs=1e-12)


def test_air_control_has_a_terminal_speed():
    blocks = np.zeros((8, 160, 1), np.uint8)
    poses = play(blocks, (4.0, 9000.0, 4.0, 0.0), [F] * 600)
    assert poses[-1, 2] - poses[-2, 2] == pytest.approx(0.0196 / 0.09, abs=1e-9)


def test_a_jump_peaks_at_1_2522_and_takes_12_ticks():
    poses = play(flat(), (24.5, GROUND, 24.5, 0.0), [L] * 60)
    heights = poses[:, 1] - GROUND
    assert round(heights.max(), 4) == 1.2522
    expected = [0.42, 0.7532, 1.001336, 1.16610928, 1.2491870944, 1.252203352512]
    np.testing.assert_allclose(heights[2:8], expected, atol=1e-12)
    assert np.flatnonzero(heights == 0).tolist() == [0, 1, 13, 25, 37, 49]


def test_hopping_touches_the_ground_one_tick_in_twelve():
    speed = step = 0.0
    for tick in range(1201):
        on_ground = tick % 12 == 0
        step += speed + (0.098 if on_ground else 0.0196) if tick > 1080 else 0.0
        speed = (speed + (0.098 if on_ground else 0.0196)) * (0.546 if on_ground else 0.91)
    poses = play(flat(size_z=300), (24.5, GROUND, 8.5, 0.0), [F] * 1000)
    assert poses[-1, 2] - poses[-1 - 120, 2] == pytest.approx(step, abs=1e-9)
    assert round(step / 120, 4) == 0.1959


# --- the head


def test_turns_are_ten_degrees_right_positive_and_wrap():
    yaws = play(flat(), (24.5, GROUND, 24.5, 170.0), [R, R, L, L, L])[:, 3]
    assert yaws.tolist() == [-180, -170, -180, 170, 160]


@pytest.mark.parametrize(("yaw", "direction"), [(0, (0, 1)), (90, (-1, 0)), (-180, (0, -1)), (-90, (1, 0))])
def test_headings_match_minecraft(yaw, direction):
    poses = play(flat(), (24.5, GROUND, 24.5, float(yaw)), [F] * 20)
    step = poses[-1, [0, 2]] - [24.5, 24.5]
    np.testing.assert_allclose(step / np.abs(step).max(), direction, atol=0)


def test_a_turn_acts_before_the_push():
    poses = play(flat(), (24.5, GROUND, 24.5, 80.0), [R, F])
    assert poses[1, 2] == 24.5
    assert poses[1, 0] < 24.5


def test_yaw_off_the_table_is_refused():
    with pytest.raises(ValueError, match="45"):
        simulate(flat(), (24.5, GROUND, 24.5, 45.0), np.array([F]), x0=0, z0=0)


# --- collisions


def step_world(height: int) -> np.ndarray:
    blocks = flat()
    blocks[:, 20:, GROUND : GROUND + height] = STONE
    return blocks


def test_a_step_of_one_block_needs_the_jump():
    climbed = play(step_world(1), (24.5, GROUND, 15.5, 0.0), [F] * 60)
    assert climbed[-1, 2] > 20
    assert climbed[-1, 1] >= GROUND + 1
    stopped = play(step_world(1), (24.5, GROUND, 15.5, 0.0), [F] * 60, jump=False)
    assert stopped[-1, 2] == pytest.approx(19.7, abs=1e-12)
    assert stopped[-1, 1] == GROUND


def test_a_wall_of_two_blocks_stops_the_jump():
    poses = play(step_world(2), (24.5, GROUND, 15.5, 0.0), [F] * 100)
    assert poses[:, 2].max() == pytest.approx(19.7, abs=1e-12)


def test_plants_do_not_stop_the_player():
    blocks = flat()
    blocks[:, 20, GROUND] = GRASS
    free, through = (play(b, (24.5, GROUND, 15.5, 0.0), [F] * 60) for b in (flat(), blocks))
    np.testing.assert_array_equal(free, through)


def test_sliding_along_a_wall():
    blocks = flat()
    blocks[30:, :, GROUND : GROUND + 3] = STONE
    poses = play(blocks, (28.5, GROUND, 10.5, -30.0), [F] * 100, jump=False)
    assert poses[-1, 0] == pytest.approx(29.7, abs=1e-12)
    assert poses[-1, 2] - poses[-2, 2] == pytest.approx(0.8660254037844386 * 0.098 / 0.454, abs=1e-9)


def test_a_low_ceiling_ends_a_hop_but_not_its_cooldown():
    # Under a ceiling 2 blocks up, a hop rises 0.2 and ends at once; the next waits for the cooldown.
    blocks = flat()
    blocks[:, :, GROUND + 2] = STONE
    heights = play(blocks, (24.5, GROUND, 24.5, 0.0), [L] * 40)[:, 1] - GROUND
    assert heights.max() == pytest.approx(0.2, abs=1e-12)
    take_offs = np.flatnonzero((heights[1:] > 0) & (heights[:-1] == 0)) + 1
    assert np.diff(take_offs).tolist() == [10, 10, 10]


def test_walking_off_a_ledge_falls_and_lands():
    blocks = flat()
    blocks[:, :20, GROUND : GROUND + 8] = STONE
    poses = play(blocks, (24.5, GROUND + 8, 18.5, 0.0), [F] * 60, jump=False)
    assert poses[-1, 1] == GROUND
    falls = np.diff(poses[:, 1])
    assert (falls <= 0).all()
    fall = falls[falls < 0]
    np.testing.assert_allclose(fall[:3], [-0.0784, -0.155232, -0.23052736], atol=1e-12)


def test_a_fast_fall_does_not_tunnel_through_one_block():
    blocks = np.zeros((8, 8, 300), np.uint8)
    blocks[:, :, 0] = STONE
    blocks[:, :, 5] = STONE
    poses = play(blocks, (4.0, 290.0, 4.0, 0.0), [L] * 200, jump=False)
    assert poses[-1, 1] == 6


# --- the edges of the array


def test_a_walk_stops_at_the_margin_and_a_larger_box_continues_it():
    small, large = flat(24, 24), flat(80, 80)
    actions = np.full(150, F)
    poses, num_played = simulate(small, (12.5, GROUND, 12.5, 0.0), actions, x0=0, z0=0)
    assert 0 < num_played < 150
    assert 21 < poses[num_played - 1, 2] < 21.5
    assert np.isnan(poses[num_played:]).all()
    whole, all_played = simulate(large, (12.5, GROUND, 12.5, 0.0), actions, x0=-30, z0=-20)
    assert all_played == 150
    np.testing.assert_array_equal(whole[:num_played], poses[:num_played])


@pytest.mark.parametrize("start", [(2.9, 12.0), (12.0, 2.9), (21.1, 12.0), (12.0, 21.1)])
def test_a_start_within_the_margin_plays_nothing(start):
    blocks = flat(24, 24)
    x, z = start
    assert simulate(blocks, (x, GROUND, z, 0.0), np.array([F, F]), x0=0, z0=0)[1] == 0
    assert simulate(blocks, (x, GROUND, z, 0.0), np.array([L, L]), x0=0, z0=0, margin_blocks=2.5)[1] == 2


def test_air_is_above_and_the_lowest_layer_repeats_below():
    floor_only = np.full((10, 10, 1), STONE, np.uint8)
    assert play(floor_only, (5.0, 30.0, 5.0, 0.0), [L] * 100, jump=False)[-1, 1] == 1
    bottomless = np.zeros((10, 10, 1), np.uint8)
    assert play(bottomless, (5.0, 1.0, 5.0, 0.0), [L] * 100)[-1, 1] < -100


# --- water


def pool(depth: int) -> np.ndarray:
    """A pool in z 10 to 19 whose surface is level with the bank at y = 14."""
    blocks = np.zeros((24, 48, 24), np.uint8)
    blocks[:, :, :14] = STONE
    blocks[:, 10:20, 14 - depth : 14] = WATER
    return blocks


def test_swimming_speed():
    blocks = np.full((24, 100, 60), WATER, np.uint8)
    poses = play(blocks, (12.0, 30.0, 4.0, 0.0), [F] * 100, jump=False)
    assert poses[-1, 2] - poses[-2, 2] == pytest.approx(0.0196 / 0.2, abs=1e-9)
    assert poses[-1, 1] - poses[-2, 1] == pytest.approx(-0.02 / 0.2, abs=1e-9)


def test_the_held_jump_swims_up():
    blocks = np.full((24, 24, 60), WATER, np.uint8)
    poses = play(blocks, (12.0, 10.0, 12.0, 0.0), [L] * 100)
    assert poses[-1, 1] - poses[-2, 1] == pytest.approx((0.04 * 0.8 - 0.02) / 0.2 + 0.04, abs=1e-9)


def test_a_swimmer_floats_and_climbs_the_bank():
    poses = play(pool(6), (12.0, 10.0, 12.5, 0.0), [L] * 36 * 6)
    assert (np.abs(poses[-36:, 1] - 13.5) < 0.6).all()
    out = play(pool(6), (12.0, 10.0, 12.5, 0.0), [F] * 200)
    assert out[-1, 2] > 20.3
    assert out[-1, 1] >= 14


# --- a second implementation, as in the game: lists of boxes clipped in floating point


def solid_at(blocks, x, y, z):
    return y < blocks.shape[2] and BLOCKS[blocks[x, z, max(y, 0)]].solid


def liquid_at(blocks, x, y, z):
    return y < blocks.shape[2] and BLOCKS[blocks[x, z, max(y, 0)]].shape is Shape.LIQUID


def box_at(x, y, z):
    return [x - 0.3, y, z - 0.3, x + 0.3, y + 1.8, z + 0.3]


def cells_in(low, high):
    return [
        (i, j, k)
        for i in range(math.floor(low[0]), math.ceil(high[0]))
        for j in range(math.floor(low[1]), math.ceil(high[1]))
        for k in range(math.floor(low[2]), math.ceil(high[2]))
    ]


def clip(box, cell, axis, move):
    """Distance the box can move along one axis before it meets a unit cube."""
    others = [a for a in range(3) if a != axis]
    if any(box[3 + a] <= cell[a] + 1e-7 or box[a] >= cell[a] + 1 - 1e-7 for a in others):
        return move
    if move > 0 and box[3 + axis] <= cell[axis] + 1e-7:
        return min(move, cell[axis] - box[3 + axis])
    if move < 0 and box[axis] >= cell[axis] + 1 - 1e-7:
        return max(move, cell[axis] + 1 - box[axis])
    return move


def reference(blocks, start, actions, jump):
    """Positions after each action, computed in plain Python."""
    x, y, z, yaw = start
    velocity, on_ground, jump_ticks, rows = [0.0, 0.0, 0.0], False, 0, []
    for action in actions:
        yaw += {F: 0, L: -10, R: 10}[Action(action)]
        if jump_ticks > 0:
            jump_ticks -= 1
        velocity = [0.0 if abs(v) < 0.003 else v for v in velocity]
        low, high = (x - 0.299, y + 0.401, z - 0.299), (x + 0.299, y + 1.399, z + 0.299)
        swims = any(liquid_at(blocks, *cell) for cell in cells_in(low, high))
        if not jump:
            jump_ticks = 0
        elif swims:
            velocity[1] += 0.04
        elif on_ground and jump_ticks == 0:
            velocity[1], jump_ticks = 0.42, 10
        speed, drag = (0.02, 0.8) if swims else (0.1, 0.6 * 0.91) if on_ground else (0.02, 0.91)
        if action == F:
            # Rounded: a sine of 1e-16 would count as running into the wall alongside.
            velocity[0] -= 0.98 * speed * round(math.sin(math.radians(yaw)), 15)
            velocity[2] += 0.98 * speed * round(math.cos(math.radians(yaw)), 15)
        box, requested, old_y = box_at(x, y, z), list(velocity), y
        swept_low = [box[a] + min(requested[a], 0) - 1 for a in range(3)]
        swept_high = [box[3 + a] + max(requested[a], 0) + 1 for a in range(3)]
        cubes = [cell for cell in cells_in(swept_low, swept_high) if solid_at(blocks, *cell)]
        for axis in (1, 0, 2):
            move = requested[axis]
            for cube in cubes:
                move = clip(box, cube, axis, move)
            box[axis] += move
            box[3 + axis] += move
            if abs(move - requested[axis]) > 1e-7:
                velocity[axis] = 0.0
        on_ground = velocity[1] == 0 and requested[1] < 0
        stopped = any(velocity[a] == 0 and requested[a] != 0 for a in (0, 2))
        x, y, z = (box[0] + box[3]) / 2, box[1], (box[2] + box[5]) / 2
        velocity[0] *= drag
        velocity[2] *= drag
        if swims:
            velocity[1] = velocity[1] * 0.8 - 0.02
            hop = box_at(x + velocity[0], old_y + velocity[1] + 0.6, z + velocity[2])
            around = cells_in([v + 1e-7 for v in hop[:3]], [v - 1e-7 for v in hop[3:]])
            if stopped and not any(solid_at(blocks, *c) or liquid_at(blocks, *c) for c in around):
                velocity[1] = 0.3
        else:
            velocity[1] = (velocity[1] - 0.08) * 0.98
        rows.append((x, y, z))
    return np.array(rows)


def random_world(rng) -> np.ndarray:
    """Rough ground with pools, pillars, overhangs and loose blocks."""
    blocks = np.zeros((40, 40, 24), np.uint8)
    ground = 8 + rng.integers(0, 3, (40, 40)) + 2 * (rng.random((40, 40)) < 0.1)
    y = np.arange(24)
    blocks[y < ground[:, :, None]] = STONE
    if rng.random() < 0.7:
        blocks[(y < rng.integers(8, 11)) & (y >= ground[:, :, None])] = WATER
    blocks[(rng.random(blocks.shape) < 0.03) & (y > 3)] = STONE
    blocks[(rng.random(blocks.shape) < 0.05) & (blocks == 0)] = GRASS
    return blocks


def random_play(seed):
    rng = np.random.default_rng(seed)
    blocks = random_world(rng)
    offset = rng.integers(0, 1000, 2) / 1000
    start = (18 + offset[0] * 4, 24.0, 18 + offset[1] * 4, 10.0 * rng.integers(-18, 18))
    actions = draw_walk(rng, 300) if rng.random() < 0.5 else rng.choice(3, 300, p=(0.7, 0.15, 0.15))
    return blocks, start, actions, bool(rng.random() < 0.8)


@settings(max_examples=40, deadline=None, derandomize=True)
@given(st.integers(0, 2**32 - 1))
def test_agrees_with_the_reference(seed):
    blocks, start, actions, jump = random_play(seed)
    poses, num_played = simulate(blocks, start, actions, x0=0, z0=0, jump=jump)
    expected = reference(blocks, start, actions[:num_played], jump)
    np.testing.assert_allclose(poses[:num_played, :3], expected, atol=1e-12, rtol=0)


@settings(max_examples=200, deadline=None, derandomize=True)
@given(st.integers(0, 2**32 - 1))
def test_the_player_is_never_inside_a_solid(seed):
    blocks, start, actions, jump = random_play(seed)
    poses, num_played = simulate(blocks, start, actions, x0=0, z0=0, jump=jump)
    for x, y, z in poses[:num_played, :3]:
        low, high = (x - 0.2999, y + 1e-4, z - 0.2999), (x + 0.2999, y + 1.7999, z + 0.2999)
        assert not any(solid_at(blocks, *cell) for cell in cells_in(low, high)), (x, y, z)


def test_a_walk_is_pinned_to_the_byte():
    blocks, start, actions, _ = random_play(18)
    poses, num_played = simulate(blocks, start, actions, x0=0, z0=0)
    assert num_played == 300
    assert poses[-1].tolist() == PINNED_LAST_POSE
    assert hashlib.sha256(poses.tobytes()).hexdigest()[:16] == PINNED_POSES
