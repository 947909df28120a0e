"""Checkpoints for a Hub repository: which files of a folder they are, and what it will hold with them."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from huggingface_hub import HfApi, hf_hub_download
from huggingface_hub.errors import SafetensorsParsingError

from benchmark.results.result_file import Result, read_result
from loopcraft.core.errors import UserError
from loopcraft.core.files import file_sha256
from loopcraft.hub import repository as hub
from loopcraft.hub.errors import MODEL, plain_errors
from models.checkpoints.format import describe_checkpoint, header_of, read_checkpoint
from models.checkpoints.training_log import read_log
from models.publishing.card import Checkpoint
from models.zoo.loading import (
    AUTOENCODERS,
    SUFFIX,
    config_from,
    model_sha256,
    require_kind,
    require_same_autoencoder,
)
from models.zoo.presets import MODELS

LOG = ".jsonl"


def find_files(folder: Path) -> dict[str, Path]:
    """The checkpoints in `folder` and their logs, by name; `UserError` if one is damaged or there is none."""
    if not folder.is_dir():
        raise UserError(f"{folder}: no such folder; give the folder of a checkpoint (--out of models.train)")
    checkpoints = [path for path in sorted(folder.glob(f"*{SUFFIX}")) if is_model(path.stem)]
    if not checkpoints:
        raise UserError(
            f"{folder}: holds no checkpoint (autoencoder{SUFFIX}, millivid{SUFFIX}, ...); give the folder of "
            "one"
        )
    for path in checkpoints:
        header, _ = read_checkpoint(path)
        _require_described(header, path.stem, str(path))
    logs = [log for path in checkpoints if (log := path.with_suffix(LOG)).is_file()]
    return {path.name: path for path in [*checkpoints, *logs]}


def is_model(stem: str) -> bool:
    """Whether a file of weights called `stem` is one that models are loaded from."""
    return stem in AUTOENCODERS or stem in MODELS


def is_checkpoint_file(path: str) -> bool:
    """Whether a checkpoint or its log could lie at `path`."""
    return path.endswith((SUFFIX, LOG)) and "/" not in path and is_model(Path(path).stem)


def describe(
    repository: str, files: Mapping[str, Path], listing: hub.Listing | None
) -> dict[str, Checkpoint]:
    """All checkpoints that the repository will hold, by stem: autoencoders first."""
    there = {} if listing is None else listing.files
    names = {path for path in {*there, *files} if path.endswith(SUFFIX)}
    order = sorted(
        names, key=lambda path: (Path(path).stem not in AUTOENCODERS, path != "millivid" + SUFFIX, path)
    )
    found = {}
    for name in order:
        stem = name.removesuffix(SUFFIX)
        if name in files:
            header, parameters = describe_checkpoint(files[name])
            num_bytes, sha256 = files[name].stat().st_size, file_sha256(files[name])
            place = str(files[name])
        else:
            assert listing is not None
            header, parameters = _describe_remote(repository, name, listing)
            num_bytes, sha256 = there[name].size, hub.stored_sha256(listing, name)
            place = f"{repository}/{name}"
        _require_described(header, stem, place)
        log = files.get(stem + LOG)
        if log is None and (name not in files or hub.is_same(files[name], there.get(name))):
            log = _remote_log(repository, stem + LOG, listing)
        found[stem] = Checkpoint(
            place=place,
            header=header,
            parameters=parameters,
            num_bytes=num_bytes,
            sha256=sha256,
            last_record=None if log is None else last_record(log, header),
        )
    return found


def _require_described(header: dict[str, Any], stem: str, place: str) -> None:
    """Raise `UserError` unless the header has what the card tells."""
    require_kind(stem, config_from(header, place), place)
    training = header.get("training", {})
    lacking = [name for name in ("step", "batch_size", "seed", "data") if training and name not in training]
    if lacking:
        raise UserError(f"{place}: its training lacks {', '.join(lacking)}; save it with models.train")


def _describe_remote(repository: str, name: str, listing: hub.Listing) -> tuple[dict[str, Any], int]:
    try:
        with plain_errors(repository, MODEL):
            stored = HfApi().parse_safetensors_file_metadata(repository, name, revision=listing.commit)
    except SafetensorsParsingError as error:
        raise UserError(
            f"{repository}: its {name} is damaged; remove it there, or publish it again"
        ) from error
    return header_of(stored.metadata, f"{repository}/{name}"), sum(stored.parameter_count.values())


def _remote_log(repository: str, name: str, listing: hub.Listing | None) -> Path | None:
    if listing is None or name not in listing.files:
        return None
    with plain_errors(repository, MODEL):
        return Path(hf_hub_download(repository, name, revision=listing.commit))


def last_record(log: Path, header: Mapping[str, Any]) -> dict[str, Any] | None:
    """The last record of a training's log; None if the log is not of the weights with this header."""
    records = read_log(log)
    ends_with_the_weights = records and records[-1]["step"] + 1 == header.get("training", {}).get("step")
    return records[-1] if ends_with_the_weights else None


def require_autoencoders(checkpoints: Mapping[str, Checkpoint], folder: Path) -> None:
    """Raise `UserError` unless each video model comes with the autoencoder that it was trained on."""
    for stem, found in checkpoints.items():
        if stem in AUTOENCODERS:
            continue
        needed = MODELS[stem].autoencoder
        if needed not in checkpoints:
            raise UserError(
                f"{folder}: holds {stem}{SUFFIX} but not its {needed}{SUFFIX}; put it there as well"
            )
        autoencoder = checkpoints[needed]
        require_same_autoencoder(
            found.header, found.place, autoencoder.header, autoencoder.place, autoencoder.sha256
        )


def split_results(
    results: Mapping[str, Result], checkpoints: Mapping[str, Checkpoint]
) -> tuple[dict[str, Result], dict[str, Result]]:
    """The results that are of these checkpoints, or bounds, and those that are of other weights."""
    ours = {
        model_sha256(checkpoints[needed].sha256, found.sha256)
        for stem, found in checkpoints.items()
        if stem not in AUTOENCODERS and (needed := MODELS[stem].autoencoder) in checkpoints
    }
    fitting = {
        path: result
        for path, result in results.items()
        if result.model.role == "bound" or result.model.checkpoint_sha256 in ours
    }
    return fitting, {path: result for path, result in results.items() if path not in fitting}


def require_own_results(results: Mapping[str, Path], checkpoints: Mapping[str, Checkpoint]) -> None:
    """Raise `UserError` for the first of these result files that is of other weights than will be there."""
    _, foreign = split_results({path: read_result(place) for path, place in results.items()}, checkpoints)
    for path, result in foreign.items():
        raise UserError(
            f"{results[path]}: is a result of {result.model.name} with other weights (SHA-256 "
            f"{str(result.model.checkpoint_sha256)[:12]}...) than are published; score these, or leave it out"
        )
