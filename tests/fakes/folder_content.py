"""What a folder holds, and how a command dies at a change of it."""

from collections.abc import Callable
from pathlib import Path
from typing import Any


class Killed(BaseException):
    """Ends a command as abruptly as can be within one process."""


def content(root: Path, but: tuple[str, ...] = ()) -> dict[str, bytes]:
    """Every file below `root` with its bytes, without those whose names end with one of `but`."""
    return {
        str(path.relative_to(root)): path.read_bytes()
        for path in sorted(root.rglob("*"))
        if path.is_file() and not path.name.endswith(but or ("\0",))
    }


def dies_after(changes: int) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """What to wrap functions that change a folder with: so many calls of them happen, no later one does."""
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
