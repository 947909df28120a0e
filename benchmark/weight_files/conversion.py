"""Convert weights from their publishers' formats to the tensors that a metric loads.

A network's tensors are bit-identical for all its sources: AlexNet and VGG16 under torchvision's names with
LPIPS's linear heads under those of the package `lpips`, I3D under the names of its original code, ALIKED and
its LightGlue in one file.
No file is trusted: PyTorch files are read with `weights_only`, pickles by a reader that knows only arrays.
"""

import importlib.util
import io
import pickle
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from benchmark.weight_files.tensor_files import SUFFIX, read_tensors
from loopcraft.core.errors import UserError
from loopcraft.core.urls import content_of, require_regular

LPIPS_LAYERS = {
    "alexnet": (0, 3, 6, 8, 10),
    "vgg16": (0, 2, 5, 7, 10, 12, 14, 17, 19, 21, 24, 26, 28),
}
"""Indices of the convolutions in torchvision's `features`."""
NUM_HEADS = 5

_LPIPS_HEADS = {"alexnet": "alex.pth", "vgg16": "vgg.pth"}
_OLD_ATTENTION = re.compile(r"^(self_attn|cross_attn)\.(\d+)")
_FLAX_ROOTS = {"alexnet": "AlexNet_0", "vgg16": "VGG16_0"}


def convert(network: str, paths: Sequence[Path]) -> dict[str, Tensor]:
    """Return a network's tensors from a source's files or one safetensors file; raises `UserError`."""
    for path in paths:
        require_regular(path)
    path = paths[0]
    try:
        if path.suffix == SUFFIX:
            return read_tensors(path)
        if path.suffix == ".ckpt":
            return from_flax(network, read_arrays(path))
        states = [torch.load(path, map_location="cpu", weights_only=True) for path in paths]
        return from_lightglue(*states) if network == "aliked" else from_torchvision(network, *states)
    except (UserError, OSError):
        raise
    except (KeyError, TypeError, AttributeError) as error:
        raise UserError(f"{path}: not the weights of {network}, it lacks {_first_line(error)}") from error
    except Exception as error:  # of pickle, torch or numpy: damaged bytes raise a dozen kinds
        raise UserError(f"{path}: not a file of weights ({_first_line(error)})") from error


def from_torchvision(network: str, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the feature layers of torchvision's AlexNet or VGG16, and the heads in the package `lpips`."""
    names = [f"features.{layer}.{part}" for layer in LPIPS_LAYERS[network] for part in ("weight", "bias")]
    heads = torch.load(_lpips_folder() / _LPIPS_HEADS[network], map_location="cpu", weights_only=True)
    return {name: state[name] for name in names} | {name: heads[name] for name in _head_names()}


def from_lightglue(detector: Mapping[str, Tensor], matcher: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return a detector and LightGlue under its newer names, with both attentions in one layer."""
    renamed = {_OLD_ATTENTION.sub(r"transformers.\2.\1", name): values for name, values in matcher.items()}
    return {f"detector.{name}": values for name, values in detector.items()} | {
        f"matcher.{name}": values for name, values in renamed.items()
    }


def from_flax(network: str, tree: Mapping[str, Any]) -> dict[str, Tensor]:
    """Return the tensors of a tree of arrays with Flax names."""
    return _i3d_from_flax(tree) if network == "i3d" else _lpips_from_flax(network, tree)


def _lpips_from_flax(network: str, tree: Mapping[str, Any]) -> dict[str, Tensor]:
    tensors = {}
    for number, layer in enumerate(LPIPS_LAYERS[network]):
        convolution = tree[_FLAX_ROOTS[network]][f"Conv_{number}"]
        tensors[f"features.{layer}.weight"] = _output_first(convolution["kernel"])
        tensors[f"features.{layer}.bias"] = torch.from_numpy(convolution["bias"])
    for number, name in enumerate(_head_names()):
        tensors[name] = _output_first(tree[f"NetLinLayer_{number}"]["Conv_0"]["kernel"])
    return tensors


def _i3d_from_flax(tree: Mapping[str, Any]) -> dict[str, Tensor]:
    """Return each unit's `weight` and `bias`, and the `mean` and `variance` that normalise its output."""
    tensors = {}
    for path, unit in _units(tree["params"]):
        name = ".".join(path).replace("/", ".")
        tensors[f"{name}.weight"] = _output_first(unit["Conv_0"]["kernel"])
        if "BatchNorm_0" not in unit:
            tensors[f"{name}.bias"] = torch.from_numpy(unit["Conv_0"]["bias"])
            continue
        tensors[f"{name}.bias"] = torch.from_numpy(unit["BatchNorm_0"]["bias"])
        statistics = tree["batch_stats"]
        for key in (*path, "BatchNorm_0"):
            statistics = statistics[key]
        tensors[f"{name}.mean"] = torch.from_numpy(statistics["mean"].reshape(-1))
        tensors[f"{name}.variance"] = torch.from_numpy(statistics["var"].reshape(-1))
    return tensors


def _units(tree: Mapping[str, Any], above: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Yield the convolutions of a tree with their paths of keys; a key may be several names joined by /."""
    for key, branch in tree.items():
        if "Conv_0" in branch:
            yield (*above, key), branch
        else:
            yield from _units(branch, (*above, key))


def _output_first(kernel: np.ndarray) -> Tensor:
    """Convert Flax's (..., in, out) to torch's (out, in, ...)."""
    return torch.from_numpy(np.ascontiguousarray(np.moveaxis(kernel, (-1, -2), (0, 1))))


def _head_names() -> list[str]:
    return [f"lin{number}.model.1.weight" for number in range(NUM_HEADS)]


def _lpips_folder() -> Path:
    """Return the folder of heads in the package `lpips`, without importing it."""
    package = importlib.util.find_spec("lpips")
    if package is None or package.origin is None:
        raise UserError("the heads of LPIPS are in the package lpips: install it")
    return Path(package.origin).parent / "weights" / "v0.1"


class _DType:
    """Stand-in for a `numpy.dtype` in a pickle: its name, like f4, and byte order."""

    def __init__(self, name: str, *_: object) -> None:
        self.name, self.order = name, "="

    def __setstate__(self, state: Sequence[Any]) -> None:
        self.order = state[1]


class _Array:
    """Stand-in for a `numpy.ndarray` in a pickle; `values` is set with its state."""

    values: np.ndarray

    def __init__(self, *_: object) -> None:
        pass

    def __setstate__(self, state: Sequence[Any]) -> None:
        _, shape, dtype, is_fortran, data = state
        values = np.frombuffer(data, np.dtype(dtype.name).newbyteorder(dtype.order))
        self.values = values.reshape(shape, order="F" if is_fortran else "C").copy()


class ArrayUnpickler(pickle._Unpickler):
    """Reads pickles of nested dicts of NumPy arrays and refuses all other content.

    A pickle cannot make it call NumPy. It extends Python's unpickler, not the compiled one, which allocates
    as many objects as a damaged file claims to hold.
    """

    def find_class(self, module: str, name: str) -> Any:
        """Return the stand-ins for the three names in a pickled array, under NumPy's old and new modules."""
        if name == "_reconstruct" and module in ("numpy.core.multiarray", "numpy._core.multiarray"):
            return _Array
        if module == "numpy" and name in ("ndarray", "dtype"):
            return _Array if name == "ndarray" else _DType
        raise pickle.UnpicklingError(f"it refers to {module}.{name}, which no array needs")


def read_arrays(path: Path) -> Mapping[str, Any]:
    """Return the nested dict of arrays in a pickle."""
    tree: Mapping[str, Any] = _replace_stand_ins(ArrayUnpickler(io.BytesIO(content_of(path))).load())
    return tree


def _replace_stand_ins(tree: Any) -> Any:
    if isinstance(tree, dict):
        return {name: _replace_stand_ins(branch) for name, branch in tree.items()}
    return tree.values if isinstance(tree, _Array) else tree


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0].rstrip(".")
