"""The device and precision of a model."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import TypeVar

import torch

from benchmark.contract.precision import Precision

Item = TypeVar("Item")


@dataclass(frozen=True, kw_only=True)
class Compute:
    """The device of a model's inputs and the dtype of torch's autocast.

    float32 disables autocast. The model may choose its own dtypes either way.
    """

    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    precision: Precision = "float32"

    def autocast(self, items: Iterator[Item]) -> Iterator[Item]:
        """Yield the items, computing each under autocast."""
        enabled = self.precision != "float32"
        dtype = getattr(torch, self.precision)
        return draw_within(items, lambda: torch.autocast(self.device.type, dtype=dtype, enabled=enabled))


def draw_within(
    items: Iterator[Item], make_context: Callable[[], AbstractContextManager[object]]
) -> Iterator[Item]:
    """Yield the items, computing each in a new context; the caller's code between them runs outside."""
    while True:
        with make_context():
            try:
                item = next(items)
            except StopIteration:
                return
        yield item
