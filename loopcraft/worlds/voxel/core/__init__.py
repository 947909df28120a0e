"""What all of the voxel world is made of: blocks, noise, packed colours."""
