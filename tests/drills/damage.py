"""Damage the files of a finished folder, give the command again: `python -m tests.drills.damage --times 20`.

Then the result is the same as before, or a sentence names the file: the command's, or that of what looks for
damage (loopcraft.verify). Anything else is counted: another result that nobody speaks of, and tracebacks.
Files without a checksum can differ unnoticed.
"""

import shutil
import tempfile
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tyro

from loopcraft.core.seeding import generator
from tests.drills.apart import run_apart
from tests.drills.commands import COMMANDS, Command, write_inputs

OUTCOMES = ("same", "named", "unnoticed", "traceback")


@dataclass(frozen=True, kw_only=True)
class Flags:
    """How long the drill is."""

    times: int = 20
    """How often each file is damaged."""
    seed: int = 0
    """Decides what is damaged how."""


def damaged(data: bytes, rng: np.random.Generator) -> bytes | None:
    """The content with a byte changed, cut, emptied, or lost (None)."""
    kind = int(rng.integers(8))
    if kind == 0:
        return None
    if kind == 1 or not data:
        return b""
    place = int(rng.integers(len(data) if kind % 2 else min(len(data), 400)))
    if kind == 2:
        return data[:place]
    changed = bytearray(data)
    changed[place] ^= 1 << int(rng.integers(8))
    return bytes(changed)


def outcome(command: Command, folder: Path, out: Path, path: Path, expected: object) -> str:
    """What comes of giving the command again."""
    ended = run_apart(lambda: command.act(folder / "inputs", out) or command.check(out), folder / "log")
    if "Traceback" in ended.said:
        return "traceback"
    if ended.code != 0:
        return "named" if path.name in ended.said or str(out) in ended.said else "unnoticed"
    try:
        return "same" if command.result(out) == expected else "unnoticed"
    except (ValueError, OSError):  # what reads it refuses it
        return "named"


def drill(command: Command, folder: Path, times: int, seed: int) -> Counter[str]:
    """Damage every file of one command's folder."""
    whole = folder / "whole"
    undisturbed = run_apart(lambda: command.act(folder / "inputs", whole), folder / "log")
    assert undisturbed.code == 0, undisturbed.said
    expected, found = command.result(whole), Counter[str]()
    for file in sorted(path for path in whole.rglob("*") if path.is_file()):
        for number in range(times):
            out = folder / "out"
            shutil.copytree(whole, out)
            path = out / file.relative_to(whole)
            content = damaged(file.read_bytes(), generator(seed, f"damage of {file.name}", number))
            path.unlink() if content is None else path.write_bytes(content)
            found[outcome(command, folder, out, path, expected)] += 1
            shutil.rmtree(out)
    return found


def main(flags: Flags) -> int:
    """Drill all commands; 1 if there was a traceback."""
    tracebacks = 0
    print(f"{'command':10}" + "".join(f"{name:>12}" for name in OUTCOMES))
    for command in COMMANDS:
        with tempfile.TemporaryDirectory(prefix="drill-") as name:
            inputs = run_apart(lambda: write_inputs(Path(name) / "inputs"), Path(name) / "log")  # noqa: B023
            assert inputs.code == 0, inputs.said
            found = drill(command, Path(name), flags.times, flags.seed)
        print(f"{command.name:10}" + "".join(f"{found[name]:12}" for name in OUTCOMES), flush=True)
        tracebacks += found["traceback"]
    return 1 if tracebacks else 0


if __name__ == "__main__":
    raise SystemExit(main(tyro.cli(Flags, description=__doc__)))
