"""Where a model computes, and how precisely."""

from collections.abc import Iterator
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
        """Draw items under autocast; what is done with them between draws is not under it."""
        enabled = self.precision != "float32"
        dtype = getattr(torch, self.precision)
        while True:
            with torch.autocast(self.device.type, dtype=dtype, enabled=enabled):
                try:
                    item = next(items)
                except StopIteration:
                    return
            yield item
