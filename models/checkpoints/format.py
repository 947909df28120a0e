"""Checkpoints: our own safetensors files, which carry their configuration, and the published ones.

Nothing here executes code from a file: published files are read with `weights_only`, and ours are
safetensors.
"""

import dataclasses
import json
import math
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Shaped
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from loopcraft.core.checksums import arrays_sha256
from loopcraft.core.errors import UserError
from loopcraft.core.files import whole_file
from loopcraft.core.urls import require_regular
from models.checkpoints.quantize import SCALE, from_int8

FORMAT = "loopcraft-model"
FORMAT_VERSION = 1
SUM = "tensors_sha256"
"""In our header, the SHA-256 of all the tensors and of the rest of the header."""

PUBLISHED_NAMES = [
    (r"^trunk\.blocks\.", "dit.dit.dit.blocks."),
    (r"^trunk\.action_embedding\.", "dit.dit.action_encoder.action_embedding."),
    (r"^trunk\.", "dit.dit."),
    (r"^patchify\.", "dit.patchify."),
    (r"^(encoder|decoder)\.blocks\.", r"\1.transformer.blocks."),
    (r"^head\.", "dit.unpatchify."),
    (r"\.modulation\.linear\.", ".adaLN_modulation.1."),
]
"""How our parameter names become the published ones, rule after rule."""

Weights = dict[str, Shaped[Tensor, "..."]]


def published_name(name: str) -> str:
    """The published key of one of our parameters."""
    for pattern, replacement in PUBLISHED_NAMES:
        name = re.sub(pattern, replacement, name)
    return name


def tensors_sha256(said: Any, tensors: Weights) -> str:
    """The SHA-256 of contiguous tensors on the CPU, and of the JSON value `said` that stands beside them."""
    content = {name: value.reshape(-1).view(torch.uint8).numpy().data for name, value in tensors.items()}
    return arrays_sha256(
        said, {name: (str(value.dtype), value.shape, content[name]) for name, value in tensors.items()}
    )


def save_checkpoint(path: Path, weights: Weights, config: Any, **origin: Any) -> None:
    """Write weights with the dataclass that describes them; the header holds `origin` too."""
    header = {
        "format": FORMAT,
        "version": FORMAT_VERSION,
        "kind": type(config).__name__,
        "config": dataclasses.asdict(config),
        **origin,
    }
    contiguous = {name: value.detach().cpu().contiguous() for name, value in weights.items()}
    sealed = {**header, SUM: tensors_sha256(json.loads(json.dumps(header)), contiguous)}
    with whole_file(path) as temporary:
        save_file(contiguous, temporary, metadata={FORMAT: json.dumps(sealed)})


def read_checkpoint(path: Path) -> tuple[dict[str, Any], Weights]:
    """The header (format, version, kind, config) and the weights of one of our files.

    Raises `UserError` unless both are what the checksum in the header says; older files have none.
    """
    with _opened(path) as file:
        header = header_of(file.metadata(), path)
        stored = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    expected = header.pop(SUM, None)
    if expected is not None and tensors_sha256(header, stored) != expected:
        raise UserError(f"{path}: not what its own SHA-256 says; copy it again")
    return header, from_int8(stored)


def describe_checkpoint(path: Path) -> tuple[dict[str, Any], int]:
    """The header of one of our files, and how many parameters it holds; none of them is read."""
    with _opened(path) as file:
        header = header_of(file.metadata(), path)
        names = [name for name in file.keys() if not name.endswith(SCALE)]  # noqa: SIM118
        shapes = [file.get_slice(name).get_shape() for name in names]
    return header, sum(math.prod(shape) for shape in shapes)


def header_of(metadata: dict[str, str] | None, path: str | Path) -> dict[str, Any]:
    """Our header among a safetensors file's metadata; raises `UserError` if it is none of ours."""
    try:
        header = json.loads((metadata or {}).get(FORMAT, "{}"))
    except (ValueError, RecursionError) as error:
        raise UserError(f"{path}: its header is not JSON ({error}); save it with this project") from error
    is_ours = isinstance(header, dict) and header.get("format") == FORMAT
    if not is_ours or header.get("version") != FORMAT_VERSION:
        raise UserError(f"{path}: no {FORMAT} of version {FORMAT_VERSION}; save it with this project")
    for name in ("config", "training", "sampling"):
        if not isinstance(header.get(name, {}), dict):
            raise UserError(f"{path}: {name} in its header is no object; save it with this project")
    found: dict[str, Any] = header
    return found


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    try:
        require_regular(path)
        with safe_open(path, framework="pt") as file:
            yield file
    except (SafetensorError, OSError) as error:
        raise UserError(f"{path}: not a whole safetensors file ({error}); copy it again") from error


def read_published(path: Path) -> Weights:
    """The model's weights in one of the published .ckpt files, under their published names.

    Raises `UserError` for a file that is none.
    """
    require_regular(path)
    try:
        stored = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
        weights: Weights = stored["model"]
        if not all(isinstance(value, Tensor) for value in weights.values()):
            raise TypeError("its model holds other things than tensors")
    except OSError:
        raise
    except Exception as error:  # of pickle, zip or torch: damaged bytes raise a dozen kinds
        reason = str(error).partition("\n")[0]
        raise UserError(f"{path}: not a whole published checkpoint ({reason}); fetch it again") from error
    return weights


def load_weights(model: nn.Module, weights: Weights, path: Path, *, published: bool = False) -> None:
    """Load strictly; raises `UserError` with the differing names where the file is of another model."""
    wanted = {published_name(key) if published else key: key for key in model.state_dict()}
    shapes = {name: tuple(model.state_dict()[key].shape) for name, key in wanted.items()}
    found = {name: tuple(value.shape) for name, value in weights.items()}
    differing = sorted(name for name in shapes.keys() | found.keys() if shapes.get(name) != found.get(name))
    if differing:
        shown = "; ".join(
            f"{name} is {found.get(name, 'missing')}, expected {shapes.get(name, 'none')}"
            for name in differing[:3]
        )
        raise UserError(
            f"{path}: {len(differing)} weights do not fit this model ({shown}); choose another checkpoint or "
            "preset"
        )
    model.load_state_dict({wanted[name]: value for name, value in weights.items()})
