"""HTTP server for a model; it limits connections, time and memory.

Each connection has its own thread, so that a slow client delays nobody. Jobs, which call the model, run one
at a time in the serving thread, so that a model need not be thread-safe.
"""

import json
import queue
import socket
import sys
import threading
from collections.abc import Callable
from contextlib import closing, suppress
from dataclasses import dataclass, field
from functools import partial
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from benchmark.contract.compute import Compute
from benchmark.contract.model import RolloutModel, start_rollout
from benchmark.sources.chunks import check_chunks, guard_rollout
from benchmark.sources.http_protocol import (
    RequestError,
    RolloutRequest,
    decode_request,
    describe,
    write_records,
)
from benchmark.sources.machine import describe as describe_error
from benchmark.sources.timed_socket import TimedSocket, transfer_limit_s
from loopcraft.core.errors import UserError

CONNECTIONS = 128
"""Maximum connections at a time; further clients are told that the server is busy."""
BODIES = 2
"""Maximum request bodies in memory at a time: for the current job and the next."""

HEADER_S = 10.0
"""How long a client may take to send its request's header, from the first byte to the last."""
SILENCE_S = 60.0
"""How long a client may take to send or receive a message, plus the time that its size needs."""

_BUSY = (
    f"HTTP/1.0 {HTTPStatus.SERVICE_UNAVAILABLE.value} busy\r\nContent-Type: application/json\r\n\r\n"
    f'{{"error": "{CONNECTIONS} clients are already waiting"}}'
).encode()


@dataclass
class _Job:
    """A call for the serving thread to make."""

    act: Callable[[], None]
    done: threading.Event = field(default_factory=threading.Event)
    error: Exception | None = None


class ModelServer(ThreadingHTTPServer):
    """Serves a model until `shutdown`; its handlers acquire `bodies` before they read a body."""

    daemon_threads = True
    request_queue_size = CONNECTIONS

    def __init__(
        self,
        model: RolloutModel,
        compute: Compute,
        host: str,
        port: int,
        max_request_bytes: int,
        *,
        tag: str | None = None,
    ) -> None:
        """Listen at an address; `tag` identifies the model. Raises `UserError` for an unusable address."""
        self.model, self.compute, self.max_request_bytes, self.tag = model, compute, max_request_bytes, tag
        self.card = describe(model, compute)
        self.bodies = threading.BoundedSemaphore(BODIES)
        self._connections = threading.BoundedSemaphore(CONNECTIONS)
        self._jobs: queue.Queue[_Job | None] = queue.Queue()
        super().__init__((host, port), _Handler)

    def server_bind(self) -> None:
        """Bind the address; raises `UserError` if that fails."""
        try:
            super().server_bind()
        except (OSError, OverflowError, TypeError) as error:  # the last two: invalid port or host name
            host, port = self.server_address[:2]
            reason = getattr(error, "strerror", None) or error
            raise UserError(
                f"cannot listen at --host {host!s} --port {port} ({reason}): choose an address of this "
                "machine and a free port from 1 to 65535, or 0 for any free port"
            ) from error

    def do(self, act: Callable[[], None]) -> None:
        """Have the serving thread call `act` and wait for it to return; raises what it raises."""
        job = _Job(act)
        self._jobs.put(job)
        job.done.wait()
        if job.error is not None:
            raise job.error

    def serve_forever(self, poll_interval: float = 0.1) -> None:
        """Accept connections in another thread and run their jobs in this one."""
        accepting = threading.Thread(target=super().serve_forever, args=(poll_interval,), daemon=True)
        accepting.start()
        try:
            while (job := self._jobs.get()) is not None:
                try:
                    job.act()
                except Exception as error:  # the client's connection, most likely
                    job.error = error
                finally:
                    job.done.set()
        finally:
            super().shutdown()
            accepting.join()

    def shutdown(self) -> None:
        """End `serve_forever` after the current job."""
        self._jobs.put(None)
        super().shutdown()

    def get_request(self) -> tuple[socket.socket, Any]:
        """Accept a connection and wrap it in a `TimedSocket`."""
        connection, address = super().get_request()
        return TimedSocket.take_over(connection), address

    def process_request(self, request: Any, client_address: Any) -> None:
        """Handle the request in a thread, or answer that the server is busy."""
        if self._connections.acquire(blocking=False):
            super().process_request(request, client_address)
            return
        request.allow(1.0)
        with suppress(OSError):
            request.sendall(_BUSY)
        self.shutdown_request(request)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """Handle the request, then free its slot."""
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._connections.release()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Print one line about a connection that failed."""
        error = sys.exception() if sys.version_info >= (3, 12) else sys.exc_info()[1]
        print(f"{client_address[0]}: {describe_error(error) if error else 'broke off'}", file=sys.stderr)


class _Handler(BaseHTTPRequestHandler):
    """Answers one request, as http_protocol.py specifies."""

    server: ModelServer
    connection: TimedSocket

    def setup(self) -> None:
        self.request.allow(HEADER_S)
        super().setup()

    def do_GET(self) -> None:
        if self.path == "/model":
            self.answer(HTTPStatus.OK, self.server.card.as_json())
        else:
            self.answer(HTTPStatus.NOT_FOUND, {"error": f"no {self.path}: use GET /model"})

    def do_POST(self) -> None:
        if self.path != "/rollout":
            self.answer(HTTPStatus.NOT_FOUND, {"error": f"no {self.path}: use POST /rollout"})
            return
        length, most = self.headers.get("Content-Length", ""), self.server.max_request_bytes
        if not length.isascii() or not length.isdigit():
            self.answer(HTTPStatus.LENGTH_REQUIRED, {"error": "a Content-Length is required"})
        elif len(length) > 15 or int(length) > most:
            message = f"{length[:20]} bytes are more than this server's limit of {most}"
            self.answer(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, {"error": message})
        else:
            with self.server.bodies:
                self.receive(int(length))

    def receive(self, length: int) -> None:
        if self.connection.is_closed_by_peer():
            return
        self.connection.allow(transfer_limit_s(length, SILENCE_S))
        body = self.rfile.read(length)
        if len(body) == length:
            self.roll_out(body)

    def roll_out(self, body: bytes) -> None:
        try:
            request = decode_request(body, self.server.card)
        except RequestError as error:
            self.answer(HTTPStatus.BAD_REQUEST, {"error": str(error)})
            return
        self.server.do(partial(self.stream, request))

    def stream(self, request: RolloutRequest) -> None:
        model, compute = self.server.model, self.server.compute
        start = partial(start_rollout, model, request.to(compute.device), request.seeds)
        self.connection.allow(SILENCE_S)
        self.send_response(HTTPStatus.OK)
        self.send_header("Content-Type", "application/octet-stream")
        self.end_headers()
        with closing(guard_rollout(model.name, start, compute)) as chunks:
            write_records(check_chunks(chunks, request.horizon_shape), self.write)

    def answer(self, status: HTTPStatus, content: dict[str, object]) -> None:
        body = json.dumps(content).encode()
        self.connection.allow(SILENCE_S)
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def end_headers(self) -> None:
        if self.server.tag is not None:
            self.send_header("ETag", f'"{self.server.tag}"')
        super().end_headers()

    def write(self, data: bytes) -> None:
        self.connection.allow(transfer_limit_s(len(data), SILENCE_S))
        self.wfile.write(data)
