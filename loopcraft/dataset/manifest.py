"""What a data set says about itself: its split, its context, and the manifest (dataset.json)."""

import dataclasses
import re
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import metadata
from typing import Any, Literal

from loopcraft.core.checksums import read_json, sources_sha256
from loopcraft.core.decoding import SchemaError, decode
from loopcraft.core.errors import UserError
from loopcraft.core.urls import AnyPath
from loopcraft.dataset.layout import FORMAT, FORMAT_VERSION, MANIFEST

Split = Literal["train", "val", "test"]
LONGEST_CONTEXT = 256
MOST_PIXELS = 4096
"""Height and width of a frame."""
_DECIDING_PACKAGES = ("loopcraft", "numpy", "numba", "av")


def default_context(num_frames: int) -> int:
    """The context of an episode of `num_frames`: 256 of 1024, a quarter of fewer."""
    return min(LONGEST_CONTEXT, num_frames // 4)


def versions() -> dict[str, str]:
    """The versions that decide the bytes of a data set."""
    import av  # a recipe that only plans episodes does without

    codec = ".".join(str(part) for part in av.library_versions["libavcodec"])
    packages = {name: metadata.version(name) for name in _DECIDING_PACKAGES}
    return {**packages, "libavcodec": codec, "sources": sources_sha256("loopcraft")[:16]}


@dataclass(frozen=True, kw_only=True)
class _Manifest:
    """What is read of dataset.json; more may be there."""

    world: str
    split: str
    num_context: int
    generator: Mapping[str, Any]
    versions: Mapping[str, str]


_MANIFEST_FIELDS = [field.name for field in dataclasses.fields(_Manifest)]


def read_manifest(root: AnyPath) -> dict[str, Any]:
    """The manifest below `root`; raises `UserError` when it is none of ours."""
    content: dict[str, Any] = read_json(root, MANIFEST)
    check_manifest(content, root / MANIFEST)
    return content


def check_manifest(found: Any, place: str | AnyPath) -> None:
    """Raise `UserError`, naming its `place`, for what cannot be the content of dataset.json."""
    if not isinstance(found, dict) or (found.get("format"), found.get("version")) != (FORMAT, FORMAT_VERSION):
        raise UserError(f"{place}: not a {FORMAT} of version {FORMAT_VERSION}; choose another folder")
    try:
        decode(_Manifest, {name: found[name] for name in _MANIFEST_FIELDS if name in found})
        resolution = found["generator"].get("resolution")
        if found["num_context"] < 1 or type(resolution) is not int or not 1 <= resolution <= MOST_PIXELS:
            raise SchemaError("num_context or generator.resolution: no number that can be right")
        if not re.fullmatch(r"\w+", found["split"]):
            raise SchemaError("split: no plain word")
    except SchemaError as error:
        raise UserError(f"{place}: damaged ({error}); restore it or make the data set again") from error
