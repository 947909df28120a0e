"""A training run on disk: MODEL.safetensors for the benchmark and MODEL.training.pt to resume from.

MODEL.safetensors, the shipped file, is written first and MODEL.training.pt last; only the latter records
progress. A run that is killed between the two resumes from the previous state. A shipped file that is
missing, damaged or from a different step than the state is rewritten from the state.

MODEL.training.pt holds the configuration, the step, the network, its average and both optimisers. No random
state is needed: every draw is keyed by (seed, purpose, step, process), and the position in the data follows
from the step; both are stored only for human readers.
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
_REMEDY = "remove it to start over"


def state_file(out: Path, model: str) -> Path:
    """Return the path of the training state of a model."""
    return out / f"{model}.training.pt"


def shipped_file(out: Path, model: str) -> Path:
    """Return the path of the model that the benchmark loads."""
    return out / f"{model}.safetensors"


def is_shipped(out: Path, trainer: Trainer, step: int) -> bool:
    """Return whether the shipped file exists, is undamaged and equals what `ship` would write."""
    config = trainer.config
    try:
        header, weights = read_checkpoint(shipped_file(out, config.model))
    except UserError:
        return False
    expected = trainer.best.state_dict()
    return (
        (header.get("config"), header.get("training")) == (config.as_json()["network"], _origin(config, step))
        and weights.keys() == expected.keys()
        and all(torch.equal(weights[name], value.cpu()) for name, value in expected.items())
    )


def ship(out: Path, trainer: Trainer, step: int) -> None:
    """Write the model that the benchmark loads."""
    config = trainer.config
    path = shipped_file(out, config.model)
    save_checkpoint(path, trainer.best.state_dict(), config.network, training=_origin(config, step))


def _origin(config: TrainingConfig, step: int) -> dict[str, Any]:
    """Return the `training` field of a shipped file's header."""
    return {**{name: value for name, value in config.as_json().items() if name != "network"}, "step": step}


def save_state(out: Path, trainer: Trainer, step: int) -> None:
    """Write both files; if that fails, as on a full disk, raise `UserError` and keep the previous state."""
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
            f"{out}: step {step} could not be saved ({reason}); {describe_last(out, config.model)}; free up "
            "space and run the same command again"
        ) from error


def read_state(out: Path, config: TrainingConfig) -> dict[str, Any] | None:
    """Read the state to resume from (None: there is none); raise `UserError` if it is of another run."""
    path = state_file(out, config.model)
    if not path.exists():
        return None
    state: dict[str, Any] = _load(path)
    stored = state.get("config") if isinstance(state, dict) else None
    if not isinstance(stored, dict) or type(state.get("step")) is not int:
        raise UserError(f"{path}: not a training state; {_REMEDY}")
    if changes := differences(config.as_json(), stored):
        raise UserError(
            f"{path}: is of a run with another configuration ({'; '.join(changes[:3])}); choose another --out"
        )
    return state


def _load(path: Path) -> Any:
    """Load the file and verify the checksums of its content; raise `UserError` if it is damaged."""
    require_regular(path)
    try:
        with zipfile.ZipFile(path) as archive:
            damaged = archive.testzip()
        if damaged is not None:
            raise ValueError(f"{damaged} does not match its checksum")
        return torch.load(path, map_location="cpu", weights_only=True)
    except OSError:
        raise
    except Exception as error:  # damaged bytes raise many kinds of errors
        reason = " ".join(str(error).split())[:200]
        raise UserError(f"{path}: not a whole training state ({reason}); {_REMEDY}") from error


def describe_last(out: Path, model: str) -> str:
    """Describe, for an error message, the last checkpoint of a run that fails."""
    path = state_file(out, model)
    if not path.exists():
        return "no checkpoint was saved before"
    try:
        step = torch.load(path, map_location="cpu", weights_only=True, mmap=True)["step"]
    except Exception as error:  # damaged bytes raise many kinds of errors
        return f"the previous checkpoint, {path}, cannot be read ({type(error).__name__})"
    return f"the last good checkpoint is {path}, of step {step}"
