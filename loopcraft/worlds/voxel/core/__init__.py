"""Building blocks of the voxel world: the block table, noise, packed colours."""
