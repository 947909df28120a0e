"""What the world asks of an environment, and how the real one is made.

MineRL keeps the interface of gym 0.19: `seed` before `reset`, and `step` returns (observation, reward, done,
info). An environment is made and used in one child process (see child.py).
"""

from collections.abc import Callable
from typing import Any, Protocol

import numpy as np

from loopcraft.worlds.minerl.options import OVERSAMPLING


class Environment(Protocol):
    """The part of MineRL's single-agent environment that is used."""

    def seed(self, seed: int) -> None:
        """Choose the world of the next `reset`."""

    def reset(self) -> dict[str, Any]:
        """Build the world and return the first observation: "pov" and "location_stats"."""

    def step(self, action: dict[str, object]) -> tuple[dict[str, Any], float, bool, dict[str, Any]]:
        """Play one tick."""

    def close(self) -> None:
        """End the game."""


EnvironmentFactory = Callable[[int], Environment]
"""Makes the environment whose frames give a resolution; sent to another process, so it must pickle."""


def make_environment(resolution: int) -> Environment:
    """The real game, drawing `OVERSAMPLING` times `resolution` pixels a side; it starts when first reset."""
    restore_numpy_names()
    from loopcraft.worlds.minerl.specification import LoopcraftSpecification

    environment: Environment = LoopcraftSpecification(OVERSAMPLING * resolution).make()
    return environment


def restore_numpy_names() -> None:
    """Give numpy back the aliases that minerl 0.4.4 uses and numpy 1.24 removed."""
    for name, kind in {"float": float, "int": int, "bool": bool}.items():
        if not hasattr(np, name):
            setattr(np, name, kind)
