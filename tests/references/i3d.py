"""I3D in NumPy alone, from figure 3 of the paper and TensorFlow's rules: channels last, no modules.

Every convolution is a sum, over the kernel's offsets, of shifted, strided inputs times a matrix; those of one
time step are concatenated and multiplied together.
"""

from collections.abc import Mapping
from functools import reduce
from itertools import product

import numpy as np

MIXED = ("3b", "3c", "4b", "4c", "4d", "4e", "4f", "5b", "5c")


def i3d_logits(tensors: Mapping[str, np.ndarray], clips: np.ndarray) -> np.ndarray:
    """The logits (N, 400) of clips (N, T, H, W, 3) with levels 0 to 255."""
    return np.stack([clip_logits(tensors, clip) for clip in clips])


def clip_logits(tensors: Mapping[str, np.ndarray], clip: np.ndarray) -> np.ndarray:
    x = resize(clip / np.float32(127.5) - np.float32(1))
    x = unit(tensors, "Conv3d_1a_7x7", x, 2)
    x = max_pool(x, (1, 3, 3), (1, 2, 2))
    x = unit(tensors, "Conv3d_2c_3x3", unit(tensors, "Conv3d_2b_1x1", x))
    x = max_pool(x, (1, 3, 3), (1, 2, 2))
    for name in MIXED:
        if name == "4b":
            x = max_pool(x, (3, 3, 3), (2, 2, 2))
        if name == "5b":
            x = max_pool(x, (2, 2, 2), (2, 2, 2))
        x = mixed(tensors, f"Mixed_{name}", x)
    pooled = np.stack([x[t : t + 2].mean(axis=(0, 1, 2)) for t in range(len(x) - 1)])
    weight, bias = (tensors[f"Logits.Conv3d_0c_1x1.{part}"] for part in ("weight", "bias"))
    return (pooled @ weight[:, :, 0, 0, 0].T + bias).mean(axis=0)


def mixed(tensors: Mapping[str, np.ndarray], name: str, x: np.ndarray) -> np.ndarray:
    branches = [x, x, x, max_pool(x, (3, 3, 3), (1, 1, 1))]
    units = [["0a_1x1"], ["0a_1x1", "0b_3x3"], ["0a_1x1", "0b_3x3"], ["0b_1x1"]]
    for number, names in enumerate(units):
        for part in names:
            branches[number] = unit(tensors, f"{name}.Branch_{number}.Conv3d_{part}", branches[number])
    return np.concatenate(branches, axis=-1)


def unit(tensors: Mapping[str, np.ndarray], name: str, x: np.ndarray, stride: int = 1) -> np.ndarray:
    weight, bias, mean, variance = (
        tensors[f"{name}.{part}"] for part in ("weight", "bias", "mean", "variance")
    )
    kernel = weight.shape[2:]
    shifted = [window for _, window in windows(x, kernel, (stride,) * 3, np.float32(0))]
    area = kernel[1] * kernel[2]
    time_steps = [shifted[n : n + area] for n in range(0, len(shifted), area)]
    total = sum(
        np.concatenate(step, axis=-1) @ weight[:, :, n].transpose(2, 3, 1, 0).reshape(-1, len(weight))
        for n, step in enumerate(time_steps)
    )
    return np.maximum((total - mean) / np.sqrt(variance + np.float32(1e-3)) + bias, 0)


def max_pool(x: np.ndarray, kernel: tuple[int, ...], stride: tuple[int, ...]) -> np.ndarray:
    return reduce(np.maximum, (window for _, window in windows(x, kernel, stride, np.float32(-np.inf))))


def windows(x, kernel, stride, filling):
    """Yield each offset of a kernel, and the inputs there under TensorFlow's "same" padding."""
    outputs = [-(-extent // step) for extent, step in zip(x.shape, stride, strict=False)]
    pads = []
    for extent, size, step, count in zip(x.shape, kernel, stride, outputs, strict=False):
        missing = max((count - 1) * step + size - extent, 0)
        pads.append((missing // 2, missing - missing // 2))
    padded = np.pad(x, (*pads, (0, 0)), constant_values=filling)
    for offset in product(*map(range, kernel)):
        yield (
            offset,
            padded[
                tuple(
                    slice(o, o + (n - 1) * s + 1, s) for o, n, s in zip(offset, outputs, stride, strict=True)
                )
            ],
        )


def resize(frames: np.ndarray) -> np.ndarray:
    """Resize bilinearly to 224 x 224, with half-pixel centres and repeated edges."""
    rows, columns = (interpolation(side) for side in frames.shape[1:3])
    return np.einsum("yh,thwc,xw->tyxc", rows, frames, columns, optimize=True)


def interpolation(side: int) -> np.ndarray:
    matrix = np.zeros((224, side), np.float32)
    for i in range(224):
        position = min(max((i + 0.5) * side / 224 - 0.5, 0.0), side - 1.0)
        low = min(int(position), side - 2)
        matrix[i, low : low + 2] += (1 - (position - low), position - low)
    return matrix
