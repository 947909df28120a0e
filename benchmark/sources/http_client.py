"""HTTP client for a model in another environment or on another machine; `serve.py` is the server."""

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
    RemoteModel,
    RolloutRequest,
    encode_request,
    read_records,
)
from benchmark.sources.machine import MachineError
from benchmark.sources.timed_socket import TimedSocket, transfer_limit_s
from loopcraft.core.decoding import SchemaError, decode
from loopcraft.core.errors import UserError

_LARGEST_CARD = 1 << 16
"""Maximum bytes to read of a server's description or error message."""


class HttpModel(RemoteModel):
    """A `RolloutModel` whose rollouts the server at `url` does; it ignores proxies and refuses redirects."""

    def __init__(self, url: str, timeout_s: float = 600.0, total_s: float = 86_400.0) -> None:
        """Connect. The server may take `timeout_s` for each chunk and `total_s` for a whole rollout.

        Raises `UserError` if no model server answers.
        """
        self._url, self._timeout_s, self._total_s = url.rstrip("/"), timeout_s, total_s
        try:
            with _Response(self._url, "/model", None, timeout_s) as response:
                card, self._tag = decode(ModelCard, json.loads(response.read(_LARGEST_CARD))), response.tag
        except UserError:
            raise
        except (SchemaError, HTTPException, OSError, ValueError, RecursionError) as error:
            raise UserError(f"{url}: not a model server of this protocol ({error})") from error
        super().__init__(card)

    @property
    def code_sha256(self) -> str | None:
        """SHA-256 of the ETag that identifies the served model; None if the server sends none."""
        return None if self._tag is None else hashlib.sha256(self._tag.encode()).hexdigest()

    def rollout(
        self,
        context: UInt8[Tensor, "B C 3 H W"],
        actions: Int64[Tensor, "B C+horizon"],
        *,
        seeds: Sequence[int],
        poses: Float32[Tensor, "B C+horizon 5"] | None = None,
    ) -> Iterator[UInt8[Tensor, "B n 3 H W"]]:
        """Request a rollout and yield its chunks as they arrive; `poses` are for models that ask for them.

        Raises `UserError` if the connection breaks or the server now serves another model.
        """
        end = time.monotonic() + self._total_s
        request = RolloutRequest(context=context, actions=actions, poses=poses, seeds=seeds)
        with _Response(self._url, "/rollout", encode_request(request), self._timeout_s, end) as response:
            if response.tag != self._tag:
                raise UserError(
                    f"{self._url}: no longer serves the model that this run began with; start that one "
                    "again, or choose another --out"
                )
            try:
                yield from read_records(response.read, request.horizon_shape)
            except (BrokenStreamError, HTTPException, OSError) as error:
                raise UserError(
                    f"{self._url}: the rollout broke off ({error}); see the server's log"
                ) from error


class _Response:
    """A request and its HTTP response; each message may take `timeout_s` but must end by `end`."""

    def __init__(
        self, url: str, path: str, body: bytes | None, timeout_s: float, end: float = float("inf")
    ) -> None:
        """Raises `ContractError` if the server refuses the request, `UserError` if none answers."""
        self._timeout_s, self._end = timeout_s, end
        try:
            parts = urlsplit(url)
            self._connection = HTTPConnection(parts.hostname or "", parts.port, timeout=timeout_s)
            with ExitStack() as stack:
                stack.callback(self._connection.close)
                self._connection.connect()
                self._connection.sock = self._socket = TimedSocket.take_over(self._connection.sock)
                self._socket.allow(transfer_limit_s(len(body or b""), timeout_s))
                self._connection.request("GET" if body is None else "POST", parts.path + path, body)
                self._allow()
                self._response: HTTPResponse = self._connection.getresponse()
                if self._response.status != 200:
                    raise _refusal(url, path, self._response)
                stack.pop_all()
        except UserError:
            raise
        except (HTTPException, OSError, ValueError) as error:
            raise UserError(
                f"{url}: no model server answers ({error}); start one with python -m benchmark.serve"
            ) from error

    @property
    def tag(self) -> str | None:
        """The ETag, if the server sent one."""
        return self._response.getheader("ETag")

    def read(self, count: int) -> bytes:
        """Return the next `count` bytes, fewer at the end; raises `TimeoutError` if they come too late."""
        self._allow()
        return self._response.read(count)

    def _allow(self) -> None:
        self._socket.allow(min(self._timeout_s, self._end - time.monotonic()))

    def __enter__(self) -> "_Response":
        return self

    def __exit__(self, *_: object) -> None:
        self._response.close()
        self._connection.close()


def _refusal(url: str, path: str, response: HTTPResponse) -> UserError:
    """Convert a response whose status is not 200."""
    try:
        content: Any = json.loads(response.read(_LARGEST_CARD))
        reason = " ".join(str(content["error"]).split())
    except (ValueError, KeyError, TypeError, RecursionError):
        reason = f"{response.status} {response.reason}"
    if response.status == 503:
        return MachineError(f"{url}: is busy ({reason}); run the same command again later")
    if 300 <= response.status < 400:
        return UserError(f"{url}{path}: redirects ({response.status}); give the address of the model server")
    return ContractError(f"{url}{path} refused: {reason}")
