"""Encode a data set's frames to latents: `python -m models.encode DATA --out DIR --checkpoint published`.

Run the same command again to resume: it skips encoded videos. It writes index.json last.
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
from models.latents.store import MANIFEST, make_manifest, video_name, write_index, write_video
from models.networks.autoencoder import Autoencoder
from models.networks.precision import Precision, uses_bfloat16
from models.zoo.loading import WeightSource, load_autoencoder

FRAMES_READ_AT_ONCE = 256
"""Frames of a video to decode at once; the networks receive them in smaller batches."""


@dataclass(frozen=True, kw_only=True)
class Flags:
    """The data set, the autoencoder and the output folder."""

    data: Annotated[Path, tyro.conf.Positional]
    """The data set: a folder, an address such as s3://BUCKET/FOLDER, or hf://ORG/NAME."""
    out: Path
    """The output folder for the latents, or its address."""
    checkpoint: str | None = None
    """"pretrained" (the default), "published", a folder with an autoencoder, or hf://ORG/NAME."""
    preset: str | None = None
    """Use random weights of this preset, such as paper or trial, for trying things out."""
    model: str = "millivid"
    """The model whose autoencoder to use: millivid or millivid-cascaded."""
    dtype: Literal["float16", "bfloat16"] = "bfloat16"
    """Data type of the stored latents."""
    device: str = "cpu"
    precision: Precision = "auto"
    max_videos: int | None = None
    """Encode only the first N videos."""
    workers: WorkerFlags = field(default_factory=WorkerFlags)


@dataclass(frozen=True, kw_only=True)
class Encoder:
    """A worker's state: the autoencoder on its device."""

    codec: FrameCodec
    device: torch.device


def encode(flags: Flags) -> None:
    """Encode the videos that are not yet encoded; write the index unless this run is a shard."""
    require_at_least(flags, max_videos=1)
    workers = flags.workers
    out = workers.shared_path(flags.out)
    with writing_to(out, together=workers.is_shard, swept=()):
        dataset = open_dataset(workers.shared_path(flags.data))
        keys = dataset.keys[: flags.max_videos]
        part = shard_range(workers.shard, len(keys), "videos")
        autoencoder = _write_manifest(flags, dataset, out)
        if not workers.is_shard:
            sweep_partials(out)
        _encode_missing(flags, autoencoder, dataset, out, keys[part.start : part.stop])
        if workers.is_shard:
            print(
                f"{out}: shard {workers.shard} has the latents of its {len(part)} videos; once all shards "
                "have ended, run the same command without --shard to write the index"
            )
            return
        finished = find_encoded(out, dataset.keys)
        sweep_partials(out)  # left behind by lost workers
        write_index(out, {key: dataset.num_frames(key) for key in finished})
        print(f"{out}: holds the latents of {len(finished)} videos")


def _write_manifest(flags: Flags, dataset: LoopcraftDataset, out: AnyPath) -> Autoencoder:
    """Load the autoencoder and record in `out` which weights, data and precision its latents come from."""
    size = dataset.frames(dataset.keys[0], 0, 1).shape[1]
    source = WeightSource(
        checkpoint=flags.checkpoint, preset=flags.preset, frame_size=size, world=dataset.world_id
    )
    autoencoder, sha256 = load_autoencoder(flags.model, source)
    manifest = make_manifest(
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
    workers = flags.workers
    if workers.executor == "local":
        workers = replace(workers, workers=1)  # the machine uses a single device
    finished = set(find_encoded(out, keys))
    missing = [key for key in keys if key not in finished]
    job = partial(encode_video, dataset=dataset, out=out, dtype=getattr(torch, flags.dtype))
    make_encoder = partial(place_encoder, autoencoder, flags.device, flags.precision)
    with (
        open_executor(workers, num_gpus=int(_device(flags).type == "cuda")) as executor,
        progress_bar("encoding", len(keys), "videos", len(finished)) as advance,
    ):
        for _ in executor.run(job, missing, make_state=make_encoder):
            advance()
    require_arrived(out, lambda: sorted(set(missing) - set(find_encoded(out, missing))), "videos")


def _device(flags: Flags) -> torch.device:
    """Return the device; on a cluster, this machine does not need to have it."""
    return torch.device(flags.device) if flags.workers.executor == "ray" else find_device(flags.device)


def find_encoded(out: AnyPath, keys: Sequence[str]) -> list[str]:
    """Return the keys of the videos whose latents exist in `out`."""
    names = existing(out, [video_name(key) for key in keys])
    return [key for key in keys if video_name(key) in names]


def place_encoder(autoencoder: Autoencoder, device_name: str, precision: Precision) -> Encoder:
    """Set up a worker's encoder; raise `UserError` if the worker's machine lacks the device."""
    device = find_device(device_name)
    return Encoder(codec=FrameCodec(autoencoder.to(device), precision), device=device)


def encode_video(
    encoder: Encoder, key: str, *, dataset: LoopcraftDataset, out: AnyPath, dtype: torch.dtype
) -> None:
    """Encode one video and write its latents and states."""
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
