"""What companions do in tests; each runs in its own process."""

import ctypes
import os
import signal
import subprocess
import sys
import time

from loopcraft.companions.messages import Port
from loopcraft.core.children import end_with_input


def echo(descriptor: int) -> None:
    """Send every message back, and exit cleanly at the end of input."""
    end_with_input()
    port = Port(descriptor)
    try:
        while True:
            kind, content = port.receive(1 << 30)
            port.send(kind, content)
    except EOFError:
        print("that was all", flush=True)


def misbehave(descriptor: int) -> None:
    """Do what the first message names."""
    end_with_input()
    port = Port(descriptor)
    _, action = port.receive(100)
    print("this is", action.decode(), flush=True)
    ACTIONS[action.decode()](port)


def start_a_sleeper(port: Port) -> int:
    """Start a child process, send its id and return it."""
    child = subprocess.Popen(["sleep", "300"])
    port.send(b"P", str(child.pid).encode())
    return child.pid


def crash_with_a_sleeper(port: Port) -> None:
    """Crash while a child is running; its standard output is inheritable, unlike the parent's other files."""
    os.set_inheritable(1, True)
    start_a_sleeper(port)
    os.kill(os.getpid(), signal.SIGSEGV)


def stick_with_a_sleeper(port: Port) -> None:
    """Hang in native code that holds the interpreter lock, while a child is running."""
    start_a_sleeper(port)
    ctypes.PyDLL(None).pause()


def fill_memory(port: Port) -> None:
    """Allocate 100 MB at a time."""
    blocks = []
    while True:
        blocks.append(b"x" * 100_000_000)
        time.sleep(0.01)


def print_without_end(port: Port) -> None:
    """Print the same line forever."""
    while True:
        print("x" * 1000)


ACTIONS = {
    "segfault": lambda port: ctypes.string_at(0),
    "abort": lambda port: os.abort(),
    "exit": lambda port: sys.exit(3),
    "silent exit": lambda port: os._exit(0),
    "exception": lambda port: 1 // 0,
    "kill": lambda port: os.kill(os.getpid(), signal.SIGKILL),
    "close": lambda port: (os.closerange(3, 100), time.sleep(300)),
    "half a message": lambda port: (port._socket.send(b"F"), os.kill(os.getpid(), signal.SIGSTOP)),
    "sleep": lambda port: time.sleep(300),
    "memory": fill_memory,
    "print": print_without_end,
    "sleeper": crash_with_a_sleeper,
    "stuck": stick_with_a_sleeper,
}
