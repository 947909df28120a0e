"""Camera intrinsics, extrinsics and Plücker rays from poses.

World coordinates are those of the states file: x east, y up, z south, in blocks; right-handed. A pose is
(x, y, z, yaw_deg, pitch_deg) of the agent's feet; the camera is the eye, 1.62 blocks above. The camera's axes
follow one of two conventions:

opencv  x to the right, y down, z forwards
opengl  x to the right, y up, z backwards

Pixel coordinates are (x, y) from the upper left corner of the frame, so the centre of the pixel in row i and
column j is (j + 0.5, i + 0.5). Subtract 0.5 for libraries that put (0, 0) at a pixel's centre.

Results have the dtype and device of the poses.
"""

import math
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

FIELD_OF_VIEW_DEG = 70.0
"""Vertical and horizontal field of view, edge to edge: frames are square."""
EYE_HEIGHT_BLOCKS = 1.62

Convention = Literal["opencv", "opengl"]


def intrinsics(resolution: int) -> Float[Tensor, "3 3"]:
    """Return the matrix K, from OpenCV camera coordinates to pixels of a square frame, in float32."""
    focal = resolution / 2 / math.tan(math.radians(FIELD_OF_VIEW_DEG / 2))
    centre = resolution / 2
    return torch.tensor([[focal, 0.0, centre], [0.0, focal, centre], [0.0, 0.0, 1.0]])


def camera_to_world(
    poses: Float[Tensor, "*batch 5"], convention: Convention = "opencv"
) -> Float[Tensor, "*batch 4 4"]:
    """Return the matrices that take homogeneous points from camera to world coordinates."""
    yaw, pitch = torch.deg2rad(poses[..., 3]), torch.deg2rad(poses[..., 4])
    sin_yaw, cos_yaw, sin_pitch, cos_pitch = yaw.sin(), yaw.cos(), pitch.sin(), pitch.cos()
    right = torch.stack([-cos_yaw, torch.zeros_like(yaw), -sin_yaw], dim=-1)
    up = torch.stack([-sin_yaw * sin_pitch, cos_pitch, cos_yaw * sin_pitch], dim=-1)
    forward = torch.stack([-sin_yaw * cos_pitch, -sin_pitch, cos_yaw * cos_pitch], dim=-1)
    eye = poses[..., :3] + poses.new_tensor([0.0, EYE_HEIGHT_BLOCKS, 0.0])
    columns = (right, -up, forward, eye) if convention == "opencv" else (right, up, -forward, eye)
    last_row = poses.new_tensor([0.0, 0.0, 0.0, 1.0]).expand(*poses.shape[:-1], 1, 4)
    return torch.cat([torch.stack(columns, dim=-1), last_row], dim=-2)


def world_to_camera(
    poses: Float[Tensor, "*batch 5"], convention: Convention = "opencv"
) -> Float[Tensor, "*batch 4 4"]:
    """Return the inverse of `camera_to_world`, which most papers call extrinsics."""
    to_world = camera_to_world(poses, convention)
    to_camera = to_world.clone()
    to_camera[..., :3, :3] = to_world[..., :3, :3].mT
    to_camera[..., :3, 3:] = -to_camera[..., :3, :3] @ to_world[..., :3, 3:]
    return to_camera


def project(
    points: Float[Tensor, "*batch N 3"],
    to_camera: Float[Tensor, "*batch 4 4"],
    camera: Float[Tensor, "3 3"],
) -> tuple[Float[Tensor, "*batch N 2"], Float[Tensor, "*batch N"]]:
    """Return the pixel coordinates (x, y) of world points, and their depths in blocks (negative: behind).

    `to_camera` follows the OpenCV convention; `camera` is the matrix K.
    """
    local = points @ to_camera[..., :3, :3].mT + to_camera[..., None, :3, 3]
    pixels = local @ camera.to(local).mT
    return pixels[..., :2] / pixels[..., 2:], local[..., 2]


def plucker_rays(cameras: Float[Tensor, "*batch 4 4"], resolution: int) -> Float[Tensor, "*batch 6 H W"]:
    """Return the ray through every pixel's centre: its moment (eye x direction), then its unit direction.

    `cameras` are camera-to-world matrices in the OpenCV convention. For rays relative to the first of T
    cameras, pass `torch.linalg.inv(cameras[..., :1, :, :]) @ cameras`.
    """
    steps = torch.arange(resolution, dtype=cameras.dtype, device=cameras.device) + 0.5
    rows, columns = torch.meshgrid(steps, steps, indexing="ij")
    pixels = torch.stack([columns, rows, torch.ones_like(rows)]).flatten(1)  # (3, H * W)
    local = torch.linalg.inv(intrinsics(resolution).to(cameras)) @ pixels
    directions = cameras[..., :3, :3] @ (local / local.norm(dim=0))  # (*batch, 3, H * W)
    moments = torch.linalg.cross(cameras[..., :3, 3:].expand_as(directions), directions, dim=-2)
    rays = torch.cat([moments, directions], dim=-2)
    return rays.reshape(*rays.shape[:-1], resolution, resolution)
