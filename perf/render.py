"""How fast the voxel renderer is, as ratios within one run: `python perf/render.py`.

Against the plain renderer of tests/ (one ray after another, no skipping), on the same pictures at 256 x 256,
view distance 64, one core: the pictures are compared first. Then what anti-aliasing, blocks with holes and
surface ids cost. Every time is processor time, the least of several that are measured in turn, so that
neither other programs nor a machine that changes its speed can favour one side.
"""

import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from loopcraft.worlds.voxel.core.blocks import BLOCKS, Shape
from loopcraft.worlds.voxel.render.renderer import Renderer, camera
from loopcraft.worlds.voxel.render.scene import BLOCKS_PLANE, Scene, build_scene
from loopcraft.worlds.voxel.render.sky import make_sky
from loopcraft.worlds.voxel.terrain.region import Region
from tests.references import renderer as reference_renderer
from tests.references.voxel_scenes import SEEDS, pose_at_spawn, scene_at_spawn

RESOLUTION, VIEW_DISTANCE = 256, 64.0
YAWS = (0.0, 50.0, 130.0, -100.0)
ROUNDS = 9


def least_times_ms(sources: dict[str, Callable[[], object]]) -> dict[str, float]:
    """The least time of each over several rounds, in turn; each plays twice, as a video warms its caches."""
    best = dict.fromkeys(sources, np.inf)
    for _ in range(ROUNDS):
        for name, play in sources.items():
            play()
            start = time.thread_time()
            play()
            best[name] = min(best[name], (time.thread_time() - start) * 1e3)
    return best


def without_holes(scene: Scene) -> Scene:
    """The same country with leaves as full cubes, and neither plants nor water."""
    blocks = scene.voxels[BLOCKS_PLANE, 1:-1, 1:-1, 1:-1].copy()
    stone = next(i for i, block in enumerate(BLOCKS) if block.name == "stone")
    shape = np.array([block.shape for block in BLOCKS])[blocks]
    blocks[shape == Shape.CUTOUT] = stone
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

            def with_surface(scene: Scene = scene, sky=sky, pose=pose) -> None:  # type: ignore[no-untyped-def]
                renderers["default"].render(scene, sky, pose)
                renderers["default"].surface(scene)

            sources: dict[str, Callable[[], object]] = {
                quality: lambda r=renderer, s=scene, k=sky, p=pose: r.render(s, k, p)  # type: ignore[misc]
                for quality, renderer in renderers.items()
            }
            sources["plain"] = lambda plain=plain: reference_renderer.render(*plain)  # type: ignore[misc]
            sources["no holes"] = lambda s=bare, k=sky, p=pose: renderers["fast"].render(s, k, p)  # type: ignore[misc]
            sources["surface"] = with_surface
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
