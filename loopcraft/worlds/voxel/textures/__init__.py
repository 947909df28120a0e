"""Block textures of the voxel world: 16 x 16 pixel art, drawn by code."""

from loopcraft.worlds.voxel.textures.atlas import PAINTERS, draw_textures
from loopcraft.worlds.voxel.textures.mips import mip_chain

__all__ = ["PAINTERS", "draw_textures", "mip_chain"]
