"""The state of a run on disk: the model that the benchmark loads, and then the state that a run goes on from.

MODEL.safetensors, what is shipped, is written first and MODEL.training.pt last: only the latter says how far
a run is. Killed between the two, a run goes on from the state of before; a shipped file that is lost, damaged
or of another step than the state is made again from it.

MODEL.training.pt holds the configuration, the step, the network, its average, and both optimisers. There is
no generator state to hold: every draw is keyed by (seed, purpose, step, process), and the place in the data
follows from the step; both are written for the reader.
"""

import zipfile
from pathlib import Path
from typing import Any

import torch

from loopcraft.core.cli import describe_os_error
from loopcraft.core.errors import UserError
from loopcraft.core.files import whole_file
from loopcraft.core.urls import require_regular
from models.checkpoints.format import read_checkpoint, save_checkpoint
from models.train.config import TrainingConfig, differences
from models.train.trainer import Trainer

FORMAT = "loopcraft-training"
FORMAT_VERSION = 1
_ANEW = "remove it to start anew"


def state_file(out: Path, model: str) -> Path:
    """Where the state of a model's run lies."""
    return out / f"{model}.training.pt"


def shipped_file(out: Path, model: str) -> Path:
    """Where the model that the benchmark loads lies."""
    return out / f"{model}.safetensors"


def is_shipped(out: Path, trainer: Trainer, step: int) -> bool:
    """Whether the shipped file is there, whole, and what `ship` would write."""
    config = trainer.config
    try:
        header, weights = read_checkpoint(shipped_file(out, config.model))
    except UserError:
        return False
    wanted = trainer.best.state_dict()
    return (
        (header.get("config"), header.get("training")) == (config.as_json()["network"], _origin(config, step))
        and weights.keys() == wanted.keys()
        and all(torch.equal(weights[name], value.cpu()) for name, value in wanted.items())
    )


def ship(out: Path, trainer: Trainer, step: int) -> None:
    """Write the model that the benchmark loads."""
    config = trainer.config
    path = shipped_file(out, config.model)
    save_checkpoint(path, trainer.best.state_dict(), config.network, training=_origin(config, step))


def _origin(config: TrainingConfig, step: int) -> dict[str, Any]:
    """What a shipped file says of its making."""
    return {**{name: value for name, value in config.as_json().items() if name != "network"}, "step": step}


def save_state(out: Path, trainer: Trainer, step: int) -> None:
    """Write both files; raises `UserError` where the disk is full, and the state of before stays."""
    config, average = trainer.config, trainer.average
    state = {
        "format": FORMAT,
        "version": FORMAT_VERSION,
        "config": config.as_json(),
        "step": step,
        "model": trainer.network.state_dict(),
        "ema": None if average is None else average.state_dict(),
        "optimizers": [optimizer.state_dict() for optimizer in trainer.optimizers],
        "rng": {"seed": config.seed, "step": step},
        "data": {"first_episode": config.pool.first_episode(step)},
    }
    try:
        ship(out, trainer, step)
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
    state = _load(path)
    stored = state.get("config") if isinstance(state, dict) else None
    if not isinstance(stored, dict) or type(state.get("step")) is not int:
        raise UserError(f"{path}: not a training state; {_ANEW}")
    if found := differences(config.as_json(), stored):
        raise UserError(
            f"{path}: is of a run with another configuration ({'; '.join(found[:3])}); choose another --out"
        )
    whole: dict[str, Any] = state
    return whole


def _load(path: Path) -> Any:
    """What the file holds, every byte checked; raises `UserError` where it is damaged."""
    require_regular(path)
    try:
        with zipfile.ZipFile(path) as archive:
            damaged = archive.testzip()
        if damaged is not None:
            raise ValueError(f"{damaged} is not what its checksum says")
        return torch.load(path, map_location="cpu", weights_only=True)
    except OSError:
        raise
    except Exception as error:  # damaged bytes raise a dozen kinds
        reason = " ".join(str(error).split())[:200]
        raise UserError(f"{path}: not a whole training state ({reason}); {_ANEW}") from error


def last_good(out: Path, model: str) -> str:
    """Which checkpoint a stopped run leaves."""
    path = state_file(out, model)
    if not path.exists():
        return "no checkpoint was saved before"
    try:
        step = torch.load(path, map_location="cpu", weights_only=True, mmap=True)["step"]
    except Exception as error:  # damaged bytes raise a dozen kinds
        return f"the checkpoint of before, {path}, cannot be read ({type(error).__name__})"
    return f"the last good checkpoint is {path}, of step {step}"
