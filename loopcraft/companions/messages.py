"""Messages between two processes: a letter, the size of what follows (64 bits, little-endian), and that."""

import socket
import struct
from collections.abc import Callable

HEADER = struct.Struct("<cQ")
_READ_AT_ONCE = 1 << 20

Message = tuple[bytes, bytearray]
"""Its letter, and its content."""


def read_message(read: Callable[[int], bytearray], largest: int) -> Message:
    """The next message, by a function that reads so many bytes; raises `ValueError` for a larger one."""
    kind, size = HEADER.unpack(read(HEADER.size))
    if size > largest:
        raise ValueError(f"a message {kind!r} of {size} bytes, where {largest} are the most")
    return kind, read(size)


class Port:
    """The end of a connection that its process can wait at."""

    def __init__(self, descriptor: int) -> None:
        """`descriptor` is a connected socket's; it is this object's from now on."""
        self._socket = socket.socket(fileno=descriptor)

    def send(self, kind: bytes, content: bytes | bytearray | memoryview = b"") -> None:
        """Send a message; raises `OSError` where the other end is gone."""
        self._socket.sendall(HEADER.pack(kind, len(content)))
        self._socket.sendall(content)

    def receive(self, largest: int) -> Message:
        """The next message; raises `EOFError` where no more will come."""
        return read_message(self._read, largest)

    def close(self) -> None:
        """Let the other end know that no more will come."""
        self._socket.close()

    def _read(self, size: int) -> bytearray:
        data = bytearray()
        while len(data) < size:  # it takes no memory for what has not come
            part = self._socket.recv(min(size - len(data), _READ_AT_ONCE))
            if not part:
                raise EOFError("the other end is gone")
            data += part
        return data
