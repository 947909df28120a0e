"""An HTTP server whose every resource is bounded: connections, time, memory; one job at a time.

Connections are answered in threads of their own, so that a slow client holds up nobody. Jobs, which are what
a model does, are done one after the other in the thread that serves: a model need not know of threads.
"""

import queue
import socket
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from http import HTTPStatus
from http.server import ThreadingHTTPServer
from typing import Any

from benchmark.sources.machine import describe
from benchmark.sources.timed_socket import TimedSocket

CONNECTIONS = 128
"""More are told that the server is busy."""
BODIES = 2
"""Requests whose bodies are in memory at a time: of the job that is done, and of the next."""

_BUSY = (
    f"HTTP/1.0 {HTTPStatus.SERVICE_UNAVAILABLE.value} busy\r\nContent-Type: application/json\r\n\r\n"
    f'{{"error": "{CONNECTIONS} clients are waiting already"}}'
).encode()


@dataclass
class _Job:
    """What the serving thread is asked to do."""

    act: Callable[[], None]
    done: threading.Event = field(default_factory=threading.Event)
    error: Exception | None = None


class ModelServer(ThreadingHTTPServer):
    """Serves until `shutdown`; its handlers take a place in `bodies` before they read a body."""

    daemon_threads = True
    request_queue_size = CONNECTIONS

    def __init__(self, *args: Any, **options: Any) -> None:
        self.bodies = threading.BoundedSemaphore(BODIES)
        self._connections = threading.BoundedSemaphore(CONNECTIONS)
        self._jobs: queue.Queue[_Job | None] = queue.Queue()
        super().__init__(*args, **options)

    def do(self, act: Callable[[], None]) -> None:
        """Have the serving thread call `act`, and wait for its end; raises what it raises."""
        job = _Job(act)
        self._jobs.put(job)
        job.done.wait()
        if job.error is not None:
            raise job.error

    def serve_forever(self, poll_interval: float = 0.1) -> None:
        """Accept connections in another thread, and do their jobs in this one."""
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
        """End `serve_forever`, after the job that is being done."""
        self._jobs.put(None)
        super().shutdown()

    def get_request(self) -> tuple[socket.socket, Any]:
        """Take a connection, and put a clock on it."""
        connection, address = super().get_request()
        return TimedSocket.take_over(connection), address

    def process_request(self, request: Any, client_address: Any) -> None:
        """Answer in a thread, or say that there are too many."""
        if self._connections.acquire(blocking=False):
            super().process_request(request, client_address)
            return
        request.allow(1.0)
        with suppress(OSError):
            request.sendall(_BUSY)
        self.shutdown_request(request)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """Answer, and make room for another."""
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._connections.release()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """One line about a connection that broke."""
        error = sys.exception() if sys.version_info >= (3, 12) else sys.exc_info()[1]
        print(f"{client_address[0]}: {describe(error) if error else 'broke off'}", file=sys.stderr)
