"""Entry point shared by all commands: parse flags with tyro, run, and report errors in one sentence.

A command is a frozen dataclass of flags and a function that takes it: `main = partial(run, Flags, body)`. A
nested dataclass is a group of flags: `--help` lists it separately, and its flags have no prefix.
A `UserError` or an `OSError` (missing file, read-only or full disk) ends the process with exit code 2 and one
sentence on stderr, below the traceback if the user's own code failed; any other exception is a bug of ours
and keeps its traceback. A crash in native code prints the stack of each thread. Ctrl-C, SIGTERM and SIGHUP
end a command cleanly; a closed output pipe ends it silently.
"""

import faulthandler
import os
import select
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from types import ModuleType
from typing import NoReturn, TypeVar

import tyro

from loopcraft.core.errors import UserCodeError, UserError

Flags = TypeVar("Flags")

EXIT_OK = 0
EXIT_FAILED = 1
EXIT_USAGE = 2
_SIGNALLED = 128
"""Add the signal's number for the exit code of a command ended by a signal, as shells do."""


def run(
    flags_type: type[Flags],
    body: Callable[[Flags], int | None],
    argv: Sequence[str] | None = None,
    *,
    when_interrupted: str = "interrupted; run the same command again to continue",
) -> int:
    """Parse `argv` (default: `sys.argv`) into `flags_type`, call `body` and return the exit code."""
    module = sys.modules[body.__module__]
    _open_missing_streams()
    try:
        flags = tyro.cli(
            flags_type,
            prog=_program_name(module),
            args=argv,
            description=module.__doc__,
            config=(tyro.conf.OmitArgPrefixes,),
        )
    except BrokenPipeError:  # from --help
        _is_output_closed()
        return _SIGNALLED + signal.SIGPIPE
    received: list[int] = []
    try:
        with _print_crashes(), _interrupt_on_signals(received):
            code = body(flags) or EXIT_OK
            sys.stdout.flush()
            return code
    except UserError as error:
        if isinstance(error, UserCodeError) and error.details:
            print(printable(error.details.rstrip()), file=sys.stderr)
        print(f"error: {printable(str(error))}", file=sys.stderr)
    except OSError as error:
        if _is_output_closed():
            return _SIGNALLED + signal.SIGPIPE
        print(f"error: {printable(describe_os_error(error))}", file=sys.stderr)
    except SystemExit as error:  # raised by a library: the command has not finished its work
        if _is_output_closed() or isinstance(error.__context__, BrokenPipeError):
            return _SIGNALLED + signal.SIGPIPE
        print(f"error: ended early by sys.exit({error.code!r})", file=sys.stderr)
        return EXIT_FAILED
    except KeyboardInterrupt:
        print(when_interrupted, file=sys.stderr)
        return _SIGNALLED + (received[0] if received else signal.SIGINT)
    return EXIT_USAGE


def _open_missing_streams() -> None:
    """Open /dev/null for each standard stream that the process was started without (`>&-`).

    This also occupies their descriptors; otherwise the next file opened would receive what is printed.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)  # gets the lowest free number: this one
    for name, mode in {"stdin": "r", "stdout": "w", "stderr": "w"}.items():
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode, encoding="utf-8"))  # noqa: SIM115


def _program_name(module: ModuleType) -> str:
    """Return what the user types: the console script, or `python -m` and the module."""
    script = Path(sys.argv[0]).name
    if script.startswith("loopcraft-"):
        return script
    name = module.__spec__.name if module.__spec__ is not None else module.__name__
    return f"python -m {name.removesuffix('.__main__')}"


@contextmanager
def _interrupt_on_signals(received: list[int]) -> Iterator[None]:
    """Raise `KeyboardInterrupt` on SIGTERM and SIGHUP during the block, unless they have a handler.

    Append their numbers to `received`, because libraries may catch the exception and raise their own.
    """

    def interrupt(number: int, frame: object) -> None:
        received.append(number)
        raise KeyboardInterrupt

    numbers = []
    if threading.current_thread() is threading.main_thread():
        numbers = [sig for sig in (signal.SIGTERM, signal.SIGHUP) if signal.getsignal(sig) is signal.SIG_DFL]
    for number in numbers:
        signal.signal(number, interrupt)
    try:
        yield
    finally:
        for number in numbers:
            signal.signal(number, signal.SIG_DFL)


@contextmanager
def _print_crashes() -> Iterator[None]:
    """Print each thread's stack if native code crashes in the block, unless faulthandler already does."""
    if faulthandler.is_enabled() or sys.__stderr__ is None:
        yield
        return
    with suppress(OSError, ValueError):  # not a real file
        faulthandler.enable(sys.__stderr__)
    try:
        yield
    finally:
        faulthandler.disable()


def _is_output_closed() -> bool:
    """Return whether the reader of stdout has gone (`| head`); if so, redirect stdout to /dev/null."""
    try:
        descriptor = sys.stdout.fileno()
    except (OSError, ValueError):  # not a real file
        return False
    poll = select.poll()
    poll.register(descriptor, 0)
    if not any(event & select.POLLERR for _, event in poll.poll(0)):
        return False
    os.dup2(os.open(os.devnull, os.O_WRONLY), descriptor)
    return True


def leave(code: int) -> NoReturn:
    """Exit at once, because some library's threads abort the process (code 134) during a normal exit."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def require_at_least(flags: object, **minimums: int) -> None:
    """Raise `UserError` for the first of these flags that is given and below its minimum."""
    for name, minimum in minimums.items():
        value = getattr(flags, name)
        if value is not None and value < minimum:
            raise UserError(f"--{name.replace('_', '-')} {value}: choose {minimum} or more")


def names_in(text: str) -> list[str]:
    """Split a comma-separated flag into names, without surrounding spaces."""
    return [name.strip() for name in text.split(",")]


def printable(text: str) -> str:
    """Make untrusted text safe for a terminal: replace characters that move the cursor or hide text."""
    return "".join(char if char.isprintable() or char in "\n\t" else "\ufffd" for char in text)


def one_line(text: str) -> str:
    """Make untrusted text printable on one line, for a table cell, a label or a comment."""
    return " ".join(printable(" ".join(text.split())).split())


def describe_os_error(error: OSError) -> str:
    """Describe a failed file operation in one sentence, with its path if known."""
    reason = error.strerror or str(error)
    return f"{error.filename}: {reason}" if error.filename else reason
