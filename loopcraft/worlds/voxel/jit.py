"""How the kernels of the voxel world are compiled: without fast-math, so that every machine gets the same bytes."""

from numba import njit

kernel = njit(cache=True, error_model="numpy")
"""A function called from Python or from another kernel."""

inlined = njit(cache=True, error_model="numpy", forceinline=True)
"""A step of a kernel's inner loop: always compiled into its caller."""
