"""Registry of worlds by id, with their capabilities and the location of their code.

A built-in world is a folder whose package defines a `WorldSpec`, and one line in `BUILT_IN`. Another package
can provide a world by an entry point of the group `loopcraft.worlds`, with the world's id as its name and the
spec as its value. Worlds are imported on first use.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from importlib.metadata import entry_points
from pkgutil import resolve_name
from typing import Any

from loopcraft.core.errors import UserError

GROUP = "loopcraft.worlds"
BUILT_IN: dict[str, str] = {
    "voxel-v1": "loopcraft.worlds.voxel:SPEC",
    "plaza-v1": "loopcraft.worlds.plaza:SPEC",
    "minerl": "loopcraft.worlds.minerl:SPEC",
}
"""The spec of each world id as "module:attribute"."""


@dataclass(frozen=True, kw_only=True)
class WorldSpec:
    """Capabilities and functions of a world. Functions are given as "module:attribute"."""

    factory: str
    """Called with `resolution`, `quality` and `turns`; returns the `World`."""
    knows_path: bool = True
    """Whether its poses are known without rendering: the world is a `PathWorld`."""
    knows_surfaces: bool = False
    """Whether it knows which block face each pixel shows: the world is a `SurfaceWorld`."""
    surface_quality: str = "fast"
    """The quality to use if only its surfaces are needed."""
    map_ground: str | None = None
    """Called with (world seed, poses, margin in blocks); returns the ground from above, a `GroundPicture`."""
    checks: str | None = None
    """Called without arguments; yields the doctor's checks beyond Python, disk and encoder."""
    versions: str | None = None
    """Called without arguments; returns, by name, versions beyond Loopcraft's own that affect its bytes."""
    python_version: tuple[int, int] | None = None
    """The only Python version that it runs on; None: every version that Loopcraft supports."""

    def load(self, function: str) -> Callable[..., Any]:
        """Import a function given by one of the fields; raise `UserError` if that fails."""
        try:
            loaded: Callable[..., Any] = resolve_name(function)
        except Exception as error:  # third-party code can raise anything
            raise UserError(
                f"{function}, which a WorldSpec names, cannot be loaded ({error}): "
                "fix the spec, or reinstall the world's package"
            ) from error
        return loaded


def world_ids() -> tuple[str, ...]:
    """Return the ids of all worlds: the built-in ones, then those of installed packages."""
    return tuple(dict.fromkeys([*BUILT_IN, *(entry.name for entry in _installed())]))


def world_spec(world_id: str) -> WorldSpec:
    """Return the spec of a world; raise `UserError`, listing all worlds, for an unknown id."""
    if world_id in BUILT_IN:
        spec = resolve_name(BUILT_IN[world_id])
    else:
        entry = next((entry for entry in _installed() if entry.name == world_id), None)
        if entry is None:
            raise UserError(f"unknown world {world_id!r}: choose one of {', '.join(world_ids())}")
        try:
            spec = entry.load()
        except Exception as error:  # third-party code can raise anything
            raise UserError(f"world {world_id!r}: {entry.value} cannot be loaded ({error})") from error
    if not isinstance(spec, WorldSpec):
        raise UserError(f"world {world_id!r}: its entry point gives {type(spec).__name__}, not a WorldSpec")
    return spec


def worlds_that(capability: str) -> Iterator[str]:
    """Yield the ids of the built-in worlds whose spec has a `capability`, as in "knows_surfaces"."""
    return (world_id for world_id in BUILT_IN if getattr(world_spec(world_id), capability))


@cache
def _installed() -> tuple[Any, ...]:
    return tuple(entry_points(group=GROUP))
