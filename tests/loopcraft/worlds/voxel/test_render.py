"""The renderer against a plain one, against itself at twice the size, and against golden frames."""

import hashlib

import numpy as np
import pytest

from loopcraft.core.errors import UserError
from loopcraft.worlds.base import Pose
from loopcraft.worlds.voxel.core.blocks import BLOCKS, Shape
from loopcraft.worlds.voxel.render.renderer import Renderer, camera
from loopcraft.worlds.voxel.render.scene import BLOCKS_PLANE, Scene, build_scene
from loopcraft.worlds.voxel.render.sky import make_sky
from loopcraft.worlds.voxel.terrain.region import Region
from tests.references import renderer as reference_renderer
from tests.references.voxel_scenes import SEEDS, pose_at_spawn, scene_at_spawn

GOLDEN = {
    "fast": "d752f1f5a3a688717256d98da916b9d8befda48a10b96edbbc7b7bb037cbf55a",
    "default": "9e280f2da835ba0ce5c052d30a64291f72ef6cfc7bb1750d3e828a5a34c42736",
    "best": "cce52842e687b72279a07c3d7fa4552f5c94ec3bae3b6ac709ae60fbd405d615",
}
"""SHA-256 of the frame of world 3, yaw 40, 64 pixels: the look of voxel-v1. A change needs a new world id."""


def untile(values: np.ndarray, resolution: int) -> np.ndarray:
    tiles = resolution // 8
    return values.reshape(tiles, tiles, 8, 8).transpose(0, 2, 1, 3).reshape(resolution, resolution)


def look(seed: int, yaw_deg: float, *, resolution: int = 128, quality: str = "fast") -> np.ndarray:
    scene, _ = scene_at_spawn(seed)
    renderer = Renderer(resolution=resolution, quality=quality)
    return renderer.render(scene, make_sky(seed), pose_at_spawn(seed, yaw_deg))


def compare_with_reference(seed: int, pose: Pose, resolution: int = 128) -> tuple[float, np.ndarray]:
    """Return the share of pixels that hit another place, and the colour errors of all others."""
    scene, _ = scene_at_spawn(seed)
    sky = make_sky(seed)
    renderer = Renderer(resolution=resolution, quality="fast")
    frame = renderer.render(scene, sky, pose)
    eye, basis = camera(scene, pose)
    picture, places = reference_renderer.render(scene, sky, eye, basis.astype(np.float64), 64.0, resolution)
    same = untile(renderer._hits.places, resolution) == places
    return 1 - same.mean(), np.abs(picture - frame)[same]


def test_hits_and_colors_match_the_plain_renderer() -> None:
    misses, errors = zip(
        *(
            compare_with_reference(seed, pose_at_spawn(seed, yaw))
            for seed in SEEDS
            for yaw in (0, 50, 130, -100)
        ),
        strict=True,
    )
    assert np.mean(misses) <= 1e-4
    assert np.concatenate(errors).max() < 5
    assert np.concatenate(errors).mean() < 0.8


def test_looking_up_and_down_agrees_too() -> None:
    for pitch in (-80.0, -35.0, 25.0, 60.0):
        miss, errors = compare_with_reference(3, pose_at_spawn(3, 70)._replace(pitch_deg=pitch))
        assert miss <= 5e-4
        assert errors.max() < 5


def test_the_comparison_detects_a_displaced_camera() -> None:
    scene, _ = scene_at_spawn(3)
    sky = make_sky(3)
    renderer = Renderer(resolution=128, quality="fast")
    pose = pose_at_spawn(3, 0)
    renderer.render(scene, sky, pose._replace(x=pose.x + 0.02))
    eye, basis = camera(scene, pose)
    _, places = reference_renderer.render(scene, sky, eye, basis.astype(np.float64), 64.0, 128)
    assert (untile(renderer._hits.places, 128) != places).mean() > 1e-3


def test_best_is_the_box_filter_of_twice_the_size() -> None:
    best = look(11, 20, resolution=64, quality="best").astype(int)
    large = look(11, 20, resolution=128, quality="fast").astype(float)
    filtered = large.reshape(64, 2, 64, 2, 3).mean(axis=(1, 3))
    assert (np.abs(best - filtered) > 1).mean() < 2e-3


def test_default_comes_close_to_best() -> None:
    errors = {
        quality: np.mean(
            [
                np.square(
                    look(seed, 90, quality=quality) - look(seed, 90, quality="best").astype(float)
                ).mean()
                for seed in SEEDS
            ]
        )
        for quality in ("fast", "default")
    }
    assert errors["default"] < errors["fast"] / 2


@pytest.mark.parametrize("quality", GOLDEN)
def test_golden_frames(quality: str) -> None:
    frame = look(3, 40, resolution=64, quality=quality)
    assert hashlib.sha256(frame.tobytes()).hexdigest() == GOLDEN[quality]


def test_a_frame_does_not_depend_on_earlier_ones() -> None:
    renderer = Renderer(resolution=64)
    scene, _ = scene_at_spawn(3)
    other, _ = scene_at_spawn(40)
    first = renderer.render(scene, make_sky(3), pose_at_spawn(3, 0)).copy()
    renderer.render(other, make_sky(40), pose_at_spawn(40, 90))
    assert np.array_equal(renderer.render(scene, make_sky(3), pose_at_spawn(3, 0)), first)


def decode(scene: Scene, ids: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Decode surface ids into x, y, z (in the padded volume) and face."""
    ids = ids.astype(np.int64)
    x, z = ((ids >> shift & 0xFFFFFF) for shift in (36, 12))
    x, z = (np.where(v >= 1 << 23, v - (1 << 24), v) for v in (x, z))
    return x - scene.x0, (ids >> 4 & 0xFF) + 1, z - scene.z0, (ids & 0xF) - 1


def test_surface_ids_name_faces_of_blocks_that_can_be_seen() -> None:
    scene, _ = scene_at_spawn(26)
    renderer = Renderer(resolution=128)
    renderer.render(scene, make_sky(26), pose_at_spawn(26, 30))
    ids = renderer.surface(scene)
    assert 0 < (ids == 0).mean() < 1
    x, y, z, face = decode(scene, ids[ids > 0])
    blocks = scene.voxels[BLOCKS_PLANE, x, z, y]
    assert (blocks > 0).all()
    step = np.array(
        [(-1, 0, 0), (1, 0, 0), (0, -1, 0), (0, 1, 0), (0, 0, -1), (0, 0, 1), (0, 0, 0), (0, 0, 0)]
    )
    dx, dy, dz = step[face].T
    in_front = scene.voxels[BLOCKS_PLANE, x + dx, z + dz, y + dy]
    cube = np.array([block.shape == Shape.CUBE for block in BLOCKS])
    assert not cube[in_front[face < 6]].any()


def test_a_face_keeps_its_id_when_the_camera_moves() -> None:
    scene, _ = scene_at_spawn(26)
    renderer = Renderer(resolution=128)
    pose = pose_at_spawn(26, 30)
    views = []
    for offset in (0.0, 0.3):
        renderer.render(scene, make_sky(26), pose._replace(x=pose.x + offset))
        views.append(set(np.unique(renderer.surface(scene)).tolist()))
    assert len(views[0] & views[1]) > 0.6 * len(views[0])


@pytest.mark.parametrize("resolution", [64, 128, 256])
def test_any_resolution(resolution: int) -> None:
    frame = look(3, 0, resolution=resolution, quality="default")
    assert frame.shape == (resolution, resolution, 3)
    assert frame.dtype == np.uint8
    assert frame.std() > 10


def test_a_region_too_large_to_index_is_refused() -> None:
    for size in ((2100, 8), (1400, 1400)):
        blocks = np.broadcast_to(np.uint8(0), (*size, 96))
        tint = np.broadcast_to(np.uint8(255), (*size, 3))
        region = Region(x0=0, z0=0, blocks=blocks, grass_tint=tint, foliage_tint=tint, water_tint=tint)
        with pytest.raises(UserError, match="play fewer frames"):
            build_scene(region)


def test_bad_arguments_are_refused() -> None:
    with pytest.raises(UserError, match="unknown quality 'ultra'"):
        Renderer(resolution=64, quality="ultra")
    for resolution in (0, -8, 20):
        with pytest.raises(UserError, match=f"resolution {resolution} "):
            Renderer(resolution=resolution)
