"""Training data: episodes, the pool that holds them, and windows of latents."""
