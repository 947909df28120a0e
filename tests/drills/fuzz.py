"""Mutate files and messages of strangers and read them: `python -m tests.drills.fuzz --inputs 10000`.

Every reader gets good files, without the checksums that would refuse all the rest, with bits, bytes, numbers
and stretches changed, taken out and put in twice, and JSON with values of other kinds. A reader takes what it
gets or refuses it in a sentence. Counted are other exceptions, inputs that took longer than `SLOW_S`, and the
readers after which the process held `MUCH_MB` more than before.
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
from tests.fakes.json_mutants import STRANGE, places, replaced

SLOW_S, MUCH_MB, STUCK_S = 2.0, 200, 30
NUMBERS = (0, 1, 0x7F, 0x80, 0xFF, 0xFFFF, 0x7FFFFFFF, 0xFFFFFFFF, 0x7FFFFFFFFFFFFFFF, 0xFFFFFFFFFFFFFFFF)


@dataclass(frozen=True, kw_only=True)
class Flags:
    """How long the drill is."""

    inputs: int = 10_000
    """For each reader."""
    seed: int = 0
    """Decides the inputs."""
    only: tuple[str, ...] = ()
    """The readers (default: all)."""


def mutant(good: bytes, rng: np.random.Generator) -> bytes:
    """The content with one to four things changed."""
    content = good
    for _ in range(int(rng.integers(1, 5))):
        content = _changed(content, rng) or b"\0"
    return content


def _changed(content: bytes, rng: np.random.Generator) -> bytes:
    edge = len(content) if rng.random() < 0.5 else min(len(content), 256)
    place, length = int(rng.integers(edge)), int(rng.integers(1, 33))
    before, after = content[:place], content[place:]
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
    """The document with another value somewhere."""
    document = parse_json(good, "the example")
    where = list(places(document))
    value = STRANGE[int(rng.integers(len(STRANGE)))]
    return encode(replaced(document, where[int(rng.integers(len(where)))], value))


def encode(document: Any) -> bytes:
    """As JSON."""
    return json.dumps(document).encode()


def holds_json(content: bytes) -> bool:
    """Whether it is one JSON document."""
    return content[:1] in b"{[" and b"}\n{" not in content and b"]\nFatal" not in content


def drill(name: str, reader: Reader, inputs: int, seed: int) -> Counter[str]:
    """Read mutants."""
    reader.read(reader.good)
    is_json = holds_json(reader.good)
    found, rng = Counter[str](), generator(seed, f"fuzz of {name}")
    held = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for number in range(inputs):
        content = json_mutant(reader.good, rng) if is_json and number % 3 == 0 else mutant(reader.good, rng)
        begin = time.monotonic()
        faulthandler.dump_traceback_later(STUCK_S, exit=True)
        try:
            reader.read(content)
            found["taken"] += 1
        except REFUSALS as error:
            found["refused"] += 1
            found["other"] += isinstance(error, UserError) and "\n" in str(error)
        except Exception as error:
            found["other"] += 1
            print(f"{name}: {type(error).__name__}: {str(error)[:200]}: {content[:300]!r}", file=sys.stderr)
        finally:
            faulthandler.cancel_dump_traceback_later()
        found["slow"] += time.monotonic() - begin > SLOW_S
    found["MB more"] = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - held) // 1024
    return found


def main(argv: Sequence[str] | None = None) -> int:
    """Drill all readers; 1 if one did what it must not."""
    flags = tyro.cli(Flags, args=argv, description=__doc__)
    columns = ("taken", "refused", "other", "slow", "MB more")
    print(f"{'reader':20}" + "".join(f"{column:>10}" for column in columns))
    is_good = True
    with tempfile.TemporaryDirectory(prefix="drill-") as name:
        (Path(name) / "examples").mkdir()
        for reader_name in flags.only or NAMES:
            reader = reader_of(reader_name, Path(name) / "examples")
            found = drill(reader_name, reader, flags.inputs, flags.seed)
            print(f"{reader_name:20}" + "".join(f"{found[column]:10}" for column in columns), flush=True)
            is_good &= not (found["other"] or found["slow"] or found["MB more"] > MUCH_MB)
    return 0 if is_good else 1


if __name__ == "__main__":
    raise SystemExit(main())
