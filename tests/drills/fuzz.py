"""Mutate untrusted files and messages and read them: `python -m tests.drills.fuzz --inputs 10000`.

Every reader gets good files, without the checksums that would reject all mutants, with bits, bytes, numbers
and ranges changed, removed or repeated, and JSON with values of other types. A reader accepts its input or
refuses it in a sentence. The drill counts other exceptions, inputs that take longer than `SLOW_S`, and
readers after which the process holds `MUCH_MB` more memory.
"""

import faulthandler
import json
import resource
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tyro

from loopcraft.core.errors import UserError
from loopcraft.core.files import parse_json
from loopcraft.core.seeding import generator
from tests.drills.messages import Reader
from tests.drills.readers import NAMES, REFUSALS, reader_of
from tests.fakes.json_mutants import STRANGE, replace_value, value_paths

SLOW_S, MUCH_MB, STUCK_S = 2.0, 200, 30
NUMBERS = (0, 1, 0x7F, 0x80, 0xFF, 0xFFFF, 0x7FFFFFFF, 0xFFFFFFFF, 0x7FFFFFFFFFFFFFFF, 0xFFFFFFFFFFFFFFFF)


@dataclass(frozen=True, kw_only=True)
class Flags:
    """How long the drill is."""

    inputs: int = 10_000
    """The inputs of each reader."""
    seed: int = 0
    """Decides the inputs."""
    only: tuple[str, ...] = ()
    """The readers (default: all)."""


def mutant(good: bytes, rng: np.random.Generator) -> bytes:
    """Change one to four things in the content."""
    content = good
    for _ in range(int(rng.integers(1, 5))):
        content = _change(content, rng) or b"\0"
    return content


def _change(content: bytes, rng: np.random.Generator) -> bytes:
    edge = len(content) if rng.random() < 0.5 else min(len(content), 256)
    offset, length = int(rng.integers(edge)), int(rng.integers(1, 33))
    before, after = content[:offset], content[offset:]
    kind = int(rng.integers(7))
    if kind == 0:
        return before + bytes([after[0] ^ 1 << int(rng.integers(8))]) + after[1:]
    if kind == 1:
        return before + rng.bytes(length) + after[length:]
    if kind == 2:
        size = int(rng.choice([1, 2, 4, 8]))
        number = NUMBERS[int(rng.integers(len(NUMBERS)))] % (1 << 8 * size)
        return before + number.to_bytes(size, "little") + after[size:]
    if kind == 3:
        return before + after[length:]
    if kind == 4:
        return before + after[:length] * int(rng.integers(2, 9)) + after[length:]
    if kind == 5:
        return before if rng.random() < 0.3 else before + bytes(length) + after
    other = int(rng.integers(len(content)))
    return before + content[other : other + length] + after[length:]


def json_mutant(good: bytes, rng: np.random.Generator) -> bytes:
    """Replace a value somewhere in the document."""
    document = parse_json(good, "the example")
    paths = list(value_paths(document))
    value = STRANGE[int(rng.integers(len(STRANGE)))]
    return encode(replace_value(document, paths[int(rng.integers(len(paths)))], value))


def encode(document: Any) -> bytes:
    """Encode as JSON."""
    return json.dumps(document).encode()


def holds_json(content: bytes) -> bool:
    """Whether the content is one JSON document."""
    return content[:1] in b"{[" and b"}\n{" not in content and b"]\nFatal" not in content


def drill(name: str, reader: Reader, inputs: int, seed: int) -> Counter[str]:
    """Have a reader read mutants, and count the outcomes."""
    reader.read(reader.good)
    is_json = holds_json(reader.good)
    counts, rng = Counter[str](), generator(seed, f"fuzz of {name}")
    memory_before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for number in range(inputs):
        content = json_mutant(reader.good, rng) if is_json and number % 3 == 0 else mutant(reader.good, rng)
        start = time.monotonic()
        faulthandler.dump_traceback_later(STUCK_S, exit=True)
        try:
            reader.read(content)
            counts["taken"] += 1
        except REFUSALS as error:
            counts["refused"] += 1
            counts["other"] += isinstance(error, UserError) and "\n" in str(error)
        except Exception as error:
            counts["other"] += 1
            print(f"{name}: {type(error).__name__}: {str(error)[:200]}: {content[:300]!r}", file=sys.stderr)
        finally:
            faulthandler.cancel_dump_traceback_later()
        counts["slow"] += time.monotonic() - start > SLOW_S
    counts["MB more"] = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - memory_before) // 1024
    return counts


def main(argv: Sequence[str] | None = None) -> int:
    """Drill all readers; return 1 if one failed."""
    flags = tyro.cli(Flags, args=argv, description=__doc__)
    columns = ("taken", "refused", "other", "slow", "MB more")
    print(f"{'reader':20}" + "".join(f"{column:>10}" for column in columns))
    is_good = True
    with tempfile.TemporaryDirectory(prefix="drill-") as name:
        (Path(name) / "examples").mkdir()
        for reader_name in flags.only or NAMES:
            reader = reader_of(reader_name, Path(name) / "examples")
            counts = drill(reader_name, reader, flags.inputs, flags.seed)
            print(f"{reader_name:20}" + "".join(f"{counts[column]:10}" for column in columns), flush=True)
            is_good &= not (counts["other"] or counts["slow"] or counts["MB more"] > MUCH_MB)
    return 0 if is_good else 1


if __name__ == "__main__":
    raise SystemExit(main())
