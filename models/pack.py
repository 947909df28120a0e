"""Shrink trained checkpoints for release: `python -m models.pack RUN --out DIR`.

Stores the weights in a half or a quarter of the bits, along with sampling settings and the training log.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Literal

import torch
import tyro

from loopcraft.core.cli import require_at_least, run
from loopcraft.core.errors import UserError
from loopcraft.core.files import file_sha256, whole_file
from loopcraft.core.writing import writing_to
from models.checkpoints.format import Weights, read_checkpoint, save_checkpoint
from models.checkpoints.quantize import from_int8, to_int8
from models.checkpoints.training_log import read_log
from models.sampling.diffusion import Sampling, Solver
from models.zoo.loading import AUTOENCODERS, SUFFIX, config_from


@dataclass(frozen=True, kw_only=True)
class Flags:
    """The checkpoints to pack and their sampling settings."""

    run: Annotated[Path, tyro.conf.Positional]
    """The folder of trained checkpoints."""
    out: Path
    """The output folder for the packed checkpoints."""
    dtype: Literal["float16", "bfloat16", "float32", "int8"] = "float16"
    """Data type of stored weights (int8: matrices, by rows); networks compute in float32 or autocast."""
    steps: int = 50
    """Default number of network calls per plan step."""
    solver: Solver = "ddim"
    """Default solver: ddim (the paper's) or dpm++2m, which needs fewer network calls."""
    bound: float | None = None
    """Largest absolute value of the model's latents; predictions are clipped to it."""
    context_time: float = 0.0
    """Noise level of the context, for networks trained with noisy context."""
    log_every: int = 10
    """Keep every N-th step of the logs, and the last one."""


def pack(flags: Flags) -> None:
    """Pack all checkpoints of a folder."""
    require_at_least(flags, steps=1, log_every=1)
    paths = sorted(flags.run.glob(f"*{SUFFIX}"))
    if not paths:
        raise UserError(f"{flags.run}: holds no {SUFFIX} file; give the folder of trained checkpoints")
    if flags.out.resolve() == flags.run.resolve():
        raise UserError(f"--out {flags.out} holds the trained checkpoints themselves; choose another folder")
    with writing_to(flags.out, together=True):
        for path in paths:
            _pack(flags, path)


def _pack(flags: Flags, path: Path) -> None:
    header, weights = read_checkpoint(path)
    config = config_from(header, path)
    origin: dict[str, Any] = {"packed_from": header.get("packed_from", file_sha256(path))}
    if "training" in header:
        origin["training"] = header["training"]
    if path.stem not in AUTOENCODERS:
        origin["sampling"] = sampling_header(flags)
    packed = flags.out / path.name
    log = path.with_suffix(".jsonl")
    records = read_log(log) if log.exists() else []
    save_checkpoint(packed, _convert(weights, flags.dtype, path), config, **origin)
    summary = f"{packed}: {packed.stat().st_size / 1e6:.2f} MB"
    if records:
        with whole_file(packed.with_suffix(".jsonl")) as temporary:
            thinned = _thin(records, flags.log_every)
            temporary.write_text("".join(json.dumps(record) + "\n" for record in thinned))
        minutes = training_minutes(records, header.get("training", {}).get("batch_size", 0))
        summary += f", {records[-1]['step'] + 1} steps in {minutes:.0f} minutes"
    print(summary)


def sampling_header(flags: Flags) -> dict[str, Any]:
    """Return the header's sampling field: steps and solver, and whatever else differs from the paper."""
    optional = {"bound": flags.bound, "context_time": flags.context_time or None}
    changed = {name: value for name, value in optional.items() if value is not None}
    sampling: dict[str, Any] = {"steps": flags.steps, "solver": flags.solver, **changed}
    Sampling(**sampling)  # raises UserError for invalid values
    return sampling


def training_minutes(records: Sequence[Mapping[str, Any]], batch_size: int) -> float:
    """Estimate how long the logged steps took from the throughput that some records state."""
    seconds, last = 0.0, -1
    for record in records:
        if "trained_per_second" in record:
            seconds += (record["step"] - last) * batch_size / record["trained_per_second"]
            last = record["step"]
    return seconds / 60


def _convert(weights: Weights, dtype: str, path: Path) -> Weights:
    """Convert the weights to `dtype`; raise `UserError` if a value is outside its range."""
    if dtype == "int8":
        converted = to_int8(weights)
    else:
        converted = {name: value.to(getattr(torch, dtype)) for name, value in weights.items()}
    for name, value in from_int8(converted).items():
        if not value.isfinite().all():
            raise UserError(f"{path}: {name} is not finite in {dtype}; choose another --dtype")
    return converted


def _thin(records: list[dict[str, Any]], every: int) -> list[dict[str, Any]]:
    """Keep every N-th step, the records that state the throughput, and the last one."""
    return [
        record
        for record in records
        if record["step"] % every == 0 or "trained_per_second" in record or record is records[-1]
    ]


main = partial(run, Flags, pack)

if __name__ == "__main__":
    raise SystemExit(main())
