"""Actions as the 25-entry vectors that models of the VPT family take.

The entries are the 23 buttons of MineRL 1.0's action space (minerl.readthedocs.io), which OpenAI's Video
PreTraining uses (github.com/openai/Video-Pre-Training), and the mouse's pitch and yaw. Their order and names
are those of Open-Oasis: `cameraX` is pitch, `cameraY` is yaw. WorldMem has the same order and meaning, but
swaps these two names.
"""

import torch
from jaxtyping import Float32, Int64
from torch import Tensor

from loopcraft.walks.actions import TURN_DEGREES_PER_TICK, Action

VPT_ENTRIES = (
    "inventory",
    "ESC",
    *(f"hotbar.{slot}" for slot in range(1, 10)),
    "forward",
    "back",
    "left",
    "right",
    "cameraX",
    "cameraY",
    "jump",
    "sneak",
    "sprint",
    "swapHands",
    "attack",
    "use",
    "pickItem",
    "drop",
)
"""Names of the entries: 1 while a button is held; the camera's turn in this tick, right and down positive.

`left` and `right` are sidesteps, which our walks never take.
"""

_FORWARD, _YAW, _JUMP = (VPT_ENTRIES.index(name) for name in ("forward", "cameraY", "jump"))


def vpt_actions(
    actions: Int64[Tensor, "*batch T"], *, unit_deg: float = float(TURN_DEGREES_PER_TICK)
) -> Float32[Tensor, "*batch T 25"]:
    """Convert our actions to vectors: forward is held or the head turns by 10 degrees; jump is always held.

    `unit_deg` is the turn that counts as 1: by default 10 degrees, the largest of VPT's camera bins;
    Open-Oasis uses 20.
    """
    vectors = torch.zeros((*actions.shape, len(VPT_ENTRIES)), device=actions.device)
    turns = (actions == Action.RIGHT).float() - (actions == Action.LEFT).float()
    vectors[..., _FORWARD] = (actions == Action.FORWARD).float()
    vectors[..., _YAW] = turns * (TURN_DEGREES_PER_TICK / unit_deg)
    vectors[..., _JUMP] = 1.0
    return vectors
