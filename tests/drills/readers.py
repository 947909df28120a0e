"""Readers of untrusted files and messages, each with a good example, for tests.drills.fuzz and guided."""

import io
import json
import pickle
from collections.abc import Callable, Mapping, Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import nn

from benchmark.contract.model import ContractError
from benchmark.contract.protocol import LOOPCRAFT_MINI
from benchmark.harness.run_folder import Workspace
from benchmark.sources.http_protocol import BrokenStreamError, RequestError
from benchmark.sources.machine import MachineError
from benchmark.sources.pictures import list_pictures, read_pictures
from benchmark.sources.predictions import Predictions
from benchmark.weight_files.bundle import Bundle, Network, PublishedFile
from benchmark.weight_files.conversion import LPIPS_LAYERS, NUM_HEADS, convert
from benchmark.weight_files.tensor_files import write_tensors
from leaderboard.checks.clips import check_clips
from leaderboard.checks.entries import check_entry
from leaderboard.entry.card import read_card
from leaderboard.entry.folder import read_entry
from leaderboard.site.data_files import scenes_value
from leaderboard.site.tables import site_tables
from loopcraft.core.decoding import SchemaError
from loopcraft.core.errors import UserError
from loopcraft.core.files import write_json
from loopcraft.executors.local import LocalExecutor
from loopcraft.generation import realised, simulated
from loopcraft.generation.realised import NUM_INTERVALS
from models.checkpoints.format import load_weights, read_published
from models.checkpoints.training_log import read_log
from models.latents.pyramid_files import read_frames, write_frames, write_pyramid
from models.latents.store import PUBLISHED_INDEX, open_latents
from models.networks.tokens import Grid
from tests.drills.files import KINDS
from tests.drills.messages import MESSAGES, Reader
from tests.fakes.entries import make_card, sound_result, write_card, write_entry
from tests.fakes.world import FakeWorld, recipe

REFUSALS = (UserError, OSError, RequestError, BrokenStreamError, ContractError, MachineError, SchemaError)
"""Exceptions with which a reader may refuse: each becomes a sentence, or an HTTP answer with one."""
KEY = "000/000"
GRID = Grid(side=4, levels=2, channels=2)


@dataclass(frozen=True, kw_only=True)
class Example:
    """A good file in a folder, and a function that reads it."""

    path: Path
    read: Callable[[], Any]


def example_of_kind(name: str, root: Path) -> Example:
    """An example of one of the `KINDS`, without the checksums that would reject all mutants."""
    kind = KINDS[name]
    with redirect_stdout(io.StringIO()):
        kind.make(root)
    if kind.make_old is not None:
        kind.make_old(root)
    if kind.path.endswith((".npy", ".mp4", ".npz")):  # the table has their checksums
        for table in ("episodes.parquet", "dataset.json"):
            (root / table).unlink()
    return Example(path=root / kind.path, read=lambda: kind.read(root))


def log(root: Path) -> Example:
    """The log of a training run."""
    path = root / "a.jsonl"
    path.write_text('{"step": 0, "loss": 0.5, "trained_per_second": 2.0}\n{"step": 1, "loss": 0.4}\n')
    return Example(path=path, read=lambda: read_log(path))


def frames(root: Path) -> Example:
    """A container of blobs in the published format."""
    path = root / "a.frames"
    write_frames(path, [bytes([number]) * (number + 1) for number in range(8)])
    return Example(path=path, read=lambda: read_frames(path, 8))


def pyramid(root: Path, *, is_index: bool = False) -> Example:
    """Latents of two videos in the published format; one file of them, or the index, is mutated."""
    lengths = {KEY: 6, "000/001": 4}
    for key, length in lengths.items():
        latents = [torch.ones(length, tokens, GRID.channels) for tokens in GRID.tokens_per_level]
        write_pyramid(root / f"{key}.pyramid", latents, np.zeros((length, 6), np.float32))
    write_json(root / PUBLISHED_INDEX, lengths)

    def read() -> Any:
        latents = open_latents(root, GRID)
        return [latents.read(key, 0, 4, first_level=1) for key in latents.num_frames]

    return Example(path=root / (PUBLISHED_INDEX if is_index else f"{KEY}.pyramid"), read=read)


def published_checkpoint(root: Path) -> Example:
    """A .ckpt as the paper's authors published theirs."""
    path, model = root / "a.ckpt", nn.Linear(3, 2)
    torch.save({"model": model.state_dict(), "step": 3}, path)
    return Example(path=path, read=lambda: load_weights(model, read_published(path), path, published=True))


def list_of_weights(root: Path) -> Example:
    """weights.json; the reader also verifies the files that it names."""
    table = {"a": Network(title="A", licence="MIT", files=(PublishedFile(path="a.bin"),), sources=())}
    (root / "a").mkdir()
    (root / "a/a.bin").write_bytes(b"weights")
    Bundle(root, table).add("a", source="here", revision="1")

    def read() -> Any:
        bundle = Bundle(root, table)
        return bundle.verify("a") if "a" in bundle else None

    return Example(path=root / "weights.json", read=read)


def weights(root: Path, suffix: str) -> Example:
    """A metric's network as a pickle of arrays, a PyTorch file or safetensors."""
    path = root / f"a{suffix}"
    if suffix == ".ckpt":
        unit = {"kernel": np.ones((1, 1, 2, 2), np.float32), "bias": np.ones(2, np.float32)}
        layers = {f"Conv_{number}": unit for number in range(len(LPIPS_LAYERS["alexnet"]))}
        heads = {f"NetLinLayer_{number}": {"Conv_0": unit} for number in range(NUM_HEADS)}
        path.write_bytes(pickle.dumps({"AlexNet_0": layers, **heads}))
    elif suffix == ".pth":
        torch.save({"conv.weight": torch.ones(2, 2), "self_attn.0.bias": torch.ones(2)}, path)
    else:
        write_tensors(path, {"a": torch.ones(2, 2), "b": torch.ones(3, dtype=torch.bfloat16)})
    paths = [path, path] if suffix == ".pth" else [path]
    return Example(path=path, read=lambda: convert("aliked" if len(paths) > 1 else "alexnet", paths))


def predictions(root: Path, suffix: str) -> Example:
    """Finished frames of a video."""
    path, video = root / f"{KEY}{suffix}", np.zeros((LOOPCRAFT_MINI.horizon, 4, 4, 3), np.uint8)
    path.parent.mkdir()
    if suffix == ".npz":
        np.savez_compressed(path, frames=video)
    else:
        np.save(path, video)

    def read() -> Any:
        chunks = Predictions(root, "a").play(None, LOOPCRAFT_MINI, [KEY])  # type: ignore[arg-type]
        return sum(len(chunk) for chunk in chunks)

    return Example(path=path, read=read)


def picture(root: Path) -> Example:
    """One of two pictures of a video."""
    for number in range(2):
        Image.fromarray(np.full((8, 8, 3), 40 * number, np.uint8)).save(root / f"{number}.png")
    return Example(path=root / "1.png", read=lambda: list(read_pictures(list_pictures(root))))


def run_folder(root: Path, name: str) -> Example:
    """A file in the folder of a run."""
    workspace, identity = Workspace(root), {"model": "a", "seed": 0, "metrics": {"psnr": 1}}
    workspace.claim(identity)
    workspace.make_alone([KEY])
    workspace.save_failure(KEY, "a failed", "Traceback ...", device="cpu")
    crash = root / ".000+000.batch"
    crash.write_text(f"{json.dumps([KEY])}\nFatal Python error: Aborted\n\nThread ...")
    reads: dict[str, Callable[[], Any]] = {
        "run.json": lambda: workspace.claim(identity),
        "alone.json": lambda: (workspace.make_alone([KEY]), {KEY} - set(workspace.alone)),
        f"failures/{KEY}.txt": lambda: [workspace.failures([KEY]), workspace.devices_of_failures([KEY])],
        crash.name: lambda: list(workspace.take_crashes([KEY])),
    }
    return Example(path=root / name, read=reads[name])


def candidates(root: Path) -> Example:
    """The walks chosen for an unfinished test split."""
    wanted = recipe("val", num_episodes=3, candidates=9)
    write_json(root / "candidates.json", [1, 4, 7])
    draws = np.full(3, simulated.NO_ROW, np.int64)
    return Example(
        path=root / "candidates.json",
        read=lambda: simulated.episode_job(root, wanted, draws, FakeWorld, LocalExecutor()),
    )


def sighting(root: Path) -> Example:
    """The record of what one of two candidates saw again."""
    wanted = recipe("val", num_episodes=1, candidates=2, select="realised")
    for number in range(2):
        record = {"is_sound": True, "distance_walked": 3.0, "returned": [0.01] * NUM_INTERVALS}
        write_json(root / f"candidates/000/{number:03d}.json", record)
    return Example(
        path=root / f"candidates/{KEY}.json",
        read=lambda: realised.find_returning(root, wanted, LocalExecutor()),
    )


def model_card(root: Path) -> Example:
    """The card of a leaderboard entry."""
    path = root / "card.json"
    write_card(path, make_card())
    return Example(path=path, read=lambda: read_card(path))


def entry(root: Path, name: str) -> Example:
    """A leaderboard entry; its result, a clip, or a scene next to it is mutated."""
    folder = write_entry(root / "entries", sound_result(keys=(KEY, "000/001")), videos=1)
    document = json.loads((folder / "result.json").read_text())
    del document["sha256"]
    write_json(folder / "result.json", document)
    scene = root / "000-000"
    write_json(scene / "walk.json", {"context": 64, "x": [0.5, 1.0], "yaw_deg": [0.0, 10.0], "map": None})
    good_entry = read_entry(folder)
    (table,) = site_tables([good_entry])
    reads: dict[str, tuple[Path, Callable[[], Any]]] = {
        "entry": (folder / "result.json", lambda: check_entry(read_entry(folder), [good_entry])),
        "clip": (folder / "videos/000-000.mp4", lambda: list(check_clips(good_entry))),
        "scene": (scene / "walk.json", lambda: json.dumps(scenes_value(table, {scene.name: scene}))),
    }
    path, read = reads[name]
    return Example(path=path, read=read)


FILES: Mapping[str, Callable[[Path], Example]] = {
    **{name: partial(example_of_kind, name) for name in KINDS},
    "log": log,
    "frames": frames,
    "pyramid": pyramid,
    "index of pyramids": partial(pyramid, is_index=True),
    "published": published_checkpoint,
    "list of weights": list_of_weights,
    **{f"weights {suffix}": partial(weights, suffix=suffix) for suffix in (".ckpt", ".pth", ".safetensors")},
    **{f"predictions {suffix}": partial(predictions, suffix=suffix) for suffix in (".npz", ".npy")},
    "picture": picture,
    "run": partial(run_folder, name="run.json"),
    "alone": partial(run_folder, name="alone.json"),
    "failure": partial(run_folder, name=f"failures/{KEY}.txt"),
    "crash": partial(run_folder, name=".000+000.batch"),
    "candidates": candidates,
    "sighting": sighting,
    "model card": model_card,
    **{name: partial(entry, name=name) for name in ("entry", "clip", "scene")},
}
NAMES: Sequence[str] = (*FILES, *MESSAGES)


def reader_of(name: str, folder: Path) -> Reader:
    """The reader of that name; its files are written below `folder`."""
    if name in MESSAGES:
        return MESSAGES[name]()
    root = folder / name
    root.mkdir()
    example = FILES[name](root)

    def read(content: bytes) -> Any:
        example.path.write_bytes(content)
        return example.read()

    return Reader(good=example.path.read_bytes(), read=read)
