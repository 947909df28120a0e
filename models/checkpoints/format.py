"""Checkpoint files: the project's safetensors, which carry their configuration, and published .ckpt files.

No code from a file is executed: published files are read with `weights_only`.
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
from loopcraft.core.files import parse_json, whole_file
from loopcraft.core.urls import require_regular
from models.checkpoints.quantize import SCALE, from_int8

FORMAT = "loopcraft-model"
FORMAT_VERSION = 1
SUM = "tensors_sha256"
"""Header field with the SHA-256 of all tensors and of the rest of the header."""

PUBLISHED_NAMES = [
    (r"^trunk\.blocks\.", "dit.dit.dit.blocks."),
    (r"^trunk\.action_embedding\.", "dit.dit.action_encoder.action_embedding."),
    (r"^trunk\.", "dit.dit."),
    (r"^patchify\.", "dit.patchify."),
    (r"^(encoder|decoder)\.blocks\.", r"\1.transformer.blocks."),
    (r"^head\.", "dit.unpatchify."),
    (r"\.modulation\.linear\.", ".adaLN_modulation.1."),
]
"""Substitutions that turn our parameter names into the published ones, applied in order."""

Weights = dict[str, Shaped[Tensor, "..."]]


def published_name(name: str) -> str:
    """Return the published name of one of our parameters."""
    for pattern, replacement in PUBLISHED_NAMES:
        name = re.sub(pattern, replacement, name)
    return name


def tensors_sha256(header: Any, tensors: Weights) -> str:
    """Return the SHA-256 of a JSON header and of contiguous tensors on the CPU."""
    content = {name: value.reshape(-1).view(torch.uint8).numpy().data for name, value in tensors.items()}
    return arrays_sha256(
        header, {name: (str(value.dtype), value.shape, content[name]) for name, value in tensors.items()}
    )


def save_checkpoint(path: Path, weights: Weights, config: Any, **origin: Any) -> None:
    """Write weights with the dataclass that describes them; `origin` adds fields to the header."""
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
    """Read the header (format, version, kind, config) and the weights of one of our files.

    Raises `UserError` if they do not match the checksum in the header; older files have none.
    """
    with _open(path) as file:
        header = parse_header(file.metadata(), path)
        stored = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    expected = header.pop(SUM, None)
    if expected is not None and tensors_sha256(header, stored) != expected:
        raise UserError(f"{path}: its content does not match its own SHA-256; copy it again")
    try:
        return header, from_int8(stored)
    except (RuntimeError, IndexError) as error:
        reason = str(error).partition("\n")[0]
        raise UserError(f"{path}: its scales do not fit its weights ({reason}); copy it again") from error


def describe_checkpoint(path: Path) -> tuple[dict[str, Any], int]:
    """Return the header and the number of parameters of one of our files without reading its weights."""
    with _open(path) as file:
        header = parse_header(file.metadata(), path)
        names = [name for name in file.keys() if not name.endswith(SCALE)]  # noqa: SIM118
        shapes = [file.get_slice(name).get_shape() for name in names]
    return header, sum(math.prod(shape) for shape in shapes)


def parse_header(metadata: dict[str, str] | None, path: str | Path) -> dict[str, Any]:
    """Return our header from a safetensors file's metadata; raise `UserError` if it is missing or invalid."""
    text = (metadata or {}).get(FORMAT, "{}")
    header: dict[str, Any] = parse_json(text.encode(), f"{path}: its header", "save it with this project")
    is_ours = isinstance(header, dict) and header.get("format") == FORMAT
    if not is_ours or header.get("version") != FORMAT_VERSION:
        raise UserError(f"{path}: not a {FORMAT} of version {FORMAT_VERSION}; save it with this project")
    for name in ("config", "training", "sampling"):
        if not isinstance(header.get(name, {}), dict):
            raise UserError(f"{path}: {name} in its header is not an object; save it with this project")
    return header


@contextmanager
def _open(path: Path) -> Iterator[Any]:
    try:
        require_regular(path)
        with safe_open(path, framework="pt") as file:
            yield file
    except (SafetensorError, OSError) as error:
        raise UserError(f"{path}: not a whole safetensors file ({error}); copy it again") from error


def read_published(path: Path) -> Weights:
    """Read the model's weights from a published .ckpt file, under their published names.

    Raises `UserError` if the file is not such a checkpoint.
    """
    require_regular(path)
    try:
        stored = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
        weights: Weights = stored["model"]
        for name, value in weights.items():
            if not isinstance(name, str) or not isinstance(value, Tensor) or value.layout != torch.strided:
                raise TypeError("its model holds something other than named dense tensors")
    except OSError:
        raise
    except Exception as error:  # damaged bytes raise many kinds of errors in pickle, zip and torch
        reason = str(error).partition("\n")[0]
        raise UserError(f"{path}: not a whole published checkpoint ({reason}); fetch it again") from error
    return weights


def load_weights(model: nn.Module, weights: Weights, path: Path, *, published: bool = False) -> None:
    """Load weights strictly.

    Raises `UserError` with the differing names if the file belongs to another model, and for weights that are
    not finite real numbers.
    """
    keys = {published_name(key) if published else key: key for key in model.state_dict()}
    expected = {name: tuple(model.state_dict()[key].shape) for name, key in keys.items()}
    shapes = {name: tuple(value.shape) for name, value in weights.items()}
    names = expected.keys() | shapes.keys()
    differing = sorted(name for name in names if expected.get(name) != shapes.get(name))
    if differing:
        examples = "; ".join(
            f"{name} is {shapes.get(name, 'missing')}, expected {expected.get(name, 'none')}"
            for name in differing[:3]
        )
        raise UserError(
            f"{path}: {len(differing)} weights do not fit this model ({examples}); choose another checkpoint "
            "or preset"
        )
    for name, value in weights.items():
        if not value.is_floating_point() or not value.isfinite().all():
            raise UserError(
                f"{path}: {name} holds values of type {value.dtype} that are not finite real numbers; fetch "
                "it again or choose another checkpoint"
            )
    model.load_state_dict({keys[name]: value for name, value in weights.items()})
