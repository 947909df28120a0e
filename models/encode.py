"""Encode a data set's frames to latents: `python -m models.encode DATA --out DIR --checkpoint published`.

Run the same command again to resume: encoded videos are skipped, and index.json is written last.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Annotated, Literal

import torch
import tyro

from loopcraft.core.cli import require_at_least, run
from loopcraft.core.device import find_device
from loopcraft.core.errors import UserError
from loopcraft.core.files import read_json, sweep_partials, write_json
from loopcraft.core.progress import progress_bar
from loopcraft.core.urls import AnyPath, existing
from loopcraft.core.writing import writing_to
from loopcraft.dataset import LoopcraftDataset, open_dataset
from loopcraft.executors.base import require_arrived
from loopcraft.executors.choice import WorkerFlags, open_executor
from loopcraft.executors.shard import shard_range
from models.latents.codec import FrameCodec
from models.latents.store import MANIFEST, manifest_of, video_name, write_index, write_video
from models.networks.autoencoder import Autoencoder
from models.networks.precision import Precision, uses_bfloat16
from models.zoo.loading import WeightSource, load_autoencoder

FRAMES_READ_AT_ONCE = 256
"""Frames of a video that are decoded in one go; the networks get them in smaller batches."""


@dataclass(frozen=True, kw_only=True)
class Flags:
    """What is encoded, with what, and where the latents go."""

    data: Annotated[Path, tyro.conf.Positional]
    """The data set: a folder, its address as in s3://BUCKET/FOLDER, or hf://ORG/NAME."""
    out: Path
    """The folder of the latents, or its address."""
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
    workers: WorkerFlags = field(default_factory=WorkerFlags)


@dataclass(frozen=True, kw_only=True)
class Encoder:
    """What a worker holds: the autoencoder on its device."""

    codec: FrameCodec
    device: torch.device


def encode(flags: Flags) -> None:
    """Encode what is missing; write the index unless it is of a shard."""
    require_at_least(flags, max_videos=1)
    asked = flags.workers
    out = asked.shared_path(flags.out)
    with writing_to(out, together=asked.is_shard, swept=()):
        dataset = open_dataset(asked.shared_path(flags.data))
        keys = dataset.keys[: flags.max_videos]
        part = shard_range(asked.shard, len(keys), "videos")
        autoencoder = _claim(flags, dataset, out)
        if not asked.is_shard:
            sweep_partials(out)
        _encode_missing(flags, autoencoder, dataset, out, keys[part.start : part.stop])
        if asked.is_shard:
            print(
                f"{out}: shard {asked.shard} has the latents of its {len(part)} videos; when all shards have "
                "ended, the same command without --shard writes the index"
            )
            return
        finished = encoded(out, dataset.keys)
        sweep_partials(out)  # of workers that were lost
        write_index(out, {key: dataset.num_frames(key) for key in finished})
        print(f"{out}: holds the latents of {len(finished)} videos")


def _claim(flags: Flags, dataset: LoopcraftDataset, out: AnyPath) -> Autoencoder:
    """Load the autoencoder, and write into the folder whose latents it holds."""
    size = dataset.frames(dataset.keys[0], 0, 1).shape[1]
    source = WeightSource(
        checkpoint=flags.checkpoint, preset=flags.preset, frame_size=size, world=dataset.world_id
    )
    autoencoder, sha256 = load_autoencoder(flags.model, source)
    manifest = manifest_of(
        autoencoder.grid,
        getattr(torch, flags.dtype),
        autoencoder_sha256=sha256,
        data_fingerprint=dataset.fingerprint,
        computed_in="bfloat16" if uses_bfloat16(flags.precision, _device(flags)) else "float32",
    )
    if (out / MANIFEST).exists() and read_json(out / MANIFEST) != manifest:
        raise UserError(f"{out}: holds latents of other frames, weights or precision; choose another --out")
    write_json(out / MANIFEST, manifest)
    return autoencoder


def _encode_missing(
    flags: Flags, autoencoder: Autoencoder, dataset: LoopcraftDataset, out: AnyPath, keys: Sequence[str]
) -> None:
    """Encode those of the videos whose latents are not there."""
    asked = flags.workers
    if asked.executor == "local":
        asked = replace(asked, workers=1)  # for the one device
    there = set(encoded(out, keys))
    missing = [key for key in keys if key not in there]
    job = partial(encode_video, dataset=dataset, out=out, dtype=getattr(torch, flags.dtype))
    make_encoder = partial(place_encoder, autoencoder, flags.device, flags.precision)
    with (
        open_executor(asked, num_gpus=int(_device(flags).type == "cuda")) as executor,
        progress_bar("encoding", len(keys), "videos", len(there)) as advance,
    ):
        for _ in executor.run(job, missing, make_state=make_encoder):
            advance()
    require_arrived(out, lambda: sorted(set(missing) - set(encoded(out, missing))), "videos")


def _device(flags: Flags) -> torch.device:
    """The device, which on a cluster this machine need not have."""
    return torch.device(flags.device) if flags.workers.executor == "ray" else find_device(flags.device)


def encoded(out: AnyPath, keys: Sequence[str]) -> list[str]:
    """Those of the videos whose latents are there."""
    there = existing(out, [video_name(key) for key in keys])
    return [key for key in keys if video_name(key) in there]


def place_encoder(autoencoder: Autoencoder, device: str, precision: Precision) -> Encoder:
    """A worker's encoder; raises `UserError` where its machine has no such device."""
    found = find_device(device)
    return Encoder(codec=FrameCodec(autoencoder.to(found), precision), device=found)


def encode_video(
    encoder: Encoder, key: str, *, dataset: LoopcraftDataset, out: AnyPath, dtype: torch.dtype
) -> None:
    """Write the latents of one video."""
    parts = []
    for start in range(0, dataset.num_frames(key), FRAMES_READ_AT_ONCE):
        stop = min(start + FRAMES_READ_AT_ONCE, dataset.num_frames(key))
        frames = torch.from_numpy(dataset.frames(key, start, stop)).movedim(-1, 1)
        latents = encoder.codec.encode(frames[None].to(encoder.device))
        parts.append([level[0].to(dtype).cpu() for level in latents])
    levels = [torch.cat(level) for level in zip(*parts, strict=True)]
    write_video(out, key, levels, dataset.states(key))


main = partial(run, Flags, encode)

if __name__ == "__main__":
    raise SystemExit(main())
