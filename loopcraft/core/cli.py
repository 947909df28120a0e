"""How every command of the project starts and ends: tyro reads a dataclass, mistakes are one sentence.

A command is a frozen dataclass of flags and a function that takes it, joined as `main = partial(run, Flags,
body)`. A dataclass among the flags is a group of them: `--help` shows it apart, and its flags have no prefix.
A `UserError` or an `OSError` (missing file, read-only or full disk) ends the process with exit code 2 and one
sentence on stderr, below the traceback of the user's own code if that failed; anything else is a defect of
ours and keeps its traceback. A crash in native code prints where each thread was. Ctrl-C, SIGTERM and SIGHUP
end a command in order; a reader of its output that goes away ends it without a word.
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
"""Added to a signal's number: the exit code of a command that it ended, as in shells."""


def run(
    flags_type: type[Flags],
    body: Callable[[Flags], int | None],
    argv: Sequence[str] | None = None,
    *,
    when_interrupted: str = "interrupted; run the same command again to go on",
) -> int:
    """Parse `argv` (None: the process's own) into `flags_type`, call `body` and return the exit code."""
    module = sys.modules[body.__module__]
    _open_missing_streams()
    try:
        flags = tyro.cli(
            flags_type,
            prog=_name_of(module),
            args=argv,
            description=module.__doc__,
            config=(tyro.conf.OmitArgPrefixes,),
        )
    except BrokenPipeError:  # of --help
        _nobody_reads()
        return _SIGNALLED + signal.SIGPIPE
    told: list[int] = []
    try:
        with _crashes_shown(), _ended_in_order(told):
            code = body(flags) or EXIT_OK
            sys.stdout.flush()
            return code
    except UserError as error:
        if isinstance(error, UserCodeError) and error.details:
            print(printable(error.details.rstrip()), file=sys.stderr)
        print(f"error: {printable(str(error))}", file=sys.stderr)
    except OSError as error:
        if _nobody_reads():
            return _SIGNALLED + signal.SIGPIPE
        print(f"error: {printable(describe_os_error(error))}", file=sys.stderr)
    except SystemExit as error:  # some library's: a command that is left early has not done its work
        if _nobody_reads() or isinstance(error.__context__, BrokenPipeError):
            return _SIGNALLED + signal.SIGPIPE
        print(f"error: ended early by sys.exit({error.code!r})", file=sys.stderr)
        return EXIT_FAILED
    except KeyboardInterrupt:
        print(when_interrupted, file=sys.stderr)
        return _SIGNALLED + (told[0] if told else signal.SIGINT)
    return EXIT_USAGE


def _open_missing_streams() -> None:
    """Let /dev/null stand for the standard streams that the process was started without (`>&-`).

    Their descriptors are taken too, or the next file to be opened would be written to by whoever prints.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)  # gets the lowest that is free: this one
    for name, mode in {"stdin": "r", "stdout": "w", "stderr": "w"}.items():
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode, encoding="utf-8"))  # noqa: SIM115


def _name_of(module: ModuleType) -> str:
    """What the user types: the console script, or `python -m` and the module."""
    script = Path(sys.argv[0]).name
    if script.startswith("loopcraft-"):
        return script
    name = module.__spec__.name if module.__spec__ is not None else module.__name__
    return f"python -m {name.removesuffix('.__main__')}"


@contextmanager
def _ended_in_order(told: list[int]) -> Iterator[None]:
    """Let SIGTERM and SIGHUP end the block as Ctrl-C does, unless somebody has set what they do.

    Their numbers go to `told`: libraries that catch the exception may raise one of their own.
    """

    def interrupt(number: int, frame: object) -> None:
        told.append(number)
        raise KeyboardInterrupt

    numbers = [
        number for number in (signal.SIGTERM, signal.SIGHUP) if signal.getsignal(number) is signal.SIG_DFL
    ]
    if threading.current_thread() is not threading.main_thread():
        numbers = []
    for number in numbers:
        signal.signal(number, interrupt)
    try:
        yield
    finally:
        for number in numbers:
            signal.signal(number, signal.SIG_DFL)


@contextmanager
def _crashes_shown() -> Iterator[None]:
    """Let a crash in native code during the block print where each thread was, unless that is seen to."""
    if faulthandler.is_enabled() or sys.__stderr__ is None:
        yield
        return
    with suppress(OSError, ValueError):  # not a real file
        faulthandler.enable(sys.__stderr__)
    try:
        yield
    finally:
        faulthandler.disable()


def _nobody_reads() -> bool:
    """Whether whoever read our output has gone (`| head`); nothing more is written then."""
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
    """End the process at once: some library's threads abort it (exit code 134) where the interpreter ends."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def require_at_least(flags: object, **least: int) -> None:
    """Raise `UserError` for the first of these flags that is given and less than it may be."""
    for name, smallest in least.items():
        value = getattr(flags, name)
        if value is not None and value < smallest:
            raise UserError(f"--{name.replace('_', '-')} {value}: choose {smallest} or more")


def names_in(text: str) -> list[str]:
    """The names in a flag that lists them with commas; spaces around them do not count."""
    return [name.strip() for name in text.split(",")]


def printable(text: str) -> str:
    """Text of a stranger's for a terminal: what would move the cursor, hide or turn letters is replaced."""
    return "".join(char if char.isprintable() or char in "\n\t" else "\ufffd" for char in text)


def one_line(text: str) -> str:
    """The same in one line, for a cell, a label or a comment."""
    return " ".join(printable(" ".join(text.split())).split())


def describe_os_error(error: OSError) -> str:
    """One sentence for a failed file operation, with its path where the system told it."""
    reason = error.strerror or str(error)
    return f"{error.filename}: {reason}" if error.filename else reason
