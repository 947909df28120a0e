"""What a run says before it starts about scores by what was shown: what is left out, and why."""

from collections.abc import Iterator, Sequence

from benchmark.contract.protocol import RECALL_PROTOCOLS, EvaluationProtocol
from benchmark.harness.recall_scores import why_no_masks
from loopcraft.core.errors import UserError
from loopcraft.dataset import LoopcraftDataset


def recall_notices(
    dataset: LoopcraftDataset, keys: Sequence[str], protocol: EvaluationProtocol
) -> Iterator[str]:
    """A sentence for whatever is missing; nothing where every video has masks for this protocol.

    Raises `UserError` for masks that do not fit the frames, and where a protocol of recall meets masks of
    another context. The masks of one episode are read.
    """
    is_for_recall = protocol.id in RECALL_PROTOCOLS
    masked = [key for key in keys if dataset.masks_path(key).exists()]
    if reason := why_no_masks(dataset, masked[:1] or keys, protocol):
        if is_for_recall and masked and dataset.num_context != protocol.context:
            raise UserError(f"{dataset.root}: {reason}; choose the --protocol that fits, or another data set")
        yield f"scores by what was shown are left out: {reason}"
    elif len(masked) < len(keys):
        yield (
            f"scores by what was shown are those of {len(masked)} of {len(keys)} videos, as the others have "
            f"no recall masks: python -m loopcraft.masks {dataset.root} makes them"
        )
    if is_for_recall and not _is_realised(dataset):
        yield (
            f"{protocol.id} is meant for a test set of python -m loopcraft.generate --select realised, and "
            f"{dataset.root} was not chosen like that: its horizons may see less of the context again"
        )


def _is_realised(dataset: LoopcraftDataset) -> bool:
    return dataset.manifest is not None and dataset.manifest["generator"].get("select") == "realised"
