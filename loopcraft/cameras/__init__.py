"""Poses and actions in the formats of other models: camera matrices, rays, 25-entry action vectors."""

from loopcraft.cameras.matrices import (
    FIELD_OF_VIEW_DEG,
    camera_to_world,
    intrinsics,
    plucker_rays,
    project,
    world_to_camera,
)
from loopcraft.cameras.vpt_actions import VPT_ENTRIES, vpt_actions

__all__ = [
    "FIELD_OF_VIEW_DEG",
    "VPT_ENTRIES",
    "camera_to_world",
    "intrinsics",
    "plucker_rays",
    "project",
    "vpt_actions",
    "world_to_camera",
]
