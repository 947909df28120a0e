"""Mutate files and messages of strangers and read them: `python -m tests.drills.fuzz --inputs 10000`.

Every reader gets good files, without the checksums that would refuse all the rest, with bits, bytes, numbers
and stretches changed, taken out and put in twice, and JSON with values of other kinds. A reader takes what it
gets or refuses it in a sentence. Counted are other exceptions, inputs that took longer than `SLOW_S`, and the
readers after which the process held `MUCH_MB` more than before.
"""

import faulthandler
import io
import json
import resource
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import tyro

from benchmark.contract.model import ContractError
from benchmark.sources.http_protocol import (
    BrokenStreamError,
    ModelCard,
    RequestError,
    RolloutRequest,
    decode_request,
    encode_request,
    read_records,
    write_records,
)
from benchmark.sources.machine import MachineError
from loopcraft.core.decoding import SchemaError, decode
from loopcraft.core.errors import UserError
from loopcraft.core.files import parse_json
from loopcraft.core.seeding import generator
from loopcraft.dataset.catalog import decode_catalog, encode_catalog
from models.checkpoints.training_log import read_log
from models.latents.pyramid_files import read_frames, write_frames
from tests.drills.files import KINDS
from tests.fakes.catalogs import CATALOG
from tests.fakes.json_mutants import STRANGE, places, replaced

SLOW_S, MUCH_MB, STUCK_S = 2.0, 200, 30
REFUSALS = (UserError, OSError, RequestError, BrokenStreamError, ContractError, MachineError, SchemaError)
"""With which a reader may refuse: each becomes a sentence, or an HTTP answer with one."""
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


@dataclass(frozen=True, kw_only=True)
class Reader:
    """What reads bytes, and good ones."""

    good: bytes
    read: Callable[[bytes], Any]


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


def of_files(folder: Path, only: tuple[str, ...] = ()) -> Iterator[tuple[str, Reader]]:
    """The readers of files, those of one of the `KINDS` only where `only` names them or nothing."""
    for name, kind in KINDS.items():
        if only and name not in only:
            continue
        root = folder / name
        with redirect_stdout(io.StringIO()):
            kind.make(root)
        if kind.make_old is not None:
            kind.make_old(root)
        if kind.path.endswith((".npy", ".mp4", ".npz")):  # the table has their checksums
            for table in ("episodes.parquet", "dataset.json"):
                (root / table).unlink()
        path = root / kind.path

        def read(content: bytes, kind=kind, root=root, path=path) -> Any:
            path.write_bytes(content)
            return kind.read(root)

        yield name, Reader(good=path.read_bytes(), read=read)
    log, blobs = folder / "a.jsonl", folder / "a.frames"
    log.write_text('{"step": 0, "loss": 0.5, "trained_per_second": 2.0}\n{"step": 1, "loss": 0.4}\n')
    write_frames(blobs, [bytes([number]) * (number + 1) for number in range(8)])
    for name, path, reader in (
        ("log", log, read_log),
        ("frames", blobs, lambda path: read_frames(path, 8)),
    ):

        def read_path(content: bytes, path=path, reader=reader) -> Any:
            path.write_bytes(content)
            return reader(path)

        yield name, Reader(good=path.read_bytes(), read=read_path)


def of_messages() -> Iterator[tuple[str, Reader]]:
    """The readers of what comes over HTTP."""
    card = ModelCard(
        format="loopcraft-rollout-1",
        name="a",
        frame_shape=(3, 8, 8),
        max_context=4,
        role="model",
        checkpoint_sha256=None,
    )
    request = RolloutRequest(
        context=torch.zeros(1, 4, 3, 8, 8, dtype=torch.uint8),
        actions=torch.zeros(1, 12, dtype=torch.int64),
        seeds=[1],
    )
    yield "request", Reader(good=encode_request(request), read=lambda body: decode_request(body, card))
    records: list[bytes] = []
    write_records(iter([torch.zeros(1, 4, 3, 8, 8, dtype=torch.uint8)] * 2), records.append)
    stream = b"".join(records)
    yield (
        "answer",
        Reader(good=stream, read=lambda body: list(read_records(io.BytesIO(body).read, (1, 8, 3, 8, 8)))),
    )
    text = encode({**card.__dict__})
    yield "card", Reader(good=text, read=lambda body: decode(ModelCard, parse_json(body, "card")))
    document = parse_json(encode_catalog(CATALOG), "the example")
    del document["sha256"]
    yield "catalog", Reader(good=encode(document), read=lambda text: decode_catalog(text, "lab/set"))


def drill(name: str, reader: Reader, inputs: int, seed: int) -> Counter[str]:
    """Read mutants."""
    reader.read(reader.good)
    is_json = reader.good[:1] == b"{" and b"}\n{" not in reader.good
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
        for reader_name, reader in (*of_files(Path(name) / "examples", flags.only), *of_messages()):
            if flags.only and reader_name not in flags.only:
                continue
            found = drill(reader_name, reader, flags.inputs, flags.seed)
            print(f"{reader_name:20}" + "".join(f"{found[column]:10}" for column in columns), flush=True)
            is_good &= not (found["other"] or found["slow"] or found["MB more"] > MUCH_MB)
    return 0 if is_good else 1


if __name__ == "__main__":
    raise SystemExit(main())
