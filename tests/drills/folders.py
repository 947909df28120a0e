"""Kinds of finished folders that are only read: how to make each, and how to read all its content."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmark.weight_files.bundle import Bundle, Network, PublishedFile
from benchmark.weight_files.tensor_files import read_tensors, write_tensors
from loopcraft import publish
from loopcraft.core.checksums import add_sums, sums_of
from loopcraft.dataset import open_dataset
from loopcraft.dataset.mask_files import encode_masks
from loopcraft.generate import generate
from models.checkpoints.format import save_checkpoint
from models.latents.store import open_latents
from models.zoo.loading import WeightSource, load_model
from tests.drills.commands import HUB, use_cache
from tests.fakes.training_runs import write_latents
from tests.fakes.world import FakeWorld, recipe

NETWORK, REPOSITORY = "tiny", "lab/damage"


@dataclass(frozen=True, kw_only=True)
class Folder:
    """A kind of folder. `read` raises `UserError` or `OSError` for damage."""

    name: str
    make: Callable[[Path], None]
    read: Callable[[Path], Any]
    without_sums: tuple[str, ...] = ()


def plain(value: Any) -> Any:
    """Convert arrays and tensors to types, shapes and bytes, which can be compared."""
    if isinstance(value, torch.Tensor):
        value = value.detach().float().numpy()
    if isinstance(value, np.ndarray):
        return str(value.dtype), value.shape, value.tobytes()
    if isinstance(value, dict):
        return {name: plain(item) for name, item in value.items()}
    return [plain(item) for item in value] if isinstance(value, (list, tuple)) else value


def _make_data(root: Path) -> None:
    generate(root, recipe("val", num_episodes=3, candidates=6), make_world=FakeWorld)
    rng = np.random.default_rng(0)
    names = [f"{key}.seen.npz" for key in open_dataset(root).keys]
    for name in names:
        (root / name).write_bytes(encode_masks({"seen": rng.random((64, 16, 16)) < 0.5}))
    add_sums(root, sums_of(root, names))


def _read_data(root: str | Path) -> Any:
    data = open_dataset(root)
    read = (data.states, data.actions, data.frames, data.masks)
    episodes = [[plain(part(key)) for part in read] for key in data.keys]
    return data.keys, data.manifest, data.metadata.to_json(), data.fingerprint, episodes


def _make_papers(root: Path) -> None:
    _make_data(root)
    for name in ("dataset.json", "episodes.parquet", "SHA256SUMS"):
        (root / name).unlink()


def _make_checkpoint(root: Path) -> None:
    model = load_model("millivid", WeightSource(preset="trial", frame_size=16, seed=1))
    save_checkpoint(
        root / "autoencoder.safetensors", model.autoencoder.state_dict(), model.config.autoencoder
    )
    save_checkpoint(root / "millivid.safetensors", model.network.state_dict(), model.config.video)


def _read_checkpoint(root: Path) -> Any:
    model = load_model("millivid", WeightSource(checkpoint=str(root)))
    weights = [plain(dict(part.state_dict())) for part in (model.autoencoder, model.network)]
    return model.config.autoencoder, model.config.video, weights


def _make_latents(root: Path) -> None:
    write_latents(root)


def _read_latents(root: Path) -> Any:
    latents = open_latents(root)
    return latents.num_frames, [plain(latents.read(key, 10, 60)) for key in latents.num_frames]


def _bundle(root: Path) -> Bundle:
    files = (PublishedFile(path="weights.safetensors"),)
    return Bundle(root, {NETWORK: Network(title="", licence="", files=files, sources=())})


def _make_bundle(root: Path) -> None:
    (root / NETWORK).mkdir(parents=True)
    write_tensors(root / NETWORK / "weights.safetensors", {"a": torch.randn(20, 30)})
    _bundle(root).add(NETWORK, source="made here", revision="1")


def _read_bundle(root: Path) -> Any:
    bundle = _bundle(root)
    if NETWORK not in bundle:
        raise FileNotFoundError(root)
    return plain(read_tensors(bundle.verify(NETWORK) / "weights.safetensors"))


def _make_hub(root: Path) -> None:
    """Write the files of a published data set as stored on the Hub."""
    use_cache(root.parent / "cache")
    generate(root.parent / "val", recipe("val", num_episodes=3, candidates=6), make_world=FakeWorld)
    assert publish.main([str(root.parent / "val"), "--repo", REPOSITORY, "--shard-mb", "0.01"]) == 0
    for path, data in HUB.repositories[REPOSITORY].files.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_bytes(data)


def _read_hub(root: Path) -> Any:
    """Commit the files in their current state to the Hub, and read them from there."""
    use_cache(root.parent / f"cache-of-{root.name}")
    HUB.repositories[REPOSITORY].commit(
        {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()}
    )
    return _read_data(f"hf://{REPOSITORY}/val")


FOLDERS = (
    Folder(name="data set", make=_make_data, read=_read_data),
    Folder(
        name="paper's", make=_make_papers, read=_read_data, without_sums=(".json", ".npy", ".mp4", ".npz")
    ),
    Folder(name="checkpoint", make=_make_checkpoint, read=_read_checkpoint),
    Folder(name="latents", make=_make_latents, read=_read_latents),
    Folder(name="bundle", make=_make_bundle, read=_read_bundle),
    Folder(name="hub", make=_make_hub, read=_read_hub),
)
