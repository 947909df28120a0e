"""The benchmark: scores a model on a data set and compares results.

    result = benchmark.evaluate(MyModel(), "data/test", metrics=["psnr", "ssim"])

Functions are loaded on first use, so importing the package is cheap.
"""

from typing import Any

from loopcraft.core.extras import explain_missing

_FUNCTIONS = ("evaluate", "compare", "check_model")
__all__ = ["check_model", "compare", "evaluate"]  # provided by __getattr__

explain_missing("benchmark")


def __getattr__(name: str) -> Any:
    if name in _FUNCTIONS:
        from benchmark import library

        return getattr(library, name)
    raise AttributeError(f"module 'benchmark' has no attribute {name!r}")
