"""Kill commands at random moments, rerun them, and compare: `python -m tests.drills.kills --rounds 20`.

A round kills a command up to three times and then lets it finish. The result must always be that of an
undisturbed run (nothing lost, nothing duplicated), no process may outlive its parent, and nothing temporary
may be left: no file in the folder or in TMPDIR, no shared memory.
"""

import shutil
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import tyro

from loopcraft.core.seeding import generator
from tests.drills.apart import PATIENCE_S, adopt_orphans, orphans, run_apart, shared_memory, temporary_folder
from tests.drills.commands import Command, choose_commands, local_hub, rehearse, run_undisturbed

KILLS = 3
"""The most kills per round."""


@dataclass(frozen=True, kw_only=True)
class Flags:
    """How long the drill is."""

    rounds: int = 20
    """The rounds of each command."""
    seed: int = 0
    """Decides the moments."""
    only: tuple[str, ...] = ()
    """The commands (default: all)."""


PASSING = ("torchinductor_", "loopcraft-work-")
"""Prefixes of what may stay in TMPDIR: torch's cache of compiled code, and working folders, which the next
command that needs one removes once they are a minute old (tests/loopcraft/core/test_writing.py)."""
FAULTS = {
    "other_results": "other results",
    "left": "files left",
    "orphans": "orphans",
    "shared": "shared memory",
    "tracebacks": "tracebacks",
}
"""What a round must not cause, and its name in the table."""


@dataclass
class Tally:
    """The counts of a command's rounds."""

    rounds: int = 0
    kills: int = 0
    other_results: int = 0
    left: int = 0
    orphans: int = 0
    shared: int = 0
    tracebacks: int = 0

    @property
    def is_good(self) -> bool:
        """Whether there were no faults."""
        return not any(getattr(self, name) for name in FAULTS)


def drill(command: Command, inputs: Path, folder: Path, rounds: int, seed: int) -> Tally:
    """Kill and rerun one command in several rounds."""
    folder.mkdir()
    log, temporary = folder / "log", temporary_folder(folder)
    seconds = run_undisturbed(command, inputs, folder)
    expected, tally, shared = command.result(folder / "whole"), Tally(), shared_memory()
    shutil.rmtree(temporary, ignore_errors=True)
    for number in range(rounds):
        out = folder / f"round-{number}"
        rng = generator(seed, f"kills of {command.name}", number)
        for _ in range(int(rng.integers(1, KILLS + 1))):
            moment = float(rng.random()) * seconds
            ended = run_apart(lambda out=out: command.act(inputs, out), log, kill_after=moment)
            tally.kills += ended.code == -9
            tally.tracebacks += "Traceback" in ended.output
        last = run_apart(lambda out=out: command.act(inputs, out), log)
        tally.rounds += 1
        tally.tracebacks += "Traceback" in last.output
        tally.other_results += last.code != 0 or command.result(out) != expected
        left = [path for path in out.rglob(".*") if path.name.endswith((".partial", ".lock"))]
        left += (path for path in temporary.glob("*") if not path.name.startswith(PASSING))
        alive = orphans()
        for leftover in (*left, *alive):
            print(f"left by {command.name}: {leftover}", file=sys.stderr)
        tally.left += len(left)
        tally.orphans += len(alive)
        tally.shared += len(shared_memory(shared, PATIENCE_S))
        for path in (out, temporary):
            shutil.rmtree(path, ignore_errors=True)
    return tally


def main(argv: Sequence[str] | None = None) -> int:
    """Drill all commands; return 1 if there were faults."""
    flags = tyro.cli(Flags, args=argv, description=__doc__)
    is_good = True
    adopt_orphans()
    print(f"{'command':10}{'rounds':>8}{'kills':>8}" + "".join(f"{name:>15}" for name in FAULTS.values()))
    with local_hub(), tempfile.TemporaryDirectory(prefix="drill-") as name:
        folder = Path(name)
        inputs = rehearse(folder)
        for command in choose_commands(flags.only):
            tally = drill(command, inputs, folder / command.name, flags.rounds, flags.seed)
            faults = "".join(f"{getattr(tally, fault):15}" for fault in FAULTS)
            print(f"{command.name:10}{tally.rounds:8}{tally.kills:8}{faults}", flush=True)
            is_good &= tally.is_good
    return 0 if is_good else 1


if __name__ == "__main__":
    raise SystemExit(main())
