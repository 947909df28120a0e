"""A look at a few episodes before hours go into all: would scores on this data set mean what they say?

`python -m loopcraft.verify` checks every byte; this takes no time and finds what would make all scores wrong.
"""

from collections.abc import Iterator, Sequence

from loopcraft.core.errors import UserError
from loopcraft.dataset import LoopcraftDataset
from loopcraft.dataset.audit import is_misaligned, shift_of_actions
from loopcraft.video.h264 import count_frames

LOOKED_AT = 3
"""Episodes: the first, the last and those between them."""


def check_data(dataset: LoopcraftDataset, keys: Sequence[str]) -> Iterator[str]:
    """Warnings about what may be meant so.

    Raises `UserError` where a video's length, an action or the place of the actions cannot be right.
    """
    for place in sorted({round(part * (len(keys) - 1) / max(LOOKED_AT - 1, 1)) for part in range(LOOKED_AT)}):
        key = keys[place]
        path, expected = dataset.video_path(key), dataset.num_frames(key)
        found = count_frames(path)
        if found != expected:
            raise UserError(
                f"{path}: holds {found} frames and the index says {expected}, so frames and actions do not "
                f"belong together; {_remedy(dataset)}"
            )
        yaw_deg, actions = dataset.states(key)[:, 4], dataset.actions(key)
        shift = shift_of_actions(yaw_deg, actions)
        if shift:
            where = f"{abs(shift)} rows {'further down' if shift > 0 else 'further up'}"
            raise UserError(
                f"{dataset.states_path(key)}: every turn of yaw is that of the action {where}, but row t "
                f"must hold the action that made frame t; {_remedy(dataset)}"
            )
        if is_misaligned(yaw_deg, actions):
            yield f"{dataset.states_path(key)}: some turn of yaw is not its own action's; {_remedy(dataset)}"


def _remedy(dataset: LoopcraftDataset) -> str:
    return f"python -m loopcraft.verify {dataset.root} lists all that is wrong"
