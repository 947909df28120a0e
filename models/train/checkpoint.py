"""The state of a run on disk: the model that the benchmark loads, and then the state that a run goes on from.

MODEL.safetensors, what is shipped, is written first and MODEL.training.pt last: only the latter says how far
a run is. Killed between the two, a run goes on from the state of before; a shipped file that is lost, damaged
or of another step than the state is made again from it.

MODEL.training.pt holds the configuration, the step, the network, its average, and both optimisers. There is
no generator state to hold: every draw is keyed by (seed, purpose, step, process), and the place in the data
follows from the step; both are written for the reader.
"""

import pickle
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.optim.swa_utils import AveragedModel

from loopcraft.core.cli import describe_os_error
from loopcraft.core.errors import UserError
from loopcraft.core.files import whole_file
from models.checkpoints.format import describe_checkpoint, save_checkpoint
from models.train.config import TrainingConfig, differences

FORMAT = "loopcraft-training"
FORMAT_VERSION = 1


def state_file(out: Path, model: str) -> Path:
    """Where the state of a model's run lies."""
    return out / f"{model}.training.pt"


def shipped_file(out: Path, model: str) -> Path:
    """Where the model that the benchmark loads lies."""
    return out / f"{model}.safetensors"


def is_shipped(out: Path, config: TrainingConfig, step: int) -> bool:
    """Whether the shipped file is there, whole, and of that step of that run."""
    try:
        header, _ = describe_checkpoint(shipped_file(out, config.model))
    except UserError:
        return False
    found = (header.get("config"), header.get("training"))
    return found == (config.as_json()["network"], _origin(config, step))


def ship(
    out: Path, config: TrainingConfig, step: int, network: nn.Module, average: AveragedModel | None
) -> None:
    """Write the model that the benchmark loads."""
    best = network if average is None else average.module
    path = shipped_file(out, config.model)
    save_checkpoint(path, best.state_dict(), config.network, training=_origin(config, step))


def _origin(config: TrainingConfig, step: int) -> dict[str, Any]:
    """What a shipped file says of its making."""
    return {**{name: value for name, value in config.as_json().items() if name != "network"}, "step": step}


def save_state(
    out: Path,
    config: TrainingConfig,
    step: int,
    network: nn.Module,
    average: AveragedModel | None,
    optimizers: tuple[torch.optim.Optimizer, ...],
) -> None:
    """Write both files; raises `UserError` where the disk is full, and the state of before stays."""
    state = {
        "format": FORMAT,
        "version": FORMAT_VERSION,
        "config": config.as_json(),
        "step": step,
        "model": network.state_dict(),
        "ema": None if average is None else average.state_dict(),
        "optimizers": [optimizer.state_dict() for optimizer in optimizers],
        "rng": {"seed": config.seed, "step": step},
        "data": {"first_episode": config.pool.first_episode(step)},
    }
    try:
        ship(out, config, step, network, average)
        with whole_file(state_file(out, config.model)) as temporary:
            torch.save(state, temporary)
    except (OSError, RuntimeError) as error:  # torch.save reports a full disk as RuntimeError
        reason = describe_os_error(error) if isinstance(error, OSError) else "is the disk full?"
        raise UserError(
            f"{out}: step {step} could not be saved ({reason}); {last_good(out, config.model)}; make "
            "room and run the same command again"
        ) from error


def read_state(out: Path, config: TrainingConfig) -> dict[str, Any] | None:
    """The state to go on from (None: there is none); raises `UserError` where it is of another run."""
    path = state_file(out, config.model)
    if not path.exists():
        return None
    try:
        state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
        stored = state["config"]
    except (RuntimeError, EOFError, KeyError, TypeError, pickle.UnpicklingError) as error:
        raise UserError(f"{path}: not a whole training state; remove it to start anew") from error
    if found := differences(config.as_json(), stored):
        raise UserError(
            f"{path}: is of a run with another configuration ({'; '.join(found[:3])}); choose another --out"
        )
    return state


def last_good(out: Path, model: str) -> str:
    """Which checkpoint a stopped run leaves."""
    path = state_file(out, model)
    if not path.exists():
        return "no checkpoint was saved before"
    step = torch.load(path, map_location="cpu", weights_only=True, mmap=True)["step"]
    return f"the last good checkpoint is {path}, of step {step}"
