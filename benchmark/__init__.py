"""The benchmark: a data set and a model in, one result file and a report out.

    result = benchmark.evaluate(MyModel(), "data/test", metrics=["psnr", "ssim"])

Functions are loaded when they are asked for, so that importing the package costs nothing.
"""

from typing import Any

from loopcraft.core.extras import explain_missing

_FUNCTIONS = ("evaluate", "compare", "check_model")
__all__ = ["check_model", "compare", "evaluate"]  # given by __getattr__

explain_missing("benchmark")


def __getattr__(name: str) -> Any:
    if name in _FUNCTIONS:
        from benchmark import library

        return getattr(library, name)
    raise AttributeError(f"module 'benchmark' has no attribute {name!r}")
