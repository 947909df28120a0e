"""The trainer: turns frames, latents or a simulated world into checkpoints that the benchmark runs."""
