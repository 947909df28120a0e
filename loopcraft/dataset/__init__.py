"""The data set on disk and on the Hub: opened, read, listed, audited.

    from loopcraft.dataset import open_dataset

What is for users is here by name and loaded when first asked for.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from loopcraft.dataset.reader import Episode, LoopcraftDataset, open, open_dataset

__all__ = ["Episode", "LoopcraftDataset", "open", "open_dataset"]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from loopcraft.dataset import reader

    return getattr(reader, name)
