"""Check the chunks that a model yields and convert them to 8 bits; turn its exceptions into `UserError`s.

Floating values are rounded to the nearest of the 256 levels (half to even), never truncated. Each chunk is
copied on arrival, so a model may reuse one buffer for all of them.
"""

from collections.abc import Callable, Generator, Iterator

import numpy as np
import torch
from jaxtyping import UInt8
from torch import Tensor

from benchmark.contract.compute import Compute
from benchmark.contract.model import ContractError
from benchmark.sources import exits
from benchmark.sources.machine import classify_failure
from loopcraft.core.errors import UserError

TOO_DARK = "no level above 1: uint8 frames hold 0 to 255, so values in [0, 1] must be floats or scaled by 255"
"""The note on frames that were cast to uint8 too early. They are scored as they are: almost black."""


@torch.inference_mode()
def guard_rollout(name: str, start: Callable[[], Iterator[Tensor]], compute: Compute) -> Generator[Tensor]:
    """Yield the chunks of the model `name`, turning its exceptions into `ContractError`s.

    A `UserError` passes through, and an exception that is the machine's fault becomes a `MachineError`.
    A model that tries to exit the process (sys.exit) has failed.
    """
    try:
        yield from compute.autocast(exits.forbid_exit_in_draws(start))
    except (UserError, KeyboardInterrupt, GeneratorExit):
        raise
    except exits.ModelExitError as error:
        raise ContractError(f"{name}: {error}") from error
    except BaseException as error:
        raise classify_failure(name, error) from error


def check_chunks(chunks: Iterator[Tensor], expected: tuple[int, ...]) -> Iterator[UInt8[Tensor, "B n 3 H W"]]:
    """Quantise the chunks of a horizon of shape `expected` (B, horizon, 3, H, W).

    Raises `ContractError` for a chunk of the wrong type or shape, and for too many or too few frames.
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
    """Return a copy in the nearest 8-bit levels; raises `ContractError` unless it is uint8 or in [0, 1]."""
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
