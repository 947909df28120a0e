"""Damage the files of finished folders: `python -m tests.drills.damage --times 20`.

A bit is flipped, or the file is truncated, emptied, deleted, or replaced by another of its kind. The folder
is then read; if a command wrote it, the command and its check (loopcraft.verify) run again instead. Either
the content or result is the same as before, or a sentence names the damage. Anything else is counted: a
changed result without notice, and tracebacks. Files without a checksum are counted separately.
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
from tests.drills.commands import COMMANDS, Command, local_hub, rehearse, run_undisturbed
from tests.drills.folders import FOLDERS, Folder

OUTCOMES = ("same", "named", "no checksum", "unnoticed", "traceback")
KINDS = ("bit", "bit", "bit", "bit in the first 400 bytes", "cut", "emptied", "lost", "swapped")


@dataclass(frozen=True, kw_only=True)
class Flags:
    """How long the drill is."""

    times: int = 20
    """The number of times that each file is damaged."""
    seed: int = 0
    """Decides the damage."""
    only: tuple[str, ...] = ()
    """The folders (default: all)."""
    halves: tuple[str, ...] = ()
    """Folders of commands that rewrite all files: half of the files are damaged at a time."""


def damage(path: Path, rng: np.random.Generator, kind: str) -> None:
    """Change a file, or delete it."""
    data = path.read_bytes()
    same_suffix = sorted(path.parent.glob(f"*{path.suffix}"))
    others = [other for other in same_suffix if other.is_file() and other != path]
    if kind == "lost":
        path.unlink()
    elif kind == "emptied" or not data:
        path.write_bytes(b"")
    elif kind == "cut":
        path.write_bytes(data[: int(rng.integers(len(data)))])
    elif kind == "swapped" and others:
        path.write_bytes(others[int(rng.integers(len(others)))].read_bytes())
    else:
        offset = int(rng.integers(min(len(data), 400) if "400" in kind else len(data)))
        flipped = bytes([data[offset] ^ 1 << int(rng.integers(8))])
        path.write_bytes(data[:offset] + flipped + data[offset + 1 :])


def drill(
    whole: Path,
    outcome: Callable[[Path, Path], str],
    flags: Flags,
    without_sums: tuple[str, ...],
    *,
    in_halves: bool = False,
) -> Counter[str]:
    """Damage the files of a finished folder, one or every other at a time, and count the outcomes."""
    counts = Counter[str]()
    files = sorted(path for path in whole.rglob("*") if path.is_file())
    for damaged in (files[::2], files[1::2]) if in_halves else ([file] for file in files):
        for number in range(flags.times):
            out = whole.parent / f"damaged-{counts.total()}"
            shutil.copytree(whole, out)
            kind = KINDS[number % len(KINDS)]
            for file in damaged:
                path = out / file.relative_to(whole)
                damage(path, generator(flags.seed, f"damage of {file.name}", number), kind)
            result = outcome(out, path)
            if result == "unnoticed" and file.name.endswith(without_sums or ("\0",)):
                result = "no checksum"
            if result in ("unnoticed", "traceback"):
                print(f"{file.relative_to(whole)} ({kind}): {result}", file=sys.stderr)
            counts[result] += 1
            shutil.rmtree(out)
    return counts


def drill_folder(folder: Folder, _: Path, root: Path, flags: Flags) -> Counter[str]:
    """Damage a folder that is only read."""
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
    """Damage what a command has written, and run the command again."""
    whole, log = root / "whole", root / "log"
    run_undisturbed(command, inputs, root)
    expected = command.result(whole)

    def outcome(out: Path, path: Path) -> str:
        ended = run_apart(lambda: command.act(inputs, out) or command.check(out), log)
        if "Traceback" in ended.output:
            return "traceback"
        if ended.code != 0:
            return "named" if path.name in ended.output or str(out) in ended.output else "unnoticed"
        try:
            return "same" if command.result(out) == expected else "unnoticed"
        except (ValueError, OSError):  # its reader refuses it
            return "named"

    in_halves = command.name in flags.halves
    return drill(whole, outcome, flags, command.without_sums, in_halves=in_halves)


def main(argv: Sequence[str] | None = None) -> int:
    """Drill all folders; return 1 after a traceback or damage that a checksum should have revealed."""
    flags = tyro.cli(Flags, args=argv, description=__doc__)
    is_good = True
    print(f"{'folder':12}" + "".join(f"{name:>13}" for name in OUTCOMES))
    with local_hub(), tempfile.TemporaryDirectory(prefix="drill-") as name:
        top = Path(name)
        inputs = rehearse(top)
        drills: dict[type, Callable[..., Counter[str]]] = {Folder: drill_folder, Command: drill_command}
        kinds = [kind for kind in (*FOLDERS, *COMMANDS) if kind.name != "publish"]  # it writes no folder
        for kind in kinds:
            if flags.only and kind.name not in flags.only:
                continue
            root = top / kind.name
            root.mkdir()
            counts = drills[type(kind)](kind, inputs, root, flags)
            print(f"{kind.name:12}" + "".join(f"{counts[name]:13}" for name in OUTCOMES), flush=True)
            is_good &= not (counts["traceback"] or counts["unnoticed"])
    return 0 if is_good else 1


if __name__ == "__main__":
    raise SystemExit(main())
