"""One-sentence errors for commands that miss an optional package or find another package under our name."""

import re
import sys
from importlib import metadata
from pathlib import Path
from types import TracebackType

ROOMS = ("loopcraft", "benchmark", "models", "leaderboard")


def explain_missing(room: str) -> None:
    """Install a hook that reports a missing or foreign package in one sentence, if a command of `room` runs.

    The package's `__init__` calls this, because it runs before the imports and the code of its commands. A
    program that merely imports the package keeps Python's own traceback.
    """
    if not _is_command_of(room):
        return
    default_hook = sys.excepthook

    def report(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        reason = _explain(room, error) if isinstance(error, ImportError) else None
        if reason is None:
            default_hook(kind, error, trace)
            return
        print(f"error: {reason}", file=sys.stderr)
        raise SystemExit(2)  # cli.EXIT_USAGE, not imported because cli itself needs packages

    sys.excepthook = report


def _explain(room: str, error: ImportError) -> str | None:
    package = (error.name or "").partition(".")[0]
    if package in ROOMS:
        path = foreign_place(package)
        return None if path is None else f"this needs Loopcraft's package {package}, but {remedy_for(path)}"
    extras = _extras_with(package) if package and isinstance(error, ModuleNotFoundError) else []
    if not extras:
        return None
    extra = room if room in extras else extras[0]
    return f"this needs the package {error.name}: pip install 'loopcraft[{extra}]'"


def foreign_place(package: str) -> Path | None:
    """Return the path of the imported `package` if it is not ours but has the same name, else None."""
    paths = getattr(sys.modules.get(package), "__path__", ())
    root = Path(__file__).resolve().parents[2]
    return next((path for path in map(Path, paths) if path.resolve().parent != root), None)


def remedy_for(place: Path) -> str:
    """Return what to do about a package at `place` that hides ours of the same name."""
    return f"{place} has the same name: run in another folder, with python -P, or the command loopcraft-..."


def _is_command_of(room: str) -> bool:
    """Return whether this process is `python -m ROOM.command` or one of our console scripts."""
    if sys.argv[0] == "-m":  # as long as Python is still looking for the module
        name = sys.orig_argv[sys.orig_argv.index("-m") + 1] if "-m" in sys.orig_argv[:-1] else ""
        return name.partition(".")[0] == room
    return Path(sys.argv[0]).name.startswith("loopcraft-")


def _extras_with(package: str) -> list[str]:
    try:
        requirements = metadata.requires("loopcraft") or []
    except metadata.PackageNotFoundError:  # not installed: run from a source folder
        return []
    matches = [text for text in requirements if re.split(r"[^\w.-]", text)[0].replace("-", "_") == package]
    return [extra for text in matches for extra in re.findall(r"""extra == ['"](\w+)['"]""", text)]
