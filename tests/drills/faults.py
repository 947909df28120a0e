"""Run commands under a fault, then again without it: `python -m tests.drills.faults`.

The first run ends with the result of an undisturbed one, or with one sentence and its exit code, and leaves
nothing temporary behind. The second always has that result. Full disks and read-only folders exist only in
the command's own mount namespace, which requires root; without root these faults are skipped.
"""

import ctypes
import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import tyro

from tests.drills.apart import (
    PATIENCE_S,
    ChildResult,
    adopt_orphans,
    orphans,
    run_apart,
    shared_memory,
    temporary_folder,
)
from tests.drills.commands import Command, choose_commands, local_hub, rehearse, run_undisturbed
from tests.drills.kills import PASSING

_CLONE_NEWNS = 0x20000
_PIPE = 128 + signal.SIGPIPE


@dataclass(frozen=True, kw_only=True)
class Flags:
    """How long the drill is."""

    only: tuple[str, ...] = ()
    """The commands (default: all)."""


@dataclass(frozen=True, kw_only=True)
class Fault:
    """A fault; `cause` is called with the folder, in the command's process, just before the command."""

    name: str
    cause: Callable[[Path], object]
    codes: tuple[int, ...] = (0,)
    """The exit codes that are acceptable."""
    needs_root: bool = False


def mount(*arguments: str) -> None:
    """Mount for this process and its children only."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(_CLONE_NEWNS):
        raise OSError(ctypes.get_errno(), "no mount namespace")
    for command in (["mount", "--make-rprivate", "/"], ["mount", *arguments]):
        subprocess.run(command, check=True, capture_output=True)


def make_read_only(out: Path) -> None:
    """Make the folder read-only."""
    out.mkdir(exist_ok=True)
    mount("--bind", "-o", "ro", str(out), str(out))


def fill_the_disk(out: Path) -> None:
    """Leave 8 KiB of the folder's file system."""
    out.mkdir(exist_ok=True)
    copy = out.with_name(f"{out.name}-kept")
    shutil.copytree(out, copy)
    pages = sum(1 + path.stat().st_size // 4096 for path in copy.rglob("*"))
    mount("-t", "tmpfs", "-o", f"size={(pages + 3) * 4096}", "tmpfs", str(out))
    shutil.copytree(copy, out, dirs_exist_ok=True)
    shutil.rmtree(copy)


def lose_home(_: Path) -> None:
    """Remove the home folder and the variables that name one."""
    for name in [name for name in os.environ if name in ("HOME", "USER") or name.startswith("XDG_")]:
        del os.environ[name]
    os.environ["HOME"] = "/nonexistent"


def have_few_descriptors(_: Path) -> None:
    """Allow ten more descriptors than are open."""
    most = max(int(name) for name in os.listdir("/proc/self/fd"))
    resource.setrlimit(resource.RLIMIT_NOFILE, (most + 10, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))


def jump_the_clock(_: Path) -> None:
    """Move the wall clock forward and back by up to a day, at every call."""
    real, offsets = time.time, random.Random(0)
    time.time = lambda: real() + offsets.uniform(-86_400, 86_400)


def close_the_output(_: Path) -> None:
    """Close the reading end of the standard output and error."""
    reads, writes = os.pipe()
    os.close(reads)
    os.dup2(writes, 1)
    os.dup2(writes, 2)


def close_the_streams(_: Path) -> None:
    """Run without standard streams, as with `<&- >&- 2>&-`."""
    for number in range(3):
        os.close(number)
    sys.stdin = sys.stdout = sys.stderr = None  # type: ignore[assignment]


def terminate_soon(_: Path) -> None:
    """Send SIGTERM after 0.1 s."""
    timer = threading.Timer(0.1, os.kill, [os.getpid(), signal.SIGTERM])
    timer.daemon = True
    timer.start()


FAULTS = (
    Fault(name="read-only folder", cause=make_read_only, codes=(2,), needs_root=True),
    Fault(name="full disk", cause=fill_the_disk, codes=(0, 2), needs_root=True),
    Fault(
        name="no /dev/shm",
        cause=lambda _: mount("-t", "tmpfs", "-o", "ro", "tmpfs", "/dev/shm"),
        codes=(0, 2),
        needs_root=True,
    ),
    Fault(name="no home", cause=lose_home),
    Fault(name="few descriptors", cause=have_few_descriptors, codes=(0, 2)),
    Fault(name="clock jumps", cause=jump_the_clock),
    Fault(name="closed output", cause=close_the_output, codes=(0, _PIPE)),
    Fault(name="no streams", cause=close_the_streams),
    Fault(name="SIGTERM", cause=terminate_soon, codes=(0, 128 + signal.SIGTERM)),
)


def drill(command: Command, fault: Fault, inputs: Path, folder: Path, expected: object) -> list[str]:
    """Run a command with and without the fault; the list of problems."""
    log, temporary = folder / "log", temporary_folder(folder)
    out, shared = folder / fault.name.replace(" ", "-").replace("/", ""), shared_memory()
    command.prepare(inputs, out)
    first = run_apart(lambda: fault.cause(out) or command.act(inputs, out), log)
    # `publish` writes to no folder, so it may succeed
    problems = find_problems(first, (0, *fault.codes) if command.name == "publish" else fault.codes)
    if first.code == 0 and not fault.needs_root and command.result(out) != expected:
        problems.append("another result")
    if not fault.needs_root or first.code != 0:
        left = [path for path in out.rglob(".*") if path.name.endswith((".partial", ".lock"))]
        left += (path for path in temporary.glob("*") if not path.name.startswith(PASSING))
        problems += [f"left {path}" for path in left]
    second = run_apart(lambda: command.act(inputs, out), log)
    if second.code != 0 or command.result(out) != expected:
        problems.append(f"afterwards another result (exit code {second.code}: {second.output[-200:]})")
    problems += [f"outlived its parent: {line}" for line in orphans()]
    problems += [f"shared memory {name}" for name in shared_memory(shared, PATIENCE_S)]
    return problems


def find_problems(result: ChildResult, codes: tuple[int, ...]) -> list[str]:
    """The problems with how a command ended."""
    problems = []
    if result.code not in codes:
        problems.append(f"exit code {result.code}: {result.output[-600:]}")
    if "Traceback" in result.output:
        problems.append(f"a traceback: {result.output[-600:]}")
    errors = [line for line in result.output.splitlines() if line.startswith("error: ")]
    if result.code == 2 and len(errors) != 1:
        problems.append(f"{len(errors)} sentences: {result.output[-600:]}")
    return problems


def main(argv: Sequence[str] | None = None) -> int:
    """Drill all commands; return 1 if there were problems."""
    flags = tyro.cli(Flags, args=argv, description=__doc__)
    is_good, is_root = True, os.geteuid() == 0
    adopt_orphans()
    print(f"{'command':10}" + "".join(f"{fault.name:>18}" for fault in FAULTS))
    with local_hub(), tempfile.TemporaryDirectory(prefix="drill-") as name:
        top = Path(name)
        inputs = rehearse(top)
        for command in choose_commands(flags.only):
            folder = top / command.name
            folder.mkdir()
            run_undisturbed(command, inputs, folder)
            expected, row = command.result(folder / "whole"), []
            for fault in FAULTS:
                if fault.needs_root and not is_root:
                    row.append("not tried")
                    continue
                problems = drill(command, fault, inputs, folder, expected)
                row.append(f"{len(problems)} wrong" if problems else "well")
                for problem in problems:
                    print(f"{command.name}, {fault.name}: {problem}", file=sys.stderr)
                is_good &= not problems
            print(f"{command.name:10}" + "".join(f"{cell:>18}" for cell in row), flush=True)
    return 0 if is_good else 1


if __name__ == "__main__":
    raise SystemExit(main())
