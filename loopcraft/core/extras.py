"""One sentence where a command needs a package of an extra that is not installed, or finds a stranger's."""

import re
import sys
from importlib import metadata
from pathlib import Path
from types import TracebackType

ROOMS = ("loopcraft", "benchmark", "models", "leaderboard")


def explain_missing(room: str) -> None:
    """Have a missing or foreign package end this process in one sentence, if it is a command of `room`.

    The room's `__init__` calls this, since the imports of its commands come after it and before any code of
    theirs. A program that merely imports the room keeps Python's own traceback.
    """
    if not _runs(room):
        return
    before = sys.excepthook

    def end(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        said = _why_not_imported(room, error) if isinstance(error, ImportError) else None
        if said is None:
            before(kind, error, trace)
            return
        print(f"error: {said}", file=sys.stderr)
        raise SystemExit(2)  # EXIT_USAGE of cli.py, whose own imports this must not need

    sys.excepthook = end


def _why_not_imported(room: str, error: ImportError) -> str | None:
    package = (error.name or "").partition(".")[0]
    if package in ROOMS:
        place = foreign_place(package)
        return None if place is None else f"this needs our package {package}, and {remedy_for(place)}"
    extras = _extras_with(package) if package and isinstance(error, ModuleNotFoundError) else []
    if not extras:
        return None
    extra = room if room in extras else extras[0]
    return f"this needs the package {error.name}: pip install 'loopcraft[{extra}]'"


def foreign_place(package: str) -> Path | None:
    """Where a package lies that has the name of one of our rooms, if that is what was found here."""
    found = getattr(sys.modules.get(package), "__path__", ())
    ours = Path(__file__).resolve().parents[2]
    return next((place for place in map(Path, found) if place.resolve().parent != ours), None)


def remedy_for(place: Path) -> str:
    """What to do about a package that is in ours' place."""
    return f"{place} has that name too: run in another folder, with python -P, or the command loopcraft-..."


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
