"""Reference models: MilliVid, its baselines and its ablations.

    model = models.load("millivid", checkpoint="published")

`load` is imported on first use, so importing the package is cheap.
"""

from typing import Any

from loopcraft.core.extras import explain_missing

__all__ = ["load"]  # resolved by __getattr__

explain_missing("models")


def __getattr__(name: str) -> Any:
    if name == "load":
        from models.zoo.world_models import load

        return load
    raise AttributeError(f"module 'models' has no attribute {name!r}")
