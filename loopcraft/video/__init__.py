"""Frames to H.264 and back, exact to the frame."""
