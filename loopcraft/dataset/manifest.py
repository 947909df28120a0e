"""The manifest of a data set (dataset.json): its world, split, context, recipe and versions."""

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
"""Maximum height and width of a frame."""
_DECIDING_PACKAGES = ("loopcraft", "numpy", "numba", "av")


def default_context(num_frames: int) -> int:
    """Return the number of context frames: a quarter of `num_frames`, at most 256."""
    return min(LONGEST_CONTEXT, num_frames // 4)


def versions() -> dict[str, str]:
    """Return the versions that determine the bytes of a data set."""
    import av  # not needed by a recipe that only plans episodes

    codec = ".".join(str(part) for part in av.library_versions["libavcodec"])
    packages = {name: metadata.version(name) for name in _DECIDING_PACKAGES}
    return {**packages, "libavcodec": codec, "sources": sources_sha256("loopcraft")[:16]}


@dataclass(frozen=True, kw_only=True)
class _Manifest:
    """The fields of dataset.json that are read; it may have more."""

    world: str
    split: str
    num_context: int
    generator: Mapping[str, Any]
    versions: Mapping[str, str]


_MANIFEST_FIELDS = [field.name for field in dataclasses.fields(_Manifest)]


def read_manifest(root: AnyPath) -> dict[str, Any]:
    """Read the manifest in `root`; raise `UserError` if it is not valid."""
    content: dict[str, Any] = read_json(root, MANIFEST)
    check_manifest(content, root / MANIFEST)
    return content


def check_manifest(content: Any, path: str | AnyPath) -> None:
    """Raise `UserError`, naming `path`, unless `content` can be that of a dataset.json."""
    header = (content.get("format"), content.get("version")) if isinstance(content, dict) else None
    if header != (FORMAT, FORMAT_VERSION):
        raise UserError(f"{path}: not a {FORMAT} of version {FORMAT_VERSION}; choose another folder")
    try:
        decode(_Manifest, {name: content[name] for name in _MANIFEST_FIELDS if name in content})
        resolution = content["generator"].get("resolution")
        if content["num_context"] < 1 or type(resolution) is not int or not 1 <= resolution <= MOST_PIXELS:
            raise SchemaError("num_context or generator.resolution: not a valid number")
        if not re.fullmatch(r"\w+", content["split"]):
            raise SchemaError("split: not a plain word")
    except SchemaError as error:
        raise UserError(f"{path}: damaged ({error}); restore it or make the data set again") from error
