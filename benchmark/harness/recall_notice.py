"""Notices before a run about its recall scores: what is left out, and why."""

from collections.abc import Iterator, Sequence

from benchmark.contract.protocol import RECALL_PROTOCOLS, EvaluationProtocol
from benchmark.harness.recall_scores import explain_missing_masks
from loopcraft.core.errors import UserError
from loopcraft.dataset import LoopcraftDataset


def recall_notices(
    dataset: LoopcraftDataset, keys: Sequence[str], protocol: EvaluationProtocol
) -> Iterator[str]:
    """Yield a sentence for each thing that is missing; nothing if all videos have masks for this protocol.

    Reads the masks of one episode. Raises `UserError` if they do not fit the frames, or if a recall protocol
    has another context than the masks.
    """
    is_for_recall = protocol.id in RECALL_PROTOCOLS
    masked = [key for key in keys if dataset.masks_path(key).exists()]
    if reason := explain_missing_masks(dataset, masked[:1] or keys, protocol):
        if is_for_recall and masked and dataset.num_context != protocol.context:
            raise UserError(f"{dataset.root}: {reason}; choose a matching --protocol or another data set")
        yield f"recall scores are left out: {reason}"
    elif len(masked) < len(keys):
        yield (
            f"recall scores cover {len(masked)} of {len(keys)} videos, as the others have no recall masks; "
            f"python -m loopcraft.masks {dataset.root} adds them"
        )
    if is_for_recall and not _is_realised(dataset):
        yield (
            f"{protocol.id} is meant for test sets of python -m loopcraft.generate --select realised, and "
            f"{dataset.root} is not one: its horizons may show less of the context again"
        )


def _is_realised(dataset: LoopcraftDataset) -> bool:
    return dataset.manifest is not None and dataset.manifest["generator"].get("select") == "realised"
