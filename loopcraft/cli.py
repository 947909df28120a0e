"""How every command of the project starts and ends: tyro reads a dataclass, mistakes are one sentence.

A command is a frozen dataclass of flags plus a function that takes it. `run` joins the two. A `UserError`
or an `OSError` (missing file, read-only or full disk) ends the process with exit code 2 and one sentence on
stderr; anything else is a defect of ours and keeps its traceback.
"""

import sys
from collections.abc import Callable, Sequence
from typing import TypeVar

import tyro

Flags = TypeVar("Flags")

EXIT_OK = 0
EXIT_FAILED = 1
EXIT_USAGE = 2


class UserError(ValueError):
    """A mistake that the user can mend: the message names the path, the value and the remedy."""


def run(flags_type: type[Flags], body: Callable[[Flags], int | None], argv: Sequence[str] | None) -> int:
    """Parse `argv` (None: the process's own) into `flags_type`, call `body` and return the exit code."""
    module = sys.modules[body.__module__]
    flags = tyro.cli(flags_type, args=argv, description=module.__doc__)
    try:
        return body(flags) or EXIT_OK
    except UserError as error:
        print(f"error: {printable(str(error))}", file=sys.stderr)
    except OSError as error:
        print(f"error: {printable(describe_os_error(error))}", file=sys.stderr)
    except SystemExit as error:  # some library's: a command that is left early has not done its work
        print(f"error: ended early by sys.exit({error.code!r})", file=sys.stderr)
        return EXIT_FAILED
    except KeyboardInterrupt:
        print("interrupted; run the same command again to go on", file=sys.stderr)
        return 130
    return EXIT_USAGE


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
