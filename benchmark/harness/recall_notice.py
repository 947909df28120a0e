"""What a run says before it starts about scores by what was shown: what is left out, and why."""

from collections.abc import Iterator, Sequence

from benchmark.contract.data import frame_shape
from benchmark.contract.protocol import RECALL_PROTOCOLS, EvaluationProtocol
from loopcraft.core.errors import UserError
from loopcraft.dataset import LoopcraftDataset
from loopcraft.dataset.mask_files import DTYPES, spread
from loopcraft.worlds import world_ids, world_spec

LEFT_OUT = "scores by what was shown are left out"


def recall_notices(
    dataset: LoopcraftDataset, keys: Sequence[str], protocol: EvaluationProtocol
) -> Iterator[str]:
    """A sentence for whatever is missing; nothing where every video has masks for this protocol.

    Raises `UserError` for masks that do not fit the frames, and where a protocol of recall meets masks of
    another context. The masks of one episode are read.
    """
    masked = [key for key in keys if dataset.masks_path(key).exists()]
    if not masked:
        yield f"{LEFT_OUT}: {_why_none(dataset)}"
    elif dataset.num_context != protocol.context:
        reason = (
            f"the recall masks of {dataset.root} are for {dataset.num_context} frames of context, and "
            f"{protocol.id} gives {protocol.context}"
        )
        if protocol.id in RECALL_PROTOCOLS:
            raise UserError(f"{reason}: choose the --protocol that fits, or generate a set that fits it")
        yield f"{LEFT_OUT}: {reason}"
    elif lacking := _lacking(dataset, masked[0]):
        yield f"{LEFT_OUT}: {dataset.masks_path(masked[0])} lacks {lacking}"
    elif len(masked) < len(keys):
        yield (
            f"scores by what was shown are those of {len(masked)} of {len(keys)} videos, as the others have "
            f"no recall masks: python -m loopcraft.masks {dataset.root} makes them"
        )
    if protocol.id in RECALL_PROTOCOLS and not _is_realised(dataset):
        yield (
            f"{protocol.id} is meant for a test set of python -m loopcraft.generate --select realised, and "
            f"{dataset.root} was not chosen like that: its horizons may see less of the context again"
        )


def _why_none(dataset: LoopcraftDataset) -> str:
    world = dataset.world_id
    if world is None:
        return f"{dataset.root} has no recall masks and does not say in which world it was played"
    if world in world_ids() and not world_spec(world).knows_surfaces:
        return (
            f"{dataset.root} has no recall masks, as world {world!r} cannot tell which surface a pixel shows"
        )
    return f"{dataset.root} has no recall masks; python -m loopcraft.masks {dataset.root} makes them"


def _lacking(dataset: LoopcraftDataset, key: str) -> str:
    """Which arrays an episode's masks lack; raises `UserError`, naming the episode, if they fit no frame."""
    masks = dataset.masks(key)
    assert masks is not None
    _, height, width = frame_shape(dataset)
    spread(masks["seen"][:1], height, width, key)
    return " and ".join(name for name in DTYPES if name not in masks)


def _is_realised(dataset: LoopcraftDataset) -> bool:
    return dataset.manifest is not None and dataset.manifest["generator"].get("select") == "realised"
