"""Frames to latents and back, and latents on disk."""
