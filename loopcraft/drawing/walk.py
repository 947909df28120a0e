"""Walks seen from above: north (-z) is up and east (+x) is right, as in Minecraft; yaw 0 looks south."""

import numpy as np
from jaxtyping import Float

LEAST_BLOCKS = 8.0
"""Minimum side of the ground that is shown."""


def headings(yaw_deg: Float[np.ndarray, " T"]) -> Float[np.ndarray, "T 2"]:
    """Return the unit vector (x, z) of the view direction of each yaw."""
    yaw = np.radians(yaw_deg)
    return np.stack([-np.sin(yaw), np.cos(yaw)], axis=-1)


def fit_walk(
    ground: Float[np.ndarray, "T 2"], left: float, top: float, side: float, margin: float
) -> Float[np.ndarray, "T 2"]:
    """Map positions (x, z) in blocks to pixels (x, y): the walk fills a square but for a margin in pixels."""
    center = (ground.min(axis=0) + ground.max(axis=0)) / 2
    blocks = max(float(np.ptp(ground, axis=0).max()), LEAST_BLOCKS)
    middle = np.array([left, top]) + side / 2
    pixels: Float[np.ndarray, "T 2"] = middle + (ground - center) * (side - 2 * margin) / blocks
    return pixels
