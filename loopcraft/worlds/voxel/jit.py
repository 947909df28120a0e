"""The decorators of the voxel world's kernels: the project's own."""

from loopcraft.jit import inlined, kernel

__all__ = ["inlined", "kernel"]
