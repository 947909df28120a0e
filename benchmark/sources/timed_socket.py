"""A socket with a deadline that holds however slowly the peer trickles its bytes."""

import socket
import time
from typing import Any

SLOWEST = 1 << 20
"""Lowest transfer rate accepted for large messages, in bytes per second."""


def transfer_limit_s(num_bytes: int, patience_s: float) -> float:
    """Return how long a message may take: `patience_s` plus its transfer at the lowest rate."""
    return patience_s + num_bytes / SLOWEST


class TimedSocket(socket.socket):
    """A connected socket with a deadline for everything sent and received."""

    _deadline = float("inf")

    @classmethod
    def take_over(cls, other: socket.socket) -> "TimedSocket":
        """Wrap the connection of `other`, which loses it."""
        return cls(fileno=other.detach())

    def allow(self, seconds: float) -> None:
        """Set the deadline for everything sent and received from now on."""
        self._deadline = time.monotonic() + seconds

    def recv_into(self, *args: Any, **options: Any) -> int:
        """Receive as any socket does; raises `TimeoutError` after the deadline."""
        self._prepare()
        return super().recv_into(*args, **options)

    def sendall(self, *args: Any, **options: Any) -> None:
        """Send as any socket does; raises `TimeoutError` if the deadline passes first."""
        self._prepare()
        super().sendall(*args, **options)

    def _prepare(self) -> None:
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError("timed out")
        self.settimeout(None if left == float("inf") else left)

    def is_closed_by_peer(self) -> bool:
        """Return whether the other end has closed the connection."""
        self.settimeout(0)
        try:
            return not self.recv(1, socket.MSG_PEEK)
        except BlockingIOError:
            return False
        except OSError:
            return True
