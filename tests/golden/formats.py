"""Golden checks of splits, clip indices, invented actions and file formats (all exact)."""

import io
import tempfile
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from models.latents.pyramid_files import read_frames, read_pyramid, write_frames, write_pyramid
from models.networks.tokens import Grid
from models.train.data.windows import choose_step
from models.zoo.extended_actions import clip_index, extend_actions, split_videos
from tests.golden.folder import Folder
from tests.golden.plans import plan_from
from tests.references.windows import cut_window


def check_splits(folder: Folder) -> None:
    """Check which videos are test and train, and the order of clips."""
    golden = folder.json("split_index.json")
    for name, expected in golden["split"].items():
        split, fraction = name.split("@")
        videos = [list(item) for item in choose(golden["index"], split, float(fraction))]
        folder.equal(f"split {name}", videos, expected)
    for name, expected in golden["video_index"].items():
        split, rest = name.split("@")
        fraction, length = rest.split(",frames_per_clip=")
        videos = choose(golden["index"], split, float(fraction))
        clips = clip_index(videos, None if length == "None" else int(length))
        stored = expected["items"]  # only the first ones
        folder.equal(f"clips {name}", [list(clip) for clip in clips[: len(stored)]], stored)
        folder.equal(f"clips {name}: number", len(clips), expected["len"])


def choose(index: dict, split: str, fraction: float) -> list[tuple[str, int]]:
    """The videos of a split by its published name."""
    test, train = split_videos(index, fraction)
    return {"test": test, "vis": test, "train": train, "all": test + train}[split]


def check_invented_actions(folder: Folder) -> None:
    """Check the actions after the end of a video."""
    expected = folder.arrays("files/expected.npz")
    for case in folder.json("files/formats.json")["extend_actions"]:
        name = f"extend/{case['n_in']}_{case['n_out']}"
        states = expected[name][: case["n_in"]]
        draws = np.random.RandomState(case["numpy_global_seed"])
        folder.equal(name, extend_actions(states, case["n_out"], draws), expected[name])


def grid_of(formats: dict) -> Grid:
    """The latent shape of the example files."""
    channels, side, _ = formats["base_latent_shape_chw"]
    return Grid(side=side, levels=formats["levels"], channels=channels)


def channels_first(latents: torch.Tensor, grid: Grid, level: int) -> np.ndarray:
    """Convert our (T, n, C) to the published (T, C, h, w)."""
    side = grid.side_at(level)
    return latents.float().mT.reshape(len(latents), grid.channels, side, side).numpy()


def check_pyramids(folder: Folder) -> None:
    """Check reading every section, reading a range, and rewriting the same bytes."""
    formats, expected = folder.json("files/formats.json"), folder.arrays("files/expected.npz")
    grid = grid_of(formats)
    for key, count in folder.json("files/index.json").items():
        path = folder.file(f"files/{key}.pyramid")
        folder.equal(f"{key}: bytes", path.stat().st_size, formats["sizes_bytes"][key])
        for first in range(grid.levels):
            latents, actions = read_pyramid(path, grid, count, first_level=first)
            folder.equal(f"{key}: actions of section {first}", actions, expected[f"{key}/actions"])
            for level, part in enumerate(latents, start=first):
                values = channels_first(part, grid, level)
                folder.equal(
                    f"{key}: section {first}, level {level}", values, expected[f"{key}/level{level}"]
                )
        latents, actions = read_pyramid(path, grid, count, start=3, stop=9, first_level=1)
        folder.equal(f"{key}: a stretch", channels_first(latents[0], grid, 1), expected[f"{key}/level1"][3:9])
        with tempfile.TemporaryDirectory() as scratch:
            copy = Path(scratch) / "copy.pyramid"
            write_pyramid(copy, *read_pyramid(path, grid, count))
            folder.equal(f"{key}: written again", copy.read_bytes(), path.read_bytes())


def check_frames(folder: Folder) -> None:
    """Check the .frames container, with empty blobs and with pictures."""
    formats, expected = folder.json("files/formats.json"), folder.arrays("files/expected.npz")
    blobs = [bytes.fromhex(blob) for blob in formats["blobs_hex"]]
    path = folder.file("files/raw.frames")
    folder.equal("raw.frames", read_frames(path, len(blobs)), blobs)
    folder.equal("raw.frames: a stretch", read_frames(path, len(blobs), 1, 4), blobs[1:4])
    with tempfile.TemporaryDirectory() as scratch:
        copy = Path(scratch) / "copy.frames"
        write_frames(copy, blobs)
        folder.equal("raw.frames: written again", copy.read_bytes(), path.read_bytes())
    pictures = expected["png_frames/uint8"]
    stored = read_frames(folder.file("files/png.frames"), len(pictures))
    decoded = np.stack([np.asarray(Image.open(io.BytesIO(blob))) for blob in stored])
    folder.equal("png.frames", decoded, pictures)
    rounded = (torch.from_numpy(decoded).movedim(-1, 1) / 255).bfloat16().float().numpy()
    folder.equal("png.frames in bfloat16", rounded, expected["png_frames/decoded_bf16_as_f32"])


def check_items(folder: Folder) -> None:
    """Check items of the published data sets: training windows, whole test videos, dense clips."""
    formats, expected = folder.json("files/formats.json"), folder.arrays("files/expected.npz")
    grid, index = grid_of(formats), folder.json("files/index.json")
    check_windows(folder, formats["universal_dataset"], expected, grid, index)
    check_videos(folder, formats["universal_dataset"], expected, grid, index)
    dense = formats["dense_dataset"]
    for split, length in (("train", dense["train_num_frames"]), ("all", dense["test_num_frames"])):
        clips = clip_index(split_videos(index, 0.0)[1], length)
        folder.equal(f"dense {split}: clips", [list(clip) for clip in clips], dense[split]["items"])
        key, start = clips[0]
        path = folder.file(f"files/{key}.pyramid")
        latents, actions = read_pyramid(path, grid, index[key], start=start, stop=start + length)
        values = channels_first(latents[0], grid, 0)
        folder.equal(f"dense {split}: latents", values, expected[f"dense/{split}/item0/latents"])
        folder.equal(f"dense {split}: actions", actions, expected[f"dense/{split}/item0/actions"])


def check_windows(folder: Folder, test: dict, expected: dict, grid: Grid, index: dict) -> None:
    """Check the item that training reads for every step of a plan."""
    plan = plan_from(test["strategy"], grid.tokens_at(0))
    clips = clip_index(split_videos(index, 0.0)[1], plan.num_frames)
    folder.equal("train: clips", [list(clip) for clip in clips], test["train_index"])
    for step in range(len(plan.steps)):
        prefix = f"train/step{step}"
        folder.equal(f"{prefix}: choice", choose_step(plan, float(expected[f"{prefix}/u"])), step)
        key, start = clips[test[f"train_step{step}_item"]]
        path = folder.file(f"files/{key}.pyramid")
        latents, actions = read_pyramid(path, grid, index[key], start=start, stop=start + plan.num_frames)
        window = cut_window(latents, actions, plan, step, grid)
        for name, values in (
            ("tokens", window.tokens.float()),
            ("indices", window.address),
            ("actions", window.actions),
            ("roles", window.roles),
        ):
            folder.equal(f"{prefix}: {name}", values.numpy(), expected[f"{prefix}/{name}"])


def check_videos(folder: Folder, test: dict, expected: dict, grid: Grid, index: dict) -> None:
    """Check whole evaluation videos; short ones are padded with zero tokens and invented actions."""
    plan = plan_from(test["strategy"], grid.tokens_at(0))
    start = test["first_denoised_frame"]
    chunks = plan.num_chunks(test["test_num_frames"] - start)
    end = start + chunks * plan.width + plan.num_drafts
    folder.equal("test: buffer end", end, test["buffer_end"])
    items = clip_index(split_videos(index, 0.0)[1], None)
    folder.equal("test: videos", [list(item) for item in items], test["all_index"])
    for number, (key, _) in enumerate(items):
        if f"test_item{number}" not in test:
            continue
        real = min(end, index[key])
        latents, rows = read_pyramid(folder.file(f"files/{key}.pyramid"), grid, index[key], stop=real)
        rows = extend_actions(
            rows, end, np.random.RandomState(test[f"test_item{number}"]["numpy_global_seed"])
        )
        frames = [torch.arange(real), torch.arange(real, end)]
        address = torch.cat(
            [grid.addresses(part, level) for part in frames for level in range(plan.num_levels)]
        )
        tokens = torch.cat([level.float().flatten(0, 1) for level in latents[: plan.num_levels]])
        tokens = torch.nn.functional.pad(tokens, (0, 0, 0, len(address) - len(tokens)))
        for name, values in (
            ("tokens", tokens.numpy()),
            ("indices", address.numpy()),
            ("actions", rows[address[:, 0].numpy()]),
        ):
            folder.equal(f"test {key}: {name}", values, expected[f"test/item{number}/{name}"])


CHECKS = [check_splits, check_invented_actions, check_pyramids, check_frames, check_items]
