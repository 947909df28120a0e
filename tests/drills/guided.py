"""Fuzz the readers of `tests.drills.fuzz` guided by coverage: `python -m tests.drills.guided --inputs 10000`.

libFuzzer, through the package atheris (it has wheels for Linux), keeps each input that reaches a new branch
of our Python code, and mutates it further. Each reader has its own process, limited to `MEMORY_MB` and
`STUCK_S` per input. The first input that a reader neither accepts nor refuses ends its row.
"""

import os
import re
import subprocess
import sys
import tempfile
from collections import Counter
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

import atheris
import tyro

ROOT = Path(__file__).resolve().parents[2]
ROOMS = ("loopcraft", "benchmark", "models", "leaderboard")
KERNELS = [
    ".".join(path.relative_to(ROOT).with_suffix("").parts)
    for room in ROOMS
    for path in (ROOT / room).rglob("*.py")
    if path.name == "jit.py" or "core.jit import" in path.read_text()
]
"""Modules that numba compiles, which it cannot do once atheris has instrumented them."""

MEMORY_MB = 4096
STARTING_INPUTS = 16
COUNTS = re.compile(r"COUNTS (\d+) (\d+)")
BRANCHES = re.compile(r"^(?:INITED|DONE|#\d+).*? cov: (\d+)", re.MULTILINE)
COLUMNS = {"taken": 10, "refused": 10, "branches at first": 20, "at last": 10}
"""The columns and their widths."""


@dataclass(frozen=True, kw_only=True)
class Flags:
    """How long the drill is."""

    inputs: int = 10_000
    """The inputs of each reader."""
    seed: int = 1
    """Decides the inputs; not 0, which libFuzzer treats as unset."""
    only: tuple[str, ...] = ()
    """The readers (default: all)."""
    inside: bool = False
    """Run as the process of one reader."""


def fuzz_here(name: str, flags: Flags) -> None:
    """Hand this process over to libFuzzer, which ends it. The fuzzed code must not be imported yet."""
    with atheris.instrument_imports(include=[*ROOMS, "zipfile", "pickle"], exclude=KERNELS):
        from loopcraft.core.errors import UserError
        from loopcraft.core.seeding import generator
        from tests.drills.fuzz import STUCK_S, holds_json, json_mutant, mutant
        from tests.drills.readers import REFUSALS, reader_of
    folder, rng, outcomes = Path(tempfile.mkdtemp()), generator(flags.seed, f"guided {name}"), Counter[str]()
    examples, corpus = folder / "examples", folder / "corpus"
    examples.mkdir()
    corpus.mkdir()
    reader = reader_of(name, examples)
    is_json = holds_json(reader.good)
    starts = [reader.good, *(mutant(reader.good, rng) for _ in range(STARTING_INPUTS))]
    starts += [json_mutant(reader.good, rng) for _ in range(STARTING_INPUTS * is_json)]
    for number, content in enumerate(starts):
        (corpus / f"{number:03d}").write_bytes(content)

    def take(content: bytes) -> None:
        try:
            reader.read(content)
            outcomes["taken"] += 1
        except REFUSALS as error:
            outcomes["refused"] += 1
            if isinstance(error, UserError) and "\n" in str(error):
                raise AssertionError(f"more than a sentence: {error}") from error
        if outcomes.total() == flags.inputs:
            print("COUNTS", outcomes["taken"], outcomes["refused"], file=sys.stderr, flush=True)

    limits = [f"-runs={flags.inputs}", f"-seed={flags.seed}", f"-artifact_prefix={folder}/"]
    limits += [f"-timeout={STUCK_S}", f"-rss_limit_mb={MEMORY_MB}"]
    limits += [f"-max_len={2 * len(reader.good) + 256}", "-len_control=0"]
    atheris.Setup([sys.argv[0], *limits, str(corpus)], take)
    atheris.Fuzz()


def fuzz_apart(name: str, flags: Flags) -> tuple[list[int], str]:
    """Fuzz a reader in its own process: the numbers of its row, or none and the output if it failed."""
    command = [sys.executable, "-m", "tests.drills.guided", "--inside", "--only", name]
    command += ["--inputs", str(flags.inputs), "--seed", str(flags.seed)]
    with tempfile.TemporaryDirectory(
        prefix="drill-"
    ) as folder:  # atheris ends its process without cleaning up
        environment = {**os.environ, "TMPDIR": folder}
        done = subprocess.run(command, env=environment, capture_output=True, text=True, errors="replace")
    counts, branches = COUNTS.findall(done.stderr), BRANCHES.findall(done.stderr)
    if done.returncode or not counts or not branches:
        return [], (done.stdout + done.stderr)[-3000:]
    return [*map(int, counts[-1]), int(branches[0]), int(branches[-1])], ""


def main(flags: Flags) -> int:
    """Drill all readers; return 1 if one failed."""
    if flags.inside:
        fuzz_here(flags.only[0], flags)
    names = flags.only or import_module("tests.drills.readers").NAMES
    print(f"{'reader':20}" + "".join(f"{column:>{width}}" for column, width in COLUMNS.items()))
    is_good = True
    for name in names:
        numbers, output = fuzz_apart(name, flags)
        columns = (
            [f"{n:{width}}" for n, width in zip(numbers, COLUMNS.values(), strict=True)] if numbers else []
        )
        print(f"{name:20}" + ("".join(columns) or "    FAILED"), flush=True)
        print(output, end="", file=sys.stderr)
        is_good &= not output
    return 0 if is_good else 1


if __name__ == "__main__":
    raise SystemExit(main(tyro.cli(Flags, description=__doc__)))
