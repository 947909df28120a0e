"""Measure the speed of the voxel renderer as ratios within one run: `python perf/render.py`.

It is compared with the plain renderer of tests/ (one ray after another, no skipping), on the same pictures at
256 x 256, view distance 64, one core; the pictures are compared first. Then come the costs of anti-aliasing,
blocks with holes and surface ids. Every time is the least processor time of several rounds taken in turn, so
that neither other programs nor a varying clock speed can favour one side.
"""

import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from loopcraft.worlds.base import Pose
from loopcraft.worlds.voxel.core.blocks import BLOCK_IDS, Shape, rule_array
from loopcraft.worlds.voxel.render.renderer import Renderer, camera
from loopcraft.worlds.voxel.render.scene import BLOCKS_PLANE, Scene, build_scene
from loopcraft.worlds.voxel.render.sky import Sky, make_sky
from loopcraft.worlds.voxel.terrain.region import Region
from tests.references import renderer as reference_renderer
from tests.references.voxel_scenes import SEEDS, pose_at_spawn, scene_at_spawn

RESOLUTION, VIEW_DISTANCE = 256, 64.0
YAWS = (0.0, 50.0, 130.0, -100.0)
ROUNDS = 9


def least_times_ms(sources: dict[str, Callable[[], object]]) -> dict[str, float]:
    """Return each source's least time over several rounds, after a call that warms caches as a video does."""
    best = dict.fromkeys(sources, np.inf)
    for _ in range(ROUNDS):
        for name, play in sources.items():
            play()
            start = time.thread_time()
            play()
            best[name] = min(best[name], (time.thread_time() - start) * 1e3)
    return best


def without_holes(scene: Scene) -> Scene:
    """Return the same scene with leaves as full cubes, and without plants and water."""
    blocks = scene.voxels[BLOCKS_PLANE, 1:-1, 1:-1, 1:-1].copy()
    shape = rule_array("shape")[blocks]
    blocks[shape == Shape.CUTOUT] = BLOCK_IDS["stone"]
    blocks[(shape == Shape.CROSS) | (shape == Shape.LIQUID)] = 0
    white = np.full((*blocks.shape[:2], 3), 255, np.uint8)
    return build_scene(
        Region(
            x0=scene.x0 + 1,
            z0=scene.z0 + 1,
            blocks=blocks,
            grass_tint=white,
            foliage_tint=white,
            water_tint=white,
        )
    )


def render_with_surface(renderer: Renderer, scene: Scene, sky: Sky, pose: Pose) -> None:
    """Draw a picture and the ids of its faces."""
    renderer.render(scene, sky, pose)
    renderer.surface(scene)


def main() -> None:
    """Measure and print."""
    renderers = {
        quality: Renderer(resolution=RESOLUTION, quality=quality, view_distance=VIEW_DISTANCE)
        for quality in ("fast", "default", "best")
    }
    totals: dict[str, list[float]] = {}
    misses = []
    for seed in SEEDS:
        scene, sky = scene_at_spawn(seed)[0], make_sky(seed)
        bare = without_holes(scene)
        for yaw in YAWS:
            pose = pose_at_spawn(seed, yaw)
            eye, basis = camera(scene, pose)
            plain = (scene, sky, eye, basis.astype(np.float64), VIEW_DISTANCE, RESOLUTION)
            frame = renderers["fast"].render(scene, sky, pose)
            picture, _ = reference_renderer.render(*plain)
            misses.append((np.abs(picture - frame).max(axis=-1) > 6).mean())

            sources: dict[str, Callable[[], object]] = {
                quality: partial(renderer.render, scene, sky, pose) for quality, renderer in renderers.items()
            }
            sources["plain"] = partial(reference_renderer.render, *plain)
            sources["no holes"] = partial(renderers["fast"].render, bare, sky, pose)
            sources["surface"] = partial(render_with_surface, renderers["default"], scene, sky, pose)
            for name, value in least_times_ms(sources).items():
                totals.setdefault(name, []).append(value)
    mean = {name: float(np.mean(values)) for name, values in totals.items()}
    print(
        f"{len(misses)} pictures of {RESOLUTION} x {RESOLUTION}, view distance {VIEW_DISTANCE:.0f}, one core"
    )
    print(f"pixels that differ from the plain renderer by more than 6 of 255: {np.mean(misses):.1e}")
    for name in ("plain", "no holes", "fast", "default", "best", "surface"):
        print(f"{name:10} {mean[name]:7.2f} ms  {1e3 / mean[name]:6.0f} frames/s")
    print(f"plain / fast:                                 {mean['plain'] / mean['fast']:.1f}x")
    print(f"holes, plants and water cost (fast):          {mean['fast'] / mean['no holes']:.2f}x")
    print(f"anti-aliasing costs (default / fast):         {mean['default'] / mean['fast']:.2f}x")
    print(f"2x2 samples everywhere cost (best / fast):    {mean['best'] / mean['fast']:.2f}x")
    print(f"surface ids cost (default with / without):    {mean['surface'] / mean['default']:.2f}x")


if __name__ == "__main__":
    main()
