"""Data sets on disk and on the Hub: opening, reading, listing and auditing.

    from loopcraft.dataset import open_dataset

Public names are loaded on first use.
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
