"""Read a folder's files, and simulate a kill in the middle of changing them."""

from collections.abc import Callable
from typing import Any

from loopcraft.core.urls import AnyPath, files_below


class Killed(BaseException):
    """Ends a command as abruptly as possible within one process."""


def content(root: AnyPath, but: tuple[str, ...] = ()) -> dict[str, bytes]:
    """The bytes of every file below `root`, except those whose names end with one of `but`."""
    return {
        path.relative_to(root).as_posix(): path.read_bytes()
        for path in files_below(root)
        if not path.name.endswith(but or ("\0",))
    }


def dies_after(changes: int) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """A decorator for functions that change a folder: after `changes` calls in all, each raises `Killed`."""
    left = changes

    def dying(change: Callable[..., Any]) -> Callable[..., Any]:
        def attempt(*args: object, **options: object) -> object:
            nonlocal left
            left -= 1
            if left < 0:
                raise Killed
            return change(*args, **options)

        return attempt

    return dying
