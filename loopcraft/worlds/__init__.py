"""Worlds in which walks are played: one protocol, several engines, selected by name."""

from contextlib import AbstractContextManager
from typing import cast

from loopcraft.core.errors import UserError
from loopcraft.worlds.base import SurfaceWorld, World
from loopcraft.worlds.registry import WorldSpec, world_ids, world_spec, worlds_that

__all__ = ["WorldSpec", "make_surface_world", "make_world", "world_ids", "world_spec"]


def make_world(
    world_id: str,
    *,
    resolution: int,
    quality: str = "default",
    turns: AbstractContextManager[object] | None = None,
) -> World:
    """Make the world `world_id`, rendering square frames of `resolution` pixels.

    Raises `UserError` for an unknown world or quality, or a resolution that the world cannot render. Engines
    are imported on first use. `turns` is for worlds that share a machine: see `MineRLWorld`.
    """
    spec = world_spec(world_id)
    world: World = spec.load(spec.factory)(resolution=resolution, quality=quality, turns=turns)
    return world


def make_surface_world(world_id: str, *, resolution: int) -> SurfaceWorld:
    """Make the world `world_id` for its surfaces: which block face each pixel shows.

    Its frames have low quality or are black. Raises `UserError` if the world does not know its surfaces.
    """
    spec = world_spec(world_id)
    if not spec.knows_surfaces:
        able = ", ".join(worlds_that("knows_surfaces"))
        raise UserError(f"world {world_id!r} cannot tell which block face a pixel shows; these can: {able}")
    return cast(SurfaceWorld, make_world(world_id, resolution=resolution, quality=spec.surface_quality))
