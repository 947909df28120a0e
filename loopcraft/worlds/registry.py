"""The table of worlds: what each one is, what it can tell, and where its code lies.

A world is a folder whose package defines a `WorldSpec`, and one line in `BUILT_IN`. A world of another
package is an entry point of the group `loopcraft.worlds`: its name is the world's id, its value the spec.
Nothing of a world is imported before somebody asks for it.
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
"""World id to "module:attribute" of its spec."""


@dataclass(frozen=True, kw_only=True)
class WorldSpec:
    """What the rest of the project may ask about a world. Functions are named as "module:attribute"."""

    factory: str
    """Called with `resolution`, `quality` and `turns`; returns the `World`."""
    knows_path: bool = True
    """Whether its poses are known without rendering: the world is a `PathWorld`."""
    knows_surfaces: bool = False
    """Whether it tells which block face each pixel shows: the world is a `SurfaceWorld`."""
    surface_quality: str = "fast"
    """The quality with which it is made where nothing but its surfaces is wanted."""
    map_ground: str | None = None
    """Called with (world seed, poses, margin in blocks); returns the ground from above, a `GroundPicture`."""
    checks: str | None = None
    """Called without arguments; yields the doctor's checks beyond Python, disk and encoder."""
    versions: str | None = None
    """Called without arguments; returns by name the versions of what its bytes depend on beyond our own."""
    python_version: tuple[int, int] | None = None
    """The one Python that it runs on; None: every one that Loopcraft runs on."""

    def load(self, function: str) -> Callable[..., Any]:
        """Import what one of the fields names; raises `UserError` where that fails."""
        try:
            loaded: Callable[..., Any] = resolve_name(function)
        except Exception as error:  # a stranger's package may fail in any way
            raise UserError(
                f"{function}, which a WorldSpec names, cannot be loaded ({error}): "
                "mend the spec, or install the world's package again"
            ) from error
        return loaded


def world_ids() -> tuple[str, ...]:
    """The ids of all worlds: the built-in ones, then those that installed packages bring."""
    return tuple(dict.fromkeys([*BUILT_IN, *(entry.name for entry in _installed())]))


def world_spec(world_id: str) -> WorldSpec:
    """The spec of a world; raises `UserError` for an unknown id and names those that there are."""
    if world_id in BUILT_IN:
        spec = resolve_name(BUILT_IN[world_id])
    else:
        found = [entry for entry in _installed() if entry.name == world_id]
        if not found:
            raise UserError(f"unknown world {world_id!r}: choose one of {', '.join(world_ids())}")
        try:
            spec = found[0].load()
        except Exception as error:  # a stranger's package may fail in any way
            raise UserError(f"world {world_id!r}: {found[0].value} cannot be loaded ({error})") from error
    if not isinstance(spec, WorldSpec):
        raise UserError(f"world {world_id!r}: its entry point gives {type(spec).__name__}, not a WorldSpec")
    return spec


def worlds_that(capability: str) -> Iterator[str]:
    """The ids of the built-in worlds whose spec has a true `capability`, as in "knows_surfaces"."""
    return (world_id for world_id in BUILT_IN if getattr(world_spec(world_id), capability))


@cache
def _installed() -> tuple[Any, ...]:
    return tuple(entry_points(group=GROUP))
