"""A model behind HTTP, in an environment or on a machine of its own; `serve.py` is the other end."""

import hashlib
import json
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from http.client import HTTPConnection, HTTPException, HTTPResponse
from typing import Any
from urllib.parse import urlsplit

from jaxtyping import Float32, Int64, UInt8
from torch import Tensor

from benchmark.contract.model import ContractError
from benchmark.sources.http_protocol import (
    BrokenStreamError,
    ModelCard,
    ModelElsewhere,
    RolloutRequest,
    encode_request,
    read_records,
)
from benchmark.sources.machine import MachineError
from benchmark.sources.timed_socket import TimedSocket, time_for
from loopcraft.core.decoding import SchemaError, decode
from loopcraft.core.errors import UserError

_LARGEST_CARD = 1 << 16
"""Bytes that are read of a server's description or error message."""


class HttpModel(ModelElsewhere):
    """A `RolloutModel` whose rollouts are done by the server at `url`: asked directly, whatever proxies there
    are, and nowhere else, whatever it answers.
    """

    def __init__(self, url: str, timeout_s: float = 600.0, total_s: float = 86_400.0) -> None:
        """`timeout_s` is how long the server may take over its next chunk, `total_s` over a whole rollout.

        Raises `UserError` where none answers.
        """
        self._url, self._timeout_s, self._total_s = url.rstrip("/"), timeout_s, total_s
        try:
            with _Answer(self._url, "/model", None, timeout_s) as answer:
                card, self._tag = decode(ModelCard, json.loads(answer.read(_LARGEST_CARD))), answer.tag
        except UserError:
            raise
        except (SchemaError, HTTPException, OSError, ValueError, RecursionError) as error:
            raise UserError(f"{url}: not a model server of this protocol ({error})") from error
        super().__init__(card)

    @property
    def code_sha256(self) -> str | None:
        """What stands for the model that is served; None where the server does not say."""
        return None if self._tag is None else hashlib.sha256(self._tag.encode()).hexdigest()

    def rollout(
        self,
        context: UInt8[Tensor, "B C 3 H W"],
        actions: Int64[Tensor, "B C+horizon"],
        *,
        seeds: Sequence[int],
        poses: Float32[Tensor, "B C+horizon 5"] | None = None,
    ) -> Iterator[UInt8[Tensor, "B n 3 H W"]]:
        """Ask the server, and pass its chunks on as they come; `poses` go to a model that asks for them.

        Raises `UserError` where the connection breaks, and where another model is served by now.
        """
        end = time.monotonic() + self._total_s
        request = RolloutRequest(context=context, actions=actions, poses=poses, seeds=seeds)
        with _Answer(self._url, "/rollout", encode_request(request), self._timeout_s, end) as answer:
            if answer.tag != self._tag:
                raise UserError(
                    f"{self._url}: serves another model than when this run began; start that one again, or "
                    "choose another --out"
                )
            try:
                yield from read_records(answer.read, request.horizon_shape)
            except (BrokenStreamError, HTTPException, OSError) as error:
                raise UserError(
                    f"{self._url}: the rollout broke off ({error}); see the server's log"
                ) from error


class _Answer:
    """What a server answers to one request; each message may take `timeout_s`, all together until `end`."""

    def __init__(
        self, url: str, path: str, body: bytes | None, timeout_s: float, end: float = float("inf")
    ) -> None:
        """Raises `ContractError` where the request is refused, `UserError` where nobody answers it."""
        self._timeout_s, self._end = timeout_s, end
        try:
            parts = urlsplit(url)
            self._connection = HTTPConnection(parts.hostname or "", parts.port, timeout=timeout_s)
            with ExitStack() as opened:
                opened.callback(self._connection.close)
                self._connection.connect()
                self._connection.sock = self._socket = TimedSocket.take_over(self._connection.sock)
                self._socket.allow(time_for(len(body or b""), timeout_s))
                self._connection.request("GET" if body is None else "POST", parts.path + path, body)
                self._allow()
                self._response: HTTPResponse = self._connection.getresponse()
                if self._response.status != 200:
                    raise _refusal(url, path, self._response)
                opened.pop_all()
        except UserError:
            raise
        except (HTTPException, OSError, ValueError) as error:
            raise UserError(
                f"{url}: no model server answers ({error}); start one with python -m benchmark.serve"
            ) from error

    @property
    def tag(self) -> str | None:
        """The ETag, if there is one."""
        return self._response.getheader("ETag")

    def read(self, count: int) -> bytes:
        """The next `count` bytes, fewer at the end; raises `TimeoutError` where they do not come in time."""
        self._allow()
        return self._response.read(count)

    def _allow(self) -> None:
        self._socket.allow(min(self._timeout_s, self._end - time.monotonic()))

    def __enter__(self) -> "_Answer":
        return self

    def __exit__(self, *_: object) -> None:
        self._response.close()
        self._connection.close()


def _refusal(url: str, path: str, response: HTTPResponse) -> UserError:
    """What an answer other than 200 means."""
    try:
        answer: Any = json.loads(response.read(_LARGEST_CARD))
        reason = " ".join(str(answer["error"]).split())
    except (ValueError, KeyError, TypeError, RecursionError):
        reason = f"{response.status} {response.reason}"
    if response.status == 503:
        return MachineError(f"{url}: is busy ({reason}); run the same command again later")
    if 300 <= response.status < 400:
        return UserError(
            f"{url}{path}: sends us elsewhere ({response.status}); give the model server's address"
        )
    return ContractError(f"{url}{path} refused: {reason}")
