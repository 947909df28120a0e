"""Damage the files of finished folders: `python -m tests.drills.damage --times 20`.

A bit is changed, or the file is cut, emptied, lost, or replaced by another of its kind. Folders are then
read; those of commands get the command again, and what looks for damage (loopcraft.verify). What is read, or
the result, is the same as before, or a sentence names the damage. Anything else is counted: another result
that nobody speaks of, and tracebacks. Files that have no checksum are counted apart.
"""

import io
import shutil
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tyro

from loopcraft.core.errors import UserError
from loopcraft.core.seeding import generator
from tests.drills.apart import run_apart
from tests.drills.commands import COMMANDS, Command, on_the_hub, rehearse, undisturbed
from tests.drills.folders import FOLDERS, Folder

OUTCOMES = ("same", "named", "no checksum", "unnoticed", "traceback")
KINDS = ("bit", "bit", "bit", "bit in the first 400 bytes", "cut", "emptied", "lost", "swapped")


@dataclass(frozen=True, kw_only=True)
class Flags:
    """How long the drill is."""

    times: int = 20
    """How often each file is damaged."""
    seed: int = 0
    """Decides what is damaged how."""
    only: tuple[str, ...] = ()
    """The folders (default: all)."""
    halves: tuple[str, ...] = ()
    """Folders of commands that make all files anew: every other file is damaged at a time."""


def damage(path: Path, rng: np.random.Generator, kind: str) -> None:
    """Change a file, or remove it."""
    data = path.read_bytes()
    alike = sorted(path.parent.glob(f"*{path.suffix}"))
    others = [other for other in alike if other.is_file() and other != path]
    if kind == "lost":
        path.unlink()
    elif kind == "emptied" or not data:
        path.write_bytes(b"")
    elif kind == "cut":
        path.write_bytes(data[: int(rng.integers(len(data)))])
    elif kind == "swapped" and others:
        path.write_bytes(others[int(rng.integers(len(others)))].read_bytes())
    else:
        place = int(rng.integers(min(len(data), 400) if "400" in kind else len(data)))
        path.write_bytes(data[:place] + bytes([data[place] ^ 1 << int(rng.integers(8))]) + data[place + 1 :])


def drill(
    whole: Path,
    outcome: Callable[[Path, Path], str],
    flags: Flags,
    without_sums: tuple[str, ...],
    *,
    in_halves: bool = False,
) -> Counter[str]:
    """Damage every file of a finished folder, by itself or every other at a time."""
    found = Counter[str]()
    files = sorted(path for path in whole.rglob("*") if path.is_file())
    for damaged in (files[::2], files[1::2]) if in_halves else ([file] for file in files):
        for number in range(flags.times):
            out = whole.parent / f"damaged-{found.total()}"
            shutil.copytree(whole, out)
            kind = KINDS[number % len(KINDS)]
            for file in damaged:
                path = out / file.relative_to(whole)
                damage(path, generator(flags.seed, f"damage of {file.name}", number), kind)
            came = outcome(out, path)
            if came == "unnoticed" and file.name.endswith(without_sums or ("\0",)):
                came = "no checksum"
            if came in ("unnoticed", "traceback"):
                print(f"{file.relative_to(whole)} ({kind}): {came}", file=sys.stderr)
            found[came] += 1
            shutil.rmtree(out)
    return found


def drill_folder(folder: Folder, _: Path, root: Path, flags: Flags) -> Counter[str]:
    """Damage what is only read."""
    with redirect_stdout(io.StringIO()):
        folder.make(root / "whole")
    expected = folder.read(root / "whole")

    def outcome(out: Path, path: Path) -> str:
        try:
            return "same" if folder.read(out) == expected else "unnoticed"
        except (UserError, OSError):
            return "named"
        except Exception as error:
            print(f"{path.name}: {type(error).__name__}: {error}", file=sys.stderr)
            return "traceback"

    return drill(root / "whole", outcome, flags, folder.without_sums)


def drill_command(command: Command, inputs: Path, root: Path, flags: Flags) -> Counter[str]:
    """Damage what a command has written, and give the command again."""
    whole, log = root / "whole", root / "log"
    undisturbed(command, inputs, root)
    expected = command.result(whole)

    def outcome(out: Path, path: Path) -> str:
        ended = run_apart(lambda: command.act(inputs, out) or command.check(out), log)
        if "Traceback" in ended.said:
            return "traceback"
        if ended.code != 0:
            return "named" if path.name in ended.said or str(out) in ended.said else "unnoticed"
        try:
            return "same" if command.result(out) == expected else "unnoticed"
        except (ValueError, OSError):  # what reads it refuses it
            return "named"

    in_halves = command.name in flags.halves
    return drill(whole, outcome, flags, command.without_sums, in_halves=in_halves)


def main(argv: Sequence[str] | None = None) -> int:
    """Drill all folders; 1 if there was a traceback, or damage that a checksum should have shown."""
    flags = tyro.cli(Flags, args=argv, description=__doc__)
    is_good = True
    print(f"{'folder':12}" + "".join(f"{name:>13}" for name in OUTCOMES))
    with on_the_hub(), tempfile.TemporaryDirectory(prefix="drill-") as name:
        top = Path(name)
        inputs = rehearse(top)
        ways: dict[type, Callable[..., Counter[str]]] = {Folder: drill_folder, Command: drill_command}
        drilled = [kind for kind in (*FOLDERS, *COMMANDS) if kind.name != "publish"]  # it writes no folder
        for kind in drilled:
            if flags.only and kind.name not in flags.only:
                continue
            root = top / kind.name
            root.mkdir()
            found = ways[type(kind)](kind, inputs, root, flags)
            print(f"{kind.name:12}" + "".join(f"{found[name]:13}" for name in OUTCOMES), flush=True)
            is_good &= not (found["traceback"] or found["unnoticed"])
    return 0 if is_good else 1


if __name__ == "__main__":
    raise SystemExit(main())
