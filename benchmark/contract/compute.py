"""Where a model computes, and how precisely."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import TypeVar

import torch

from benchmark.contract.precision import Precision

Item = TypeVar("Item")


@dataclass(frozen=True, kw_only=True)
class Compute:
    """The device that a model is given its inputs on, and the type that torch's autocast gives its products.

    float32 is torch without autocast: a model is free to choose its own types either way.
    """

    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    precision: Precision = "float32"

    def autocast(self, items: Iterator[Item]) -> Iterator[Item]:
        """Draw items under autocast."""
        enabled = self.precision != "float32"
        dtype = getattr(torch, self.precision)
        return drawn(items, lambda: torch.autocast(self.device.type, dtype=dtype, enabled=enabled))


def drawn(items: Iterator[Item], within: Callable[[], AbstractContextManager[object]]) -> Iterator[Item]:
    """Draw each item within a context of its own; what is done with it before the next one is not in it."""
    while True:
        with within():
            try:
                item = next(items)
            except StopIteration:
                return
        yield item
