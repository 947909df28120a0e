"""Messages between two processes: a letter, the content's size (64 bits, little-endian), and the content."""

import socket
import struct
from collections.abc import Callable

HEADER = struct.Struct("<cQ")
_READ_AT_ONCE = 1 << 20

Message = tuple[bytes, bytearray]
"""Letter and content."""


def read_message(read: Callable[[int], bytearray], largest: int) -> Message:
    """Read a message with `read(num_bytes)`; raises `ValueError` for more than `largest` bytes of content."""
    kind, size = HEADER.unpack(read(HEADER.size))
    if size > largest:
        raise ValueError(f"a message {kind!r} of {size} bytes exceeds the limit of {largest}")
    return kind, read(size)


class Port:
    """A blocking end of a connection."""

    def __init__(self, descriptor: int) -> None:
        """Take ownership of `descriptor`, which is a connected socket."""
        self._socket = socket.socket(fileno=descriptor)

    def send(self, kind: bytes, content: bytes | bytearray | memoryview = b"") -> None:
        """Send a message; raises `OSError` if the other end is closed."""
        self._socket.sendall(HEADER.pack(kind, len(content)))
        self._socket.sendall(content)

    def receive(self, largest: int) -> Message:
        """Receive the next message; raises `EOFError` if the other end is closed."""
        return read_message(self._read, largest)

    def close(self) -> None:
        """Close the connection."""
        self._socket.close()

    def _read(self, size: int) -> bytearray:
        data = bytearray()
        while len(data) < size:  # allocate only what has arrived
            part = self._socket.recv(min(size - len(data), _READ_AT_ONCE))
            if not part:
                raise EOFError("the other end is closed")
            data += part
        return data
