"""Check a few episodes before a run for faults of the data set that would make all its scores wrong.

This takes almost no time; `python -m loopcraft.verify` checks every byte.
"""

from collections.abc import Iterator, Sequence

from loopcraft.core.errors import UserError
from loopcraft.dataset import LoopcraftDataset
from loopcraft.dataset.audit import is_misaligned, shift_of_actions
from loopcraft.video.h264 import count_frames

NUM_CHECKED = 3
"""Episodes to check, evenly spaced from the first to the last."""


def check_data(dataset: LoopcraftDataset, keys: Sequence[str]) -> Iterator[str]:
    """Yield warnings about what may be intended.

    Raises `UserError` if a video's length, an action or the alignment of the actions cannot be right.
    """
    for index in sorted({round(part * (len(keys) - 1) / (NUM_CHECKED - 1)) for part in range(NUM_CHECKED)}):
        key = keys[index]
        path, expected = dataset.video_path(key), dataset.num_frames(key)
        count = count_frames(path)
        if count != expected:
            raise UserError(
                f"{path}: holds {count} frames but the index says {expected}, so frames and actions do not "
                f"match; {_remedy(dataset)}"
            )
        yaw_deg, actions = dataset.states(key)[:, 4], dataset.actions(key)
        shift = shift_of_actions(yaw_deg, actions)
        if shift:
            offset = f"{abs(shift)} rows {'further down' if shift > 0 else 'further up'}"
            raise UserError(
                f"{dataset.states_path(key)}: every turn of yaw belongs to the action {offset}, but row t "
                f"must hold the action that led to frame t; {_remedy(dataset)}"
            )
        if is_misaligned(yaw_deg, actions):
            path = dataset.states_path(key)
            yield f"{path}: some turn of yaw does not match its row's action; {_remedy(dataset)}"


def _remedy(dataset: LoopcraftDataset) -> str:
    return f"python -m loopcraft.verify {dataset.root} lists all faults"
