"""Readers of messages: over HTTP, from the Hub, and both ways between the benchmark and a model's process."""

import io
import json
import socket
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any
from unittest.mock import patch

import torch
from torch import Tensor

from benchmark.contract.compute import Compute
from benchmark.sources import isolated, model_process
from benchmark.sources.chunks import check_chunks, guard_rollout
from benchmark.sources.http_protocol import (
    BrokenStreamError,
    ModelCard,
    RolloutRequest,
    decode_request,
    encode_request,
    read_records,
    write_records,
)
from benchmark.sources.isolated import IsolatedModel
from benchmark.sources.model_process import Description, LoadRequest
from loopcraft.companions.companion import CompanionEndedError
from loopcraft.companions.messages import HEADER, Message, Port, read_message
from loopcraft.core.decoding import decode
from loopcraft.core.files import parse_json
from loopcraft.dataset.catalog import decode_catalog, encode_catalog
from tests.fakes.catalogs import CATALOG
from tests.fakes.isolated_models import Honest


@dataclass(frozen=True, kw_only=True)
class Reader:
    """A function that reads bytes, and an example that it accepts."""

    good: bytes
    read: Callable[[bytes], Any]


HORIZON = (1, 8, 3, 8, 8)
CARD = ModelCard(
    format="loopcraft-rollout-1",
    name="a",
    frame_shape=(3, 8, 8),
    max_context=4,
    role="model",
    checkpoint_sha256=None,
)
REQUEST = RolloutRequest(
    context=torch.zeros(1, 4, 3, 8, 8, dtype=torch.uint8),
    actions=torch.zeros(1, 12, dtype=torch.int64),
    seeds=[1],
)


def request() -> Reader:
    """The body of POST /rollout."""
    return Reader(good=encode_request(REQUEST), read=lambda body: decode_request(body, CARD))


def answer() -> Reader:
    """The stream that answers a request."""
    records: list[bytes] = []
    write_records(iter([torch.zeros(1, 4, 3, 8, 8, dtype=torch.uint8)] * 2), records.append)
    return Reader(
        good=b"".join(records), read=lambda body: list(read_records(io.BytesIO(body).read, HORIZON))
    )


def card() -> Reader:
    """The card that a model behind HTTP sends."""
    return Reader(
        good=json.dumps(CARD.__dict__).encode(),
        read=lambda body: decode(ModelCard, parse_json(body, "card")),
    )


def catalog() -> Reader:
    """The catalog of a repository on the Hub."""
    document = parse_json(encode_catalog(CATALOG), "the example")
    del document["sha256"]
    return Reader(good=json.dumps(document).encode(), read=lambda text: decode_catalog(text, "lab/set"))


def message(kind: bytes, content: bytes) -> bytes:
    """A message as sent over the connection."""
    return HEADER.pack(kind, len(content)) + content


class RecordedCompanion:
    """Replaces a `Companion`; it replays recorded messages."""

    def __init__(self, content: bytes) -> None:
        self._left = io.BytesIO(content)

    def listen(self) -> None:
        """Do nothing, as nothing is printed."""

    def send(self, kind: bytes, content: bytes, patience_s: float | None = None) -> None:
        """Ignore the message, as the answers are fixed."""

    def receive(self, largest: int, patience_s: float | None = None) -> Message:
        """Return the next message, in a buffer of the size that it announces."""
        return read_message(self._read, largest)

    def _read(self, size: int) -> bytearray:
        data = bytearray(size)
        if self._left.readinto(data) < size:
            raise CompanionEndedError("closed its connection", "", was_killed=False)
        return data

    def end(self, *, in_order: bool = False) -> None:
        """Do nothing, as there is no process."""


def answers_of_a_process() -> Reader:
    """What the benchmark reads from a model's process: the description, frames and the end."""
    description = Description(card=CARD, notes=("a note",))
    chunk = bytes(4 * 3 * 8 * 8)
    good = [message(model_process.CARD, json.dumps(asdict(description)).encode())]
    good += [message(model_process.FRAMES, chunk)] * 2 + [message(model_process.END, b'["a note"]')]
    compute = Compute()

    def read(content: bytes) -> list[Tensor]:
        with patch.object(isolated, "Companion", lambda *given: RecordedCompanion(content)):
            model = IsolatedModel("a:b", {}, world=None, compute=compute)
            start = partial(model.rollout, REQUEST.context, REQUEST.actions, seeds=REQUEST.seeds)
            with closing(guard_rollout(model.name, start, compute)) as chunks:
                return list(check_chunks(chunks, HORIZON))

    return Reader(good=b"".join(good), read=read)


class SilentPort(Port):
    """A port that discards what it sends."""

    def send(self, kind: bytes, content: bytes | bytearray | memoryview = b"") -> None:
        """Discard the message."""


def requests_to_a_process() -> Reader:
    """What a model's process reads once the model is loaded: rollout requests."""
    order = LoadRequest(
        spec="a:b",
        arguments={},
        world=None,
        device="cpu",
        precision="float32",
        num_threads=torch.get_num_threads(),
    )

    def read(content: bytes) -> None:
        own_end, other_end = socket.socketpair()
        with own_end, closing(SilentPort(other_end.detach())) as port:
            own_end.sendall(content)
            own_end.shutdown(socket.SHUT_WR)
            try:
                with patch.object(model_process, "load_model", lambda *given: Honest()):
                    model_process._serve(order, port)
            except EOFError:
                return
            except ValueError as error:  # ends the process, which the benchmark reports
                raise BrokenStreamError(str(error)) from error

    return Reader(good=message(model_process.ROLLOUT, encode_request(REQUEST)) * 2, read=read)


MESSAGES: Mapping[str, Callable[[], Reader]] = {
    "request": request,
    "answer": answer,
    "card": card,
    "catalog": catalog,
    "answers apart": answers_of_a_process,
    "requests apart": requests_to_a_process,
}
