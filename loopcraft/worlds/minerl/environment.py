"""The interface of an environment, and the factory of the real one.

MineRL has the interface of gym 0.19: `seed` before `reset`, and `step` returns (observation, reward, done,
info). An environment is made and used in a single child process (see child.py).
"""

from collections.abc import Callable
from typing import Any, Protocol

import numpy as np

from loopcraft.worlds.minerl.options import OVERSAMPLING


class Environment(Protocol):
    """The part of MineRL's single-agent environment that is used."""

    def seed(self, seed: int) -> None:
        """Set the seed of the world that the next `reset` builds."""

    def reset(self) -> dict[str, Any]:
        """Build the world and return the first observation: "pov" and "location_stats"."""

    def step(self, action: dict[str, object]) -> tuple[dict[str, Any], float, bool, dict[str, Any]]:
        """Play one tick."""

    def close(self) -> None:
        """End the game."""


EnvironmentFactory = Callable[[int], Environment]
"""Makes the environment for a resolution of the world; must be picklable, as the child process calls it."""


def make_environment(resolution: int) -> Environment:
    """Make the real game, with frames of `OVERSAMPLING * resolution` pixels; it starts at the first reset."""
    restore_numpy_names()
    from loopcraft.worlds.minerl.specification import LoopcraftSpecification

    environment: Environment = LoopcraftSpecification(OVERSAMPLING * resolution).make()
    return environment


def restore_numpy_names() -> None:
    """Restore the aliases that minerl 0.4.4 uses and numpy 1.24 removed."""
    for name, kind in {"float": float, "int": int, "bool": bool}.items():
        if not hasattr(np, name):
            setattr(np, name, kind)
