"""Estimate the agent's pose from its actions alone, by dead reckoning on open, flat ground.

A turn tick is 10 degrees and a forward tick a push with the player's momentum, so the error grows only where
an obstacle stops the agent. The published models do not use odometry: the network integrates the actions
itself, for which small models get too little training.
"""

import math

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor
from torch.nn import functional

from loopcraft.walks.actions import TURN_DEGREES_PER_TICK, Action

BLOCKS_PER_TICK = 0.19
"""Speed of a player who hops and walks continuously."""
KEPT_PER_TICK = 0.87
"""Fraction of the speed that is kept from one tick to the next: the player slides and starts slowly."""
MEMORY_TICKS = 64
"""Length of the momentum filter; a ten-thousandth of the speed is left by then."""
YAW_HARMONICS = (1, 2, 4, 8)
WAVELENGTHS_BLOCKS = (2, 4, 8, 16, 32, 64)
NUM_POSE_FEATURES = 2 * (len(YAW_HARMONICS) + 2 * len(WAVELENGTHS_BLOCKS))


def dead_reckoning(actions: Int64[Tensor, "B T"]) -> Float[Tensor, "B T 3"]:
    """Return the pose after each action: x and y in blocks, yaw in radians, positive to the right.

    The agent starts at the origin, facing +y.
    """
    turns = (actions == Action.RIGHT).long() - (actions == Action.LEFT).long()
    yaw_rad = math.radians(TURN_DEGREES_PER_TICK) * turns.cumsum(1)
    push = BLOCKS_PER_TICK * (actions == Action.FORWARD) * torch.stack([yaw_rad.sin(), yaw_rad.cos()])
    response = KEPT_PER_TICK ** torch.arange(MEMORY_TICKS, device=actions.device).flip(0)
    padded = functional.pad(push, (MEMORY_TICKS - 1, 0)).unfold(-1, MEMORY_TICKS, 1)
    # A sum instead of a matrix product, which may run at reduced precision.
    velocity = (padded * ((1 - KEPT_PER_TICK) * response)).sum(-1)
    return torch.cat([velocity.cumsum(-1), yaw_rad[None]]).movedim(0, -1)


def relative_poses(origin: Float[Tensor, "B 1 3"], poses: Float[Tensor, "B n 3"]) -> Float[Tensor, "B n 3"]:
    """Return the poses relative to `origin`: blocks to the right, blocks ahead, yaw to the right."""
    east, north, yaw_rad = (poses - origin).unbind(-1)
    sine, cosine = origin[..., 2].sin(), origin[..., 2].cos()
    return torch.stack([east * cosine - north * sine, east * sine + north * cosine, yaw_rad], -1)


def token_poses(
    actions: Int64[Tensor, "B T"], frame: Int64[Tensor, "B n"], target: Bool[Tensor, "B n"]
) -> Float[Tensor, "B n 3"]:
    """Return the pose of every token's frame relative to the first frame with a target.

    `actions` cover whole videos (or clips); `frame` indexes into them.
    """
    poses = dead_reckoning(actions)
    first = torch.where(target, frame, actions.shape[1]).amin(1, keepdim=True)
    of_frame, origin = (poses.gather(1, index[..., None].expand(-1, -1, 3)) for index in (frame, first))
    return relative_poses(origin, of_frame)


def pose_features(poses: Float[Tensor, "*shape 3"]) -> Float[Tensor, "*shape features"]:
    """Return sines and cosines of the yaw at four harmonics and of both coordinates at six wavelengths."""
    right, ahead, yaw_rad = poses.unbind(-1)
    waves = [2 * math.pi / length for length in WAVELENGTHS_BLOCKS]
    angles = torch.stack(
        [
            *(yaw_rad * harmonic for harmonic in YAW_HARMONICS),
            *(right * wave for wave in waves),
            *(ahead * wave for wave in waves),
        ],
        dim=-1,
    )
    return torch.cat([angles.sin(), angles.cos()], -1)
