"""Kill commands at random moments, start them again, and compare: `python -m tests.drills.kills --rounds 20`.

A round kills the same command up to three times before it is let be. Whatever moments were met, the result
must be that of an undisturbed run, and nothing temporary may be left.
"""

import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

import tyro

from loopcraft.core.seeding import generator
from tests.drills.apart import run_apart
from tests.drills.commands import COMMANDS, Command, write_inputs

KILLS = 3
"""Of the same run, at most."""


@dataclass(frozen=True, kw_only=True)
class Flags:
    """How long the drill is."""

    rounds: int = 20
    """Runs of each command."""
    seed: int = 0
    """Decides the moments."""


@dataclass
class Tally:
    """What came of a command's rounds."""

    rounds: int = 0
    kills: int = 0
    other_results: int = 0
    left: int = 0
    tracebacks: int = 0

    @property
    def is_good(self) -> bool:
        """Whether nothing was wrong."""
        return not (self.other_results or self.left or self.tracebacks)


def drill(command: Command, folder: Path, rounds: int, seed: int) -> Tally:
    """Kill one command again and again."""
    log, inputs = folder / "log", folder / "inputs"
    whole = folder / "whole"
    undisturbed = run_apart(lambda: command.act(inputs, whole), log)
    assert undisturbed.code == 0, undisturbed.said
    expected, tally = command.result(whole), Tally()
    for number in range(rounds):
        out = folder / f"round-{number}"
        rng = generator(seed, f"kills of {command.name}", number)
        for _ in range(int(rng.integers(1, KILLS + 1))):
            moment = float(rng.random()) * undisturbed.seconds
            ended = run_apart(lambda out=out: command.act(inputs, out), log, kill_after=moment)
            tally.kills += ended.code == -9
            tally.tracebacks += "Traceback" in ended.said
        last = run_apart(lambda out=out: command.act(inputs, out), log)
        tally.rounds += 1
        tally.tracebacks += "Traceback" in last.said
        tally.other_results += last.code != 0 or command.result(out) != expected
        tally.left += sum(path.name.endswith((".partial", ".lock")) for path in out.rglob(".*"))
        shutil.rmtree(out)
    return tally


def main(flags: Flags) -> int:
    """Drill all commands; 1 if anything was wrong."""
    is_good = True
    print(f"{'command':10}{'rounds':>8}{'kills':>8}{'other results':>16}{'left files':>12}{'tracebacks':>12}")
    for command in COMMANDS:
        with tempfile.TemporaryDirectory(prefix="drill-") as name:
            inputs = run_apart(lambda: write_inputs(Path(name) / "inputs"), Path(name) / "log")
            assert inputs.code == 0, inputs.said
            tally = drill(command, Path(name), flags.rounds, flags.seed)
        print(
            f"{command.name:10}{tally.rounds:8}{tally.kills:8}{tally.other_results:16}{tally.left:12}"
            f"{tally.tracebacks:12}",
            flush=True,
        )
        is_good &= tally.is_good
    return 0 if is_good else 1


if __name__ == "__main__":
    raise SystemExit(main(tyro.cli(Flags, description=__doc__)))
