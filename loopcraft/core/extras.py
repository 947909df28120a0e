"""One sentence where a command needs a package of an extra that is not installed."""

import re
import sys
from importlib import metadata
from pathlib import Path
from types import TracebackType


def explain_missing(room: str) -> None:
    """Have a missing package end this process in one sentence, if the process is a command of `room`.

    The room's `__init__` calls this, since the imports of its commands come after it and before any code of
    theirs. A program that merely imports the room keeps Python's own traceback.
    """
    if not _runs(room):
        return
    before = sys.excepthook

    def end(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        missing = error.name if isinstance(error, ModuleNotFoundError) else None
        extras = _extras_with(missing.partition(".")[0]) if missing else []
        if not extras:
            before(kind, error, trace)
            return
        extra = room if room in extras else extras[0]
        print(f"error: this needs the package {missing}: pip install 'loopcraft[{extra}]'", file=sys.stderr)
        raise SystemExit(2)  # EXIT_USAGE of cli.py, whose own imports this must not need

    sys.excepthook = end


def _runs(room: str) -> bool:
    """Whether this process is `python -m ROOM.command`, or a console script of ours."""
    if sys.argv[0] == "-m":  # until the module is found
        name = sys.orig_argv[sys.orig_argv.index("-m") + 1] if "-m" in sys.orig_argv[:-1] else ""
        return name.partition(".")[0] == room
    return Path(sys.argv[0]).name.startswith("loopcraft-")


def _extras_with(package: str) -> list[str]:
    """The extras that bring a package, in the order of pyproject.toml."""
    try:
        requirements = metadata.requires("loopcraft") or []
    except metadata.PackageNotFoundError:  # a folder of sources
        return []
    brought = [text for text in requirements if re.split(r"[^\w.-]", text)[0].replace("-", "_") == package]
    return [extra for text in brought for extra in re.findall(r"""extra == ['"](\w+)['"]""", text)]
