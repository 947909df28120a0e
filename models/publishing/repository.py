"""Finds the checkpoints to publish in a folder and describes the Hub repository that will hold them."""

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
from models.checkpoints.format import describe_checkpoint, parse_header, read_checkpoint
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
    """Return the checkpoints and logs in `folder` by name.

    Raises `UserError` if there are no checkpoints or one is damaged.
    """
    if not folder.is_dir():
        raise UserError(f"{folder}: no such folder; give the folder of a checkpoint (--out of models.train)")
    checkpoints = [path for path in sorted(folder.glob(f"*{SUFFIX}")) if is_model(path.stem)]
    if not checkpoints:
        raise UserError(
            f"{folder}: holds no checkpoint (autoencoder{SUFFIX}, millivid{SUFFIX}, ...); give a folder that "
            "does"
        )
    for path in checkpoints:
        header, _ = read_checkpoint(path)
        _require_described(header, path.stem, str(path))
    logs = [log for path in checkpoints if (log := path.with_suffix(LOG)).is_file()]
    return {path.name: path for path in [*checkpoints, *logs]}


def is_model(stem: str) -> bool:
    """Return whether models are loaded from a weight file called `stem`."""
    return stem in AUTOENCODERS or stem in MODELS


def is_checkpoint_file(path: str) -> bool:
    """Return whether `path` in a repository is that of a checkpoint or its log."""
    return path.endswith((SUFFIX, LOG)) and "/" not in path and is_model(Path(path).stem)


def describe(
    repository: str, files: Mapping[str, Path], listing: hub.Listing | None
) -> dict[str, Checkpoint]:
    """Describe all checkpoints that the repository will hold, by stem, autoencoders first."""
    remote = {} if listing is None else listing.files
    names = {path for path in {*remote, *files} if path.endswith(SUFFIX)}
    order = sorted(
        names, key=lambda path: (Path(path).stem not in AUTOENCODERS, path != "millivid" + SUFFIX, path)
    )
    checkpoints = {}
    for name in order:
        stem = name.removesuffix(SUFFIX)
        if name in files:
            header, parameters = describe_checkpoint(files[name])
            num_bytes, sha256 = files[name].stat().st_size, file_sha256(files[name])
            location = str(files[name])
        else:
            assert listing is not None
            header, parameters = _describe_remote(repository, name, listing)
            num_bytes, sha256 = remote[name].size, hub.stored_sha256(listing, name)
            location = f"{repository}/{name}"
        _require_described(header, stem, location)
        log = files.get(stem + LOG)
        if log is None and (name not in files or hub.is_same(files[name], remote.get(name))):
            log = _remote_log(repository, stem + LOG, listing)
        checkpoints[stem] = Checkpoint(
            location=location,
            header=header,
            parameters=parameters,
            num_bytes=num_bytes,
            sha256=sha256,
            last_record=None if log is None else last_record(log, header),
        )
    return checkpoints


def _require_described(header: dict[str, Any], stem: str, location: str) -> None:
    """Raise `UserError` unless the header has all that the card reports."""
    require_kind(stem, config_from(header, location), location)
    training = header.get("training", {})
    missing = [name for name in ("step", "batch_size", "seed", "data") if training and name not in training]
    if missing:
        raise UserError(f"{location}: its training lacks {', '.join(missing)}; save it with models.train")


def _describe_remote(repository: str, name: str, listing: hub.Listing) -> tuple[dict[str, Any], int]:
    try:
        with plain_errors(repository, MODEL):
            stored = HfApi().parse_safetensors_file_metadata(repository, name, revision=listing.commit)
    except SafetensorsParsingError as error:
        raise UserError(
            f"{repository}: its {name} is damaged; remove it there or publish it again"
        ) from error
    return parse_header(stored.metadata, f"{repository}/{name}"), sum(stored.parameter_count.values())


def _remote_log(repository: str, name: str, listing: hub.Listing | None) -> Path | None:
    if listing is None or name not in listing.files:
        return None
    with plain_errors(repository, MODEL):
        return Path(hf_hub_download(repository, name, revision=listing.commit))


def last_record(log: Path, header: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return the last record of a training log; None if the log does not end at this header's step."""
    records = read_log(log)
    matches = records and records[-1]["step"] + 1 == header.get("training", {}).get("step")
    return records[-1] if matches else None


def require_autoencoders(checkpoints: Mapping[str, Checkpoint], folder: Path) -> None:
    """Raise `UserError` unless each video model comes with the autoencoder that it was trained with."""
    for stem, video in checkpoints.items():
        if stem in AUTOENCODERS:
            continue
        name = MODELS[stem].autoencoder
        if name not in checkpoints:
            raise UserError(f"{folder}: holds {stem}{SUFFIX} but not its {name}{SUFFIX}; add that file")
        autoencoder = checkpoints[name]
        require_same_autoencoder(
            video.header, video.location, autoencoder.header, autoencoder.location, autoencoder.sha256
        )


def split_results(
    results: Mapping[str, Result], checkpoints: Mapping[str, Checkpoint]
) -> tuple[dict[str, Result], dict[str, Result]]:
    """Split results into those of these checkpoints or of bounds, and those of other weights."""
    published = {
        model_sha256(checkpoints[autoencoder].sha256, video.sha256)
        for stem, video in checkpoints.items()
        if stem not in AUTOENCODERS and (autoencoder := MODELS[stem].autoencoder) in checkpoints
    }
    own = {
        path: result
        for path, result in results.items()
        if result.model.role == "bound" or result.model.checkpoint_sha256 in published
    }
    return own, {path: result for path, result in results.items() if path not in own}


def require_own_results(results: Mapping[str, Path], checkpoints: Mapping[str, Checkpoint]) -> None:
    """Raise `UserError` if one of these result files is of weights that the repository will not hold."""
    _, foreign = split_results({path: read_result(file) for path, file in results.items()}, checkpoints)
    for path, result in foreign.items():
        raise UserError(
            f"{results[path]}: is a result of {result.model.name} with weights (SHA-256 "
            f"{str(result.model.checkpoint_sha256)[:12]}...) other than the published ones; score those, or "
            "leave it out"
        )
