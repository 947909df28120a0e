"""Conversion between frames and latents, and latents on disk."""
