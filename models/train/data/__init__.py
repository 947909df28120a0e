"""What a run learns from: episodes, the pool they wait in, windows of latents."""
