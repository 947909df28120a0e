"""The trainer: from frames, latents or the voxel world itself to checkpoints that the benchmark runs."""
