"""Sockets on which nothing takes longer than it may, however slowly the other end drips its bytes."""

import socket
import time
from typing import Any

SLOWEST = 1 << 20
"""Bytes a second at which large messages must at least travel."""


def time_for(num_bytes: int, patience_s: float) -> float:
    """How long a message of that size may take: some patience, and what the slowest network needs."""
    return patience_s + num_bytes / SLOWEST


class TimedSocket(socket.socket):
    """A connected socket with a time by which all that is done with it must be done."""

    _until = float("inf")

    @classmethod
    def take_over(cls, other: socket.socket) -> "TimedSocket":
        """The same connection; `other` is left without it."""
        return cls(fileno=other.detach())

    def allow(self, seconds: float) -> None:
        """Give all that is sent and received from now on so much time together."""
        self._until = time.monotonic() + seconds

    def recv_into(self, *args: Any, **options: Any) -> int:
        """As any socket's; raises `TimeoutError` where the time is over."""
        self._prepare()
        return super().recv_into(*args, **options)

    def sendall(self, *args: Any, **options: Any) -> None:
        """As any socket's; raises `TimeoutError` where the time is over before all is sent."""
        self._prepare()
        super().sendall(*args, **options)

    def _prepare(self) -> None:
        left = self._until - time.monotonic()
        if left <= 0:
            raise TimeoutError("timed out")
        self.settimeout(None if left == float("inf") else left)

    def is_abandoned(self) -> bool:
        """Whether the other end has closed the connection."""
        self.settimeout(0)
        try:
            return not self.recv(1, socket.MSG_PEEK)
        except BlockingIOError:
            return False
        except OSError:
            return True
