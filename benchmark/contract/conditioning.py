"""What a model may be told of the frames that it generates."""

from typing import Literal

POSES: Literal["poses"] = "poses"

Conditioning = tuple[Literal["actions", "poses"], ...]
"""("actions",), which is usual, or ("actions", "poses")."""

ACTIONS: Conditioning = ("actions",)
ACTIONS_AND_POSES: Conditioning = ("actions", POSES)
