"""Roll a model out over episodes and yield checked 8-bit blocks of the horizon.

Each chunk is checked and quantised as soon as the model yields it (`benchmark/sources/chunks.py`); the result
is what is scored and stored. Memory is bounded by one chunk and one block per video.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial

import numpy as np
import torch
from jaxtyping import UInt8
from torch import Tensor

from benchmark.contract.compute import Compute
from benchmark.contract.conditioning import POSES
from benchmark.contract.data import Episodes, load_actions, load_frames, load_poses, to_array, to_tensor
from benchmark.contract.model import FrameSource, Inputs, RolloutModel, conditioning_of, start_rollout
from benchmark.contract.protocol import EvaluationProtocol
from benchmark.sources.chunks import check_chunks, guard_rollout
from loopcraft.core.cli import describe_os_error
from loopcraft.core.errors import UserError
from loopcraft.core.seeding import integer_seed

BLOCK = 64
"""Frames that are scored at a time, regardless of the model's chunks."""


def rollout_blocks(
    model: FrameSource,
    episodes: Episodes,
    protocol: EvaluationProtocol,
    keys: Sequence[str],
    *,
    seed: int,
    compute: Compute,
) -> Iterator[UInt8[np.ndarray, "B n H W 3"]]:
    """Yield the horizons of the videos `keys` in blocks of `BLOCK` frames (the last may be shorter).

    Raises `ContractError` if the model yields anything but the frames of its contract.
    """
    first = episodes.frames(keys[0], 0, 1)
    start = partial(_start, model, episodes, protocol, keys, seed=seed, device=compute.device)
    expected = (len(keys), protocol.horizon, 3, *first.shape[1:3])
    chunks = check_chunks(guard_rollout(model.name, start, compute), expected)
    return _blocks(map(to_array, chunks), protocol.horizon)


def context_frames(model: FrameSource, protocol: EvaluationProtocol) -> int:
    """Return the number of context frames that the model is given."""
    return min(int(model.max_context), protocol.context) if isinstance(model, RolloutModel) else 0


def video_seed(seed: int, key: str) -> int:
    """Return a video's seed, which depends only on the run's seed and the video's key."""
    return integer_seed(seed, "rollout", *key.encode())


def _start(
    model: FrameSource,
    episodes: Episodes,
    protocol: EvaluationProtocol,
    keys: Sequence[str],
    *,
    seed: int,
    device: torch.device,
) -> Iterator[Tensor]:
    with _blame_files():
        if not isinstance(model, RolloutModel):
            yield from model.play(episodes, protocol, keys)
            return
        inputs = model_inputs(model, episodes, protocol, keys).to(device)
    yield from start_rollout(model, inputs, [video_seed(seed, key) for key in keys])


@contextmanager
def _blame_files() -> Iterator[None]:
    """Raise `UserError` for an `OSError`: an unreadable file is not the model's fault."""
    try:
        yield
    except OSError as error:
        raise UserError(describe_os_error(error)) from error


def model_inputs(
    model: RolloutModel,
    episodes: Episodes,
    protocol: EvaluationProtocol,
    keys: Sequence[str],
) -> Inputs:
    """Return the context frames, and the actions (and poses, if requested) of context and horizon."""
    start, stop = protocol.context - context_frames(model, protocol), protocol.num_frames
    asks_for_poses = POSES in conditioning_of(model)
    return Inputs(
        context=to_tensor(load_frames(episodes, keys, start, protocol.context)),
        actions=torch.from_numpy(load_actions(episodes, keys, start, stop)),
        poses=torch.from_numpy(load_poses(episodes, keys, start, stop)) if asks_for_poses else None,
    )


def _blocks(
    chunks: Iterator[UInt8[np.ndarray, "B n H W 3"]], horizon: int
) -> Iterator[UInt8[np.ndarray, "B n H W 3"]]:
    """Regroup chunks of any lengths into blocks of `BLOCK` frames."""
    parts: list[np.ndarray] = []
    start = num_held = 0
    for chunk in chunks:
        while chunk.shape[1]:
            room = min(BLOCK, horizon - start) - num_held
            parts.append(chunk[:, :room])
            num_held += parts[-1].shape[1]
            chunk = chunk[:, room:]
            if num_held == min(BLOCK, horizon - start):
                yield np.concatenate(parts, axis=1)
                start, num_held, parts = start + num_held, 0, []
