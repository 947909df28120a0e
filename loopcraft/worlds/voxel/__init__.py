"""The built-in block world `voxel-v1`: terrain, physics and a CPU renderer."""
