"""Safetensors files, identified by a checksum of their tensors rather than of the file."""

import hashlib
from collections.abc import Mapping
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from loopcraft.core.errors import UserError
from loopcraft.core.files import whole_file
from loopcraft.core.urls import require_regular

SUFFIX = ".safetensors"

Tensors = Mapping[str, Tensor]


def tensors_sha256(tensors: Tensors) -> str:
    """Return the SHA-256 over name, type, shape and little-endian values of every tensor, sorted by name."""
    digest = hashlib.sha256()
    for name in sorted(tensors):
        values = tensors[name].detach().contiguous().numpy()
        digest.update(f"{name} {values.dtype.name} {list(values.shape)}\n".encode())
        digest.update(values.astype(values.dtype.newbyteorder("<"), copy=False).tobytes())
    return digest.hexdigest()


def write_tensors(path: Path, tensors: Tensors) -> None:
    """Write a safetensors file atomically."""
    with whole_file(path) as temporary:
        save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, temporary)


def read_tensors(path: Path) -> dict[str, Tensor]:
    """Return the tensors of a safetensors file; raises `UserError` if it is not one."""
    require_regular(path)
    try:
        tensors: dict[str, Tensor] = load_file(path)
    except SafetensorError as error:
        raise UserError(f"{path}: not a whole safetensors file ({error})") from error
    return tensors
