"""The inputs that can condition a model's frames."""

from typing import Literal

POSES: Literal["poses"] = "poses"

Conditioning = tuple[Literal["actions", "poses"], ...]
"""("actions",), the default, or ("actions", "poses")."""

ACTIONS: Conditioning = ("actions",)
ACTIONS_AND_POSES: Conditioning = ("actions", POSES)
