"""The block worlds as Gymnasium environments, `loopcraft/Voxel-v1` and `loopcraft/Plaza-v1`, for policies.

`import loopcraft` registers them for `gymnasium.make("loopcraft/Voxel-v1")`; see environments.py. Frames and
poses are those of `play` for the same world and actions; single pixels may differ by rounding, because the
origin of terrain coordinates differs. There is no task: the reward is 0 and an episode never terminates; it
is truncated after 1024 steps. The world seed is drawn from the environment's own generator, or given:
`reset(options={"world_seed": 7})` starts in the world of a data set's episode.
"""

from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces
from jaxtyping import Float64, UInt8

from loopcraft.core.errors import UserError
from loopcraft.walks.actions import Action, checked_actions
from loopcraft.worlds.base import Pose
from loopcraft.worlds.plaza.world import PLAZA
from loopcraft.worlds.voxel.physics import simulate
from loopcraft.worlds.voxel.render.renderer import Renderer
from loopcraft.worlds.voxel.render.scene import build_scene
from loopcraft.worlds.voxel.world import LAND as VOXEL
from loopcraft.worlds.voxel.world import VIEW_DISTANCE_BLOCKS, Land

SLACK_BLOCKS = 24
"""How far the agent walks before terrain is generated around it again."""

Seen = dict[str, np.ndarray]


class OpenWalk:
    """A walk in a block world whose actions are not known in advance: one tick and one frame at a time.

    Every tick simulates the path again from its start: 1024 ticks take well under a millisecond.
    """

    def __init__(self, land: Land, seed: int, renderer: Renderer) -> None:
        self._land, self._seed, self._renderer = land, seed, renderer
        self._sky, self._start = land.make_sky(seed), land.find_start(seed)
        self._actions: list[int] = []
        self.pose = Pose(*self._start, 0.0)
        self._build_ground(np.array([self._start]))
        self._build_scene()

    def step(self, action: int) -> None:
        """Play one tick."""
        self._actions.append(action)
        while True:
            ground, actions = self._ground, np.array(self._actions, np.int8)
            poses, num_played = simulate(ground.blocks, self._start, actions, x0=ground.x0, z0=ground.z0)
            if num_played == len(actions):
                break
            self._build_ground(poses[:num_played])
        self.pose = Pose(*poses[-1].tolist())

    def draw(self) -> UInt8[np.ndarray, "H W 3"]:
        """Render the current view."""
        if max(abs(self.pose.x - self._centre.x), abs(self.pose.z - self._centre.z)) > SLACK_BLOCKS:
            self._build_scene()
        return self._renderer.render(self._scene, self._sky, self.pose)

    def _build_ground(self, poses: Float64[np.ndarray, "T _"]) -> None:
        """Generate the blocks that the path touches, with a margin for further steps."""
        self._ground = self._land.region_around(self._seed, poses, 2 * SLACK_BLOCKS)

    def _build_scene(self) -> None:
        """Build the scene that is visible from here and from up to `SLACK_BLOCKS` away."""
        self._centre = self.pose
        reach = VIEW_DISTANCE_BLOCKS + SLACK_BLOCKS
        self._scene = build_scene(self._land.region_around(self._seed, np.array([self.pose]), reach))


class BlockEnv(gymnasium.Env[Seen, np.int64]):
    """Base environment: actions FORWARD 0, LEFT 1, RIGHT 2; an observation holds "frame" and "pose".

    frame  uint8 (resolution, resolution, 3)
    pose   float64 (5,): x, y, z in blocks, yaw in [-180, 180) and pitch in degrees
    """

    metadata = {"render_modes": ["rgb_array"], "render_fps": 20}  # noqa: RUF012  # Gymnasium's convention

    land: Land

    def __init__(self, *, resolution: int = 256, quality: str = "default", render_mode: str | None = None):
        self.render_mode = render_mode
        self.action_space = spaces.Discrete(len(Action))
        limits = np.array([np.inf, np.inf, np.inf, 180.0, 90.0])
        # Gymnasium's Dict is a Space of dict[str, Any]; ours holds arrays.
        self.observation_space: spaces.Space[Seen] = spaces.Dict(  # type: ignore[assignment]
            frame=spaces.Box(0, 255, (resolution, resolution, 3), np.uint8),
            pose=spaces.Box(-limits, limits, dtype=np.float64),
        )
        self._renderer = Renderer(resolution=resolution, quality=quality, view_distance=VIEW_DISTANCE_BLOCKS)

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Seen, dict[str, Any]]:
        """Start in the next world, or in that of `options["world_seed"]`; info holds the seed.

        Raises `UserError` for an invalid seed.
        """
        super().reset(seed=seed)
        drawn = int(self.np_random.integers(2**63))
        world_seed = (options or {}).get("world_seed", drawn)
        if not isinstance(world_seed, (int, np.integer)) or not 0 <= world_seed < 2**63:
            raise UserError(f"world_seed {world_seed!r}: choose an integer from 0 to 2**63 - 1")
        self._walk = OpenWalk(self.land, int(world_seed), self._renderer)
        return self._observe(), {"world_seed": world_seed}

    def step(self, action: np.int64) -> tuple[Seen, float, bool, bool, dict[str, Any]]:
        """Play one tick, a twentieth of a second; raises `UserError` for an invalid action."""
        (checked,) = checked_actions([action])
        self._walk.step(int(checked))
        return self._observe(), 0.0, False, False, {}

    def render(self) -> UInt8[np.ndarray, "H W 3"] | None:
        """Return the frame of the last observation in mode "rgb_array", else None."""
        return self._frame if self.render_mode == "rgb_array" else None

    def _observe(self) -> Seen:
        self._frame = self._walk.draw()
        return {"frame": self._frame, "pose": np.array(self._walk.pose, np.float64)}


class VoxelEnv(BlockEnv):
    """The world voxel-v1."""

    land = VOXEL


class PlazaEnv(BlockEnv):
    """The world plaza-v1."""

    land = PLAZA
