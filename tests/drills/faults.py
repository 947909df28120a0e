"""Give commands where something is amiss, then where nothing is: `python -m tests.drills.faults`.

The first command ends with the result of an undisturbed one, or with one sentence and its exit code; nothing
temporary is left of it. The second one always has that result. Disks are full and folders read-only in a
mount namespace of the command's own, for which Linux asks for root; without it these faults are left out.
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
    Ended,
    adopt_orphans,
    orphans,
    run_apart,
    shared_memory,
    temporary_folder,
)
from tests.drills.commands import Command, chosen, on_the_hub, rehearse, undisturbed
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
    """What is amiss; `cause` is called with the folder in the process of the command, just before it."""

    name: str
    cause: Callable[[Path], object]
    codes: tuple[int, ...] = (0,)
    """The exit codes that are right."""
    needs_root: bool = False


def mount(*arguments: str) -> None:
    """Mount for this process and its children alone."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(_CLONE_NEWNS):
        raise OSError(ctypes.get_errno(), "no mount namespace")
    for command in (["mount", "--make-rprivate", "/"], ["mount", *arguments]):
        subprocess.run(command, check=True, capture_output=True)


def make_read_only(out: Path) -> None:
    """Nothing can be written to the folder."""
    out.mkdir(exist_ok=True)
    mount("--bind", "-o", "ro", str(out), str(out))


def fill_the_disk(out: Path) -> None:
    """8 KiB are left of the file system of the folder."""
    out.mkdir(exist_ok=True)
    kept = out.with_name(f"{out.name}-kept")
    shutil.copytree(out, kept)
    pages = sum(1 + path.stat().st_size // 4096 for path in kept.rglob("*"))
    mount("-t", "tmpfs", "-o", f"size={(pages + 3) * 4096}", "tmpfs", str(out))
    shutil.copytree(kept, out, dirs_exist_ok=True)
    shutil.rmtree(kept)


def lose_home(_: Path) -> None:
    """No folder of the user's, and no variable that names one."""
    for name in [name for name in os.environ if name in ("HOME", "USER") or name.startswith("XDG_")]:
        del os.environ[name]
    os.environ["HOME"] = "/nonexistent"


def have_few_descriptors(_: Path) -> None:
    """Ten more than are open."""
    most = max(int(name) for name in os.listdir("/proc/self/fd"))
    resource.setrlimit(resource.RLIMIT_NOFILE, (most + 10, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))


def jump(_: Path) -> None:
    """The clock of the day is put forward and back by up to a day, again and again."""
    real, offsets = time.time, random.Random(0)
    time.time = lambda: real() + offsets.uniform(-86_400, 86_400)


def close_the_output(_: Path) -> None:
    """Nobody reads what is printed."""
    reads, writes = os.pipe()
    os.close(reads)
    os.dup2(writes, 1)
    os.dup2(writes, 2)


def close_the_streams(_: Path) -> None:
    """The process is started without standard streams, as by `<&- >&- 2>&-`."""
    for number in range(3):
        os.close(number)
    sys.stdin = sys.stdout = sys.stderr = None  # type: ignore[assignment]


def terminate_soon(_: Path) -> None:
    """SIGTERM, a little later."""
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
    Fault(name="clock jumps", cause=jump),
    Fault(name="closed output", cause=close_the_output, codes=(0, _PIPE)),
    Fault(name="no streams", cause=close_the_streams),
    Fault(name="SIGTERM", cause=terminate_soon, codes=(0, 128 + signal.SIGTERM)),
)


def drill(command: Command, fault: Fault, inputs: Path, folder: Path, expected: object) -> list[str]:
    """What was wrong; nothing if all was well."""
    log, temporary = folder / "log", temporary_folder(folder)
    out, shared = folder / fault.name.replace(" ", "-").replace("/", ""), shared_memory()
    command.prepare(inputs, out)
    amiss = run_apart(lambda: fault.cause(out) or command.act(inputs, out), log)
    found = problems(amiss, (0, *fault.codes) if command.name == "publish" else fault.codes)
    if amiss.code == 0 and not fault.needs_root and command.result(out) != expected:
        found.append("another result")
    if not fault.needs_root or amiss.code != 0:
        left = [path for path in out.rglob(".*") if path.name.endswith((".partial", ".lock"))]
        left += (path for path in temporary.glob("*") if not path.name.startswith(PASSING))
        found += [f"left {path}" for path in left]
    again = run_apart(lambda: command.act(inputs, out), log)
    if again.code != 0 or command.result(out) != expected:
        found.append(f"afterwards another result (exit code {again.code}: {again.said[-200:]})")
    found += [f"outlived its parent: {line}" for line in orphans()]
    found += [f"shared memory {name}" for name in shared_memory(shared, PATIENCE_S)]
    return found


def problems(ended: Ended, codes: tuple[int, ...]) -> list[str]:
    """What is wrong with how a command ended; `publish` writes to no folder, and may succeed."""
    found = []
    if ended.code not in codes:
        found.append(f"exit code {ended.code}: {ended.said[-600:]}")
    if "Traceback" in ended.said:
        found.append(f"a traceback: {ended.said[-600:]}")
    errors = [line for line in ended.said.splitlines() if line.startswith("error: ")]
    if ended.code == 2 and len(errors) != 1:
        found.append(f"{len(errors)} sentences: {ended.said[-600:]}")
    return found


def main(argv: Sequence[str] | None = None) -> int:
    """Drill all commands; 1 if anything was wrong."""
    flags = tyro.cli(Flags, args=argv, description=__doc__)
    is_good, is_root = True, os.geteuid() == 0
    adopt_orphans()
    print(f"{'command':10}" + "".join(f"{fault.name:>18}" for fault in FAULTS))
    with on_the_hub(), tempfile.TemporaryDirectory(prefix="drill-") as name:
        top = Path(name)
        inputs = rehearse(top)
        for command in chosen(flags.only):
            folder = top / command.name
            folder.mkdir()
            undisturbed(command, inputs, folder)
            expected, row = command.result(folder / "whole"), []
            for fault in FAULTS:
                if fault.needs_root and not is_root:
                    row.append("not tried")
                    continue
                found = drill(command, fault, inputs, folder, expected)
                row.append(f"{len(found)} wrong" if found else "well")
                for one in found:
                    print(f"{command.name}, {fault.name}: {one}", file=sys.stderr)
                is_good &= not found
            print(f"{command.name:10}" + "".join(f"{cell:>18}" for cell in row), flush=True)
    return 0 if is_good else 1


if __name__ == "__main__":
    raise SystemExit(main())
