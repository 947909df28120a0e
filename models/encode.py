"""Encode a data set's frames to latents: `python -m models.encode DATA --out DIR --checkpoint published`.

Run the same command again to resume: encoded videos are skipped, and index.json is written last.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import torch
import tyro
from rich.progress import track

from loopcraft.core.cli import run
from loopcraft.core.device import find_device
from loopcraft.core.errors import UserError
from loopcraft.core.files import read_json, sweep_partials, write_json
from loopcraft.core.writing import writing_to
from loopcraft.dataset import open_dataset
from models.latents.codec import FrameCodec
from models.latents.store import MANIFEST, manifest_of, video_file, write_index, write_video
from models.networks.precision import Precision, uses_bfloat16
from models.zoo.loading import WeightSource, load_autoencoder

FRAMES_READ_AT_ONCE = 256
"""Frames of a video that are decoded in one go; the networks get them in smaller batches."""


@dataclass(frozen=True, kw_only=True)
class Flags:
    """What is encoded, with what, and where the latents go."""

    data: Annotated[Path, tyro.conf.Positional]
    """The data set: a folder, or hf://ORG/NAME."""
    out: Path
    """The folder of the latents."""
    checkpoint: str | None = None
    """"pretrained" (the default), "published", a folder with an autoencoder, or hf://ORG/NAME."""
    preset: str | None = None
    """As in paper or trial: random weights, for trying things out."""
    model: str = "millivid"
    """Whose autoencoder: millivid, or millivid-cascaded."""
    dtype: Literal["float16", "bfloat16"] = "bfloat16"
    """How latents are stored."""
    device: str = "cpu"
    precision: Precision = "auto"
    max_videos: int | None = None
    """Encode only the first N videos."""


def encode(flags: Flags) -> None:
    """Encode what is missing."""
    with writing_to(flags.out, swept=()):
        _encode(flags)


def _encode(flags: Flags) -> None:
    if flags.max_videos is not None and flags.max_videos < 1:
        raise UserError(f"--max-videos {flags.max_videos}: choose 1 or more")
    device = find_device(flags.device)
    dataset = open_dataset(flags.data)
    keys = dataset.keys[: flags.max_videos]
    size = dataset.frames(keys[0], 0, 1).shape[1]
    source = WeightSource(
        checkpoint=flags.checkpoint, preset=flags.preset, frame_size=size, world=dataset.world_id
    )
    autoencoder, sha256 = load_autoencoder(flags.model, source)
    codec = FrameCodec(autoencoder.to(device), flags.precision)
    dtype = getattr(torch, flags.dtype)
    manifest = manifest_of(
        autoencoder.grid,
        dtype,
        autoencoder_sha256=sha256,
        data_fingerprint=dataset.fingerprint,
        computed_in="bfloat16" if uses_bfloat16(flags.precision, device) else "float32",
    )
    if (flags.out / MANIFEST).exists() and read_json(flags.out / MANIFEST) != manifest:
        raise UserError(
            f"{flags.out}: holds latents of other frames, weights or precision; choose another --out"
        )
    sweep_partials(flags.out)
    write_json(flags.out / MANIFEST, manifest)
    for key in track(keys, description="videos"):
        if video_file(flags.out, key).exists():
            continue
        parts = []
        for start in range(0, dataset.num_frames(key), FRAMES_READ_AT_ONCE):
            stop = min(start + FRAMES_READ_AT_ONCE, dataset.num_frames(key))
            frames = torch.from_numpy(dataset.frames(key, start, stop)).movedim(-1, 1)
            parts.append([level[0].to(dtype).cpu() for level in codec.encode(frames[None].to(device))])
        levels = [torch.cat(level) for level in zip(*parts, strict=True)]
        write_video(flags.out, key, levels, dataset.states(key))
    finished = [key for key in dataset.keys if video_file(flags.out, key).exists()]
    write_index(flags.out, {key: dataset.num_frames(key) for key in finished})
    print(f"{flags.out}: holds the latents of {len(finished)} videos")


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command."""
    return run(Flags, encode, argv)


if __name__ == "__main__":
    raise SystemExit(main())
