"""An example of each kind of file: how to make it, how to read it, and how older versions wrote it."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import safe_open
from safetensors.numpy import save_file as save_arrays
from safetensors.torch import save_file

from benchmark.contract.protocol import LOOPCRAFT_MINI
from benchmark.harness.score import read_paired, write_scores
from benchmark.harness.score_files import find_damage
from benchmark.metrics import get_metrics
from benchmark.results.result_file import read_result, write_result
from loopcraft.core.checksums import SUMS, add_sums, sums_of
from loopcraft.core.errors import UserError
from loopcraft.core.files import read_json, write_json
from loopcraft.dataset import LoopcraftDataset, open_dataset
from loopcraft.dataset.episode_table import read_rows
from loopcraft.dataset.mask_files import encode_masks
from loopcraft.generate import generate
from models.checkpoints.format import FORMAT, read_checkpoint, save_checkpoint
from models.latents.store import open_latents
from models.zoo.presets import PRESETS
from tests.fakes.benchmark_data import make_result
from tests.fakes.training_runs import write_latents
from tests.fakes.world import FakeWorld, recipe


@dataclass(frozen=True, kw_only=True)
class Kind:
    """A kind of file: makes an example in a folder, and reads all its content."""

    path: str
    make: Callable[[Path], None]
    read: Callable[[Path], Any]
    make_old: Callable[[Path], None] | None = None
    """Turns the example into what older versions wrote (None: the same)."""


def make_data(root: Path) -> None:
    generate(root, recipe(num_episodes=2), make_world=FakeWorld)
    rng = np.random.default_rng(0)
    name = "000/000.seen.npz"
    (root / name).write_bytes(encode_masks({"seen": rng.random((64, 16, 16)) < 0.5}))
    add_sums(root, sums_of(root, [name]))


def forget_sums(root: Path) -> None:
    (root / SUMS).unlink()


def with_data(read: Callable[[LoopcraftDataset], Any]) -> Callable[[Path], Any]:
    return lambda root: read(open_dataset(root))


def table_and_index(dataset: LoopcraftDataset) -> Any:
    return dataset.keys, [dataset.num_frames(key) for key in dataset.keys], dataset.metadata.to_json()


def make_rows(root: Path) -> None:
    generate(root, recipe(num_episodes=2), make_world=FakeWorld, shard="1/2")


def make_old_row(root: Path) -> None:
    row = read_json(root / "000/000.json")
    del row["sha256"]
    write_json(root / "000/000.json", row)


def plain(value: Any) -> Any:
    """Convert tensors and arrays to types, shapes and bytes, which can be compared."""
    if isinstance(value, torch.Tensor):
        return str(value.dtype), value.shape, value.reshape(-1).view(torch.uint8).numpy().tobytes()
    if isinstance(value, np.ndarray):
        return str(value.dtype), value.shape, value.tobytes()
    if isinstance(value, dict):
        return {name: plain(item) for name, item in value.items()}
    return [plain(item) for item in value] if isinstance(value, (list, tuple)) else value


def make_checkpoint(root: Path) -> None:
    rng = torch.Generator().manual_seed(0)
    weights = {"a": torch.randn(20, 10, generator=rng), "b": torch.randn(7, generator=rng).bfloat16()}
    save_checkpoint(
        root / "a.safetensors",
        weights,
        PRESETS["trial"].model("millivid", 16).autoencoder,
        training={"step": 3},
    )


def make_old_checkpoint(root: Path) -> None:
    with safe_open(root / "a.safetensors", framework="pt") as file:
        header = json.loads(file.metadata()[FORMAT])
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    del header["tensors_sha256"]
    save_file(tensors, root / "a.safetensors", metadata={FORMAT: json.dumps(header)})


def read_tensors(root: Path) -> Any:
    header, weights = read_checkpoint(root / "a.safetensors")
    return [header.get(name) for name in ("kind", "config", "training")], plain(weights)


def read_latents(root: Path) -> Any:
    latents = open_latents(root)
    windows = [latents.read(key, 5, 40, first_level=level) for key in latents.num_frames for level in (0, 2)]
    return plain([latents.num_frames, latents.grid.levels, windows])


def make_old_latents(root: Path) -> None:
    forget_sums(root)
    for path in root.rglob("*.safetensors"):
        with safe_open(path, framework="pt") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys() if name != "crc32"}  # noqa: SIM118
        save_file(tensors, path)


def make_scores(root: Path) -> None:
    rng = np.random.default_rng(0)
    write_scores(root / "scores/000/000.safetensors", {"psnr": rng.random((192, 1))}, seconds=1.5)


def read_scores(root: Path) -> Any:
    path, metrics = root / "scores/000/000.safetensors", get_metrics(["psnr"])
    if damage := find_damage(path, metrics, LOOPCRAFT_MINI):
        raise UserError(f"{path}: {damage}; the video is scored again")
    return read_paired([path], metrics[0]).tolist()


def make_old_scores(root: Path) -> None:
    path = root / "scores/000/000.safetensors"
    with safe_open(path, framework="numpy") as file:
        arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    save_arrays(arrays, path, metadata={"seconds": "1.500"})


def make_old_result(root: Path) -> None:
    document = read_json(root / "result.json")
    del document["sha256"]
    write_json(root / "result.json", document)


DATA: dict[str, Any] = {"make": make_data, "make_old": forget_sums}
LATENTS: dict[str, Any] = {"make": write_latents, "read": read_latents, "make_old": make_old_latents}
KINDS = {
    "index": Kind(path="index.json", read=with_data(table_and_index), **DATA),
    "manifest": Kind(path="dataset.json", read=with_data(lambda data: data.manifest), **DATA),
    "table": Kind(path="episodes.parquet", read=with_data(table_and_index), **DATA),
    "sums": Kind(path="SHA256SUMS", read=with_data(table_and_index), make=make_data),
    "states": Kind(path="000/000.npy", read=with_data(lambda data: plain(data.states("000/000"))), **DATA),
    "video": Kind(path="000/000.mp4", read=with_data(lambda data: plain(data.frames("000/000"))), **DATA),
    "masks": Kind(path="000/000.seen.npz", read=with_data(lambda data: plain(data.masks("000/000"))), **DATA),
    "row": Kind(
        path="000/000.json",
        make=make_rows,
        read=lambda root: list(read_rows(root, ["000/000"])),
        make_old=make_old_row,
    ),
    "checkpoint": Kind(
        path="a.safetensors",
        make=make_checkpoint,
        read=read_tensors,
        make_old=make_old_checkpoint,
    ),
    "latents": Kind(path="000/001.safetensors", **LATENTS),
    "index of latents": Kind(path="index.json", **LATENTS),
    "manifest of latents": Kind(path="latents.json", **LATENTS),
    "scores": Kind(
        path="scores/000/000.safetensors", make=make_scores, read=read_scores, make_old=make_old_scores
    ),
    "result": Kind(
        path="result.json",
        make=lambda root: write_result(root / "result.json", make_result()),
        read=lambda root: read_result(root / "result.json"),
        make_old=make_old_result,
    ),
}
