"""Loopcraft: videos of an agent that revisits places, to test the memory of video world models.

    data = loopcraft.generate_dataset("data/test", split="test", num_episodes=100)
    data = loopcraft.open_dataset("data/test")
    world = loopcraft.make_world("plaza-v1", resolution=64)

Functions are loaded on first use, so importing the package is cheap.
"""

from typing import Any

from loopcraft.core.extras import explain_missing
from loopcraft.gym.environments import register_on_import

_FUNCTIONS = {
    "generate_dataset": "library",
    "open_dataset": "dataset",
    "make_world": "worlds",
    "UserError": "core.errors",
}
__all__ = ["UserError", "generate_dataset", "make_world", "open_dataset"]  # resolved by __getattr__

explain_missing("loopcraft")
register_on_import()


def __getattr__(name: str) -> Any:
    if name in _FUNCTIONS:
        from importlib import import_module

        return getattr(import_module(f"loopcraft.{_FUNCTIONS[name]}"), name)
    raise AttributeError(f"module 'loopcraft' has no attribute {name!r}")
