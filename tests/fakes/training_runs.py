"""Tiny training runs for tests; `python -m tests.fakes.training_runs` writes the golden losses."""

import json
import tempfile
from pathlib import Path

import numpy as np
import torch

from loopcraft.core.files import write_json
from loopcraft.core.urls import AnyPath
from models.latents.store import MANIFEST, make_manifest, write_index, write_video
from models.train.__main__ import main
from models.train.data import played
from models.zoo.presets import PRESETS
from tests.fakes.world import FakeWorld

GOLDEN = Path(__file__).parents[1] / "golden" / "golden_losses.json"
FRAMES = 120
QUICK = (
    "--preset",
    "trial",
    "--device",
    "cpu",
    "--workers",
    "0",
    "--picture-every",
    "0",
    "--batch-size",
    "2",
)
WORLD = ("--data", "voxel-v1", "--resolution", "16", "--episode-frames", "120")
KINDS = ("autoencoder", "millivid", "framepack")


def use_fake_world() -> None:
    """Make the trainer use a cheap world from now on."""
    played.make_world = lambda world_id, *, resolution, quality: FakeWorld(resolution)


def write_latents(folder: Path) -> Path:
    """Write three videos of smooth latents in the shape of the preset trial."""
    grid = PRESETS["trial"].model("millivid", 16).autoencoder.grid
    rng = np.random.default_rng(0)
    index = {}
    for number in range(3):
        key = f"000/{number:03d}"
        phase = torch.from_numpy(rng.random((1, 85, grid.channels))).float()
        time = torch.arange(FRAMES)[:, None, None] / 16
        values = torch.sin(time + 6 * phase[:, : sum(grid.tokens_per_level)])
        states = np.zeros((FRAMES, 6), np.float32)
        states[:, 0] = rng.integers(0, 3, FRAMES)
        write_video(folder, key, [*values.split(grid.tokens_per_level, dim=1)], states)
        index[key] = FRAMES
    write_json(folder / MANIFEST, make_manifest(grid, torch.float32, autoencoder_sha256=None))
    write_index(folder, index)
    return folder


def train(kind: str, latents: AnyPath, out: Path, *more: str) -> int:
    """Run the training command on one thread."""
    torch.set_num_threads(1)
    if kind == "autoencoder":
        return main(["autoencoder", *WORLD, *QUICK, "--out", str(out), *more])
    return main(["video", "--model", kind, "--data", str(latents), *QUICK, "--out", str(out), *more])


def losses(out: Path, kind: str) -> list[float]:
    """The logged losses; asserts that their steps are 0, 1, 2, ..."""
    records = [json.loads(line) for line in (out / f"{kind}.jsonl").read_text().splitlines()]
    assert [record["step"] for record in records] == list(range(len(records)))
    return [record["loss"] for record in records]


def write_golden() -> None:
    """Train each kind for 50 steps and write the losses."""
    use_fake_world()
    with tempfile.TemporaryDirectory() as name:
        latents = write_latents(Path(name) / "latents")
        for kind in KINDS:
            assert train(kind, latents, Path(name) / "out", "--steps", "50") == 0
        write_json(GOLDEN, {kind: losses(Path(name) / "out", kind) for kind in KINDS})


if __name__ == "__main__":
    write_golden()
