"""Play a model over episodes: context and actions in, checked 8-bit blocks of the horizon out, as they come.

Everything that a model yields is checked here and quantised once: floating values are rounded to the nearest
of the 256 levels (half to even), never truncated, and the result is what is scored and stored. It is copied
as it comes: a model may fill one buffer again and again. Memory is bounded by a chunk and a block a video.
"""

from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from functools import partial

import numpy as np
import torch
from jaxtyping import UInt8
from torch import Tensor

from benchmark.contract.compute import Compute
from benchmark.contract.conditioning import POSES
from benchmark.contract.data import Episodes, load_actions, load_frames, load_poses, to_array, to_tensor
from benchmark.contract.model import (
    ContractError,
    FrameSource,
    Inputs,
    RolloutModel,
    conditioning_of,
    start_rollout,
)
from benchmark.contract.protocol import EvaluationProtocol
from benchmark.sources import exits
from benchmark.sources.machine import failure_of
from loopcraft.core.cli import describe_os_error
from loopcraft.core.errors import UserError
from loopcraft.core.seeding import integer_seed

BLOCK = 64
"""Frames of the horizon that are scored at a time, however a model chunks them."""


def rollout_blocks(
    model: FrameSource,
    episodes: Episodes,
    protocol: EvaluationProtocol,
    keys: Sequence[str],
    *,
    seed: int,
    compute: Compute,
) -> Iterator[UInt8[np.ndarray, "B n H W 3"]]:
    """The horizon of each of `keys` in blocks of `BLOCK` frames (the last may be shorter).

    Raises `ContractError` when the model yields anything but the promised frames.
    """
    first = episodes.frames(keys[0], 0, 1)
    start = partial(_start, model, episodes, protocol, keys, seed=seed, device=compute.device)
    expected = (len(keys), protocol.horizon, 3, *first.shape[1:3])
    return _blocks(map(to_array, checked(guarded(model.name, start, compute), expected)), protocol.horizon)


def context_frames(model: FrameSource, protocol: EvaluationProtocol) -> int:
    """How much of the protocol's context the model is given."""
    return min(int(model.max_context), protocol.context) if isinstance(model, RolloutModel) else 0


def video_seed(seed: int, key: str) -> int:
    """A video's own seed: it depends on nothing but the run's seed and the video's key."""
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
    with _reading():
        if not isinstance(model, RolloutModel):
            yield from model.play(episodes, protocol, keys)
            return
        inputs = model_inputs(model, episodes, protocol, keys).to(device)
    yield from start_rollout(model, inputs, [video_seed(seed, key) for key in keys])


@contextmanager
def _reading() -> Iterator[None]:
    """What is wrong with files that are looked up is theirs, and no model's."""
    try:
        yield
    except OSError as error:
        raise UserError(describe_os_error(error)) from error


@torch.inference_mode()
def guarded(name: str, start: Callable[[], Iterator[Tensor]], compute: Compute) -> Generator[Tensor]:
    """The chunks of the model `name`: its exceptions become `ContractError`s unless meant for the user.

    Where the machine is at fault and not the model, they become `MachineError`s. A model that would end the
    process (sys.exit) has failed.
    """
    try:
        yield from compute.autocast(exits.refused_between(start))
    except (UserError, KeyboardInterrupt, GeneratorExit):
        raise
    except exits.ModelExitError as error:
        raise ContractError(f"{name}: {error}") from error
    except BaseException as error:
        raise failure_of(name, error) from error


def model_inputs(
    model: RolloutModel,
    episodes: Episodes,
    protocol: EvaluationProtocol,
    keys: Sequence[str],
) -> Inputs:
    """What a model gets of some videos: of the future the actions, and the poses if it asked for them."""
    start, stop = protocol.context - context_frames(model, protocol), protocol.num_frames
    asks_for_poses = POSES in conditioning_of(model)
    return Inputs(
        context=to_tensor(load_frames(episodes, keys, start, protocol.context)),
        actions=torch.from_numpy(load_actions(episodes, keys, start, stop)),
        poses=torch.from_numpy(load_poses(episodes, keys, start, stop)) if asks_for_poses else None,
    )


def checked(chunks: Iterator[Tensor], expected: tuple[int, ...]) -> Iterator[UInt8[Tensor, "B n 3 H W"]]:
    """Quantise chunk by chunk until the horizon, of shape `expected` (B, horizon, 3, H, W), is full.

    Raises `ContractError` where a chunk or their number is not as promised.
    """
    batch, horizon, *frame = expected
    received = 0
    for chunk in chunks:
        shape = tuple(chunk.shape) if isinstance(chunk, Tensor) else None
        if shape is None:
            raise ContractError(f"frame {received}: expected a torch.Tensor, got {type(chunk).__name__}")
        if len(shape) != 5 or shape[0] != batch or shape[1] < 1 or list(shape[2:]) != frame:
            raise ContractError(f"frame {received}: expected a chunk {(batch, 'n', *frame)}, got {shape}")
        if received + shape[1] > horizon:
            raise ContractError(f"too many frames: {received + shape[1]} of a horizon of {horizon}")
        yield quantise(chunk)
        received += shape[1]
    if received < horizon:
        raise ContractError(f"too few frames: {received} of a horizon of {horizon}")


def quantise(chunk: Tensor) -> UInt8[Tensor, "..."]:
    """The 8-bit levels nearest to values in [0, 1], in memory of their own; `ContractError` for the rest."""
    chunk = chunk.detach()
    if chunk.layout != torch.strided or chunk.is_meta:
        raise ContractError(f"expected frames in dense memory, got {chunk.layout} on {chunk.device}")
    if chunk.dtype == torch.uint8:
        return chunk.clone()
    if not chunk.dtype.is_floating_point:
        raise ContractError(f"expected uint8 or floating frames, got {chunk.dtype}")
    values = chunk.float()
    low, high = float(values.min()), float(values.max())
    if not np.isfinite(low + high):
        raise ContractError("frames hold NaN or infinite values")
    if low < 0.0 or high > 1.0:
        raise ContractError(
            f"frames hold values from {low:.4g} to {high:.4g}: rescale or clip them to [0, 1]"
        )
    return (values * 255.0).round().to(torch.uint8)


def _blocks(
    chunks: Iterator[UInt8[np.ndarray, "B n H W 3"]], horizon: int
) -> Iterator[UInt8[np.ndarray, "B n H W 3"]]:
    """Cut a stream of chunks of any lengths into blocks of `BLOCK` frames."""
    parts: list[np.ndarray] = []
    start = held = 0
    for chunk in chunks:
        while chunk.shape[1]:
            room = min(BLOCK, horizon - start) - held
            parts.append(chunk[:, :room])
            held += parts[-1].shape[1]
            chunk = chunk[:, room:]
            if held == min(BLOCK, horizon - start):
                yield np.concatenate(parts, axis=1)
                start, held, parts = start + held, 0, []
