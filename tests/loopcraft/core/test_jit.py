"""Kernels are cached on disk: never stale, whatever file changed, and never the cause of a failure."""

import fcntl
import importlib
import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from loopcraft.core import extras, jit
from tests.fakes.kernel_project import run_in, start_in

ROOT = Path(jit.__file__).parents[2]

KERNEL = """
from loopcraft.core.jit import kernel
from models.steps import FACTOR, grow

@kernel
def scaled(value):
    return FACTOR * grow(value)
"""
STEPS = """
from leaderboard.growth import GROWTH
from loopcraft.core.jit import inlined

FACTOR = 2

@inlined
def grow(value):
    return value + GROWTH
"""
GROWTH = """
GROWTH = 1
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A kernel in one package that uses a step of another, which uses a constant of a third."""
    sources = {"benchmark/main": KERNEL, "models/steps": STEPS, "leaderboard/growth": GROWTH}
    for package in jit.ROOMS:
        (tmp_path / package).mkdir()
        (tmp_path / package / "__init__.py").touch()
    for name, source in sources.items():
        (tmp_path / f"{name}.py").write_text(source)
    core = tmp_path / "loopcraft" / "core"
    core.mkdir()
    for module in (jit, extras):
        shutil.copy(str(module.__file__), core)
    return tmp_path


CALL = "from benchmark.main import scaled; print(scaled(1), sum(scaled.stats.cache_misses.values()))"


def run_kernel(folder: Path, prelude: str = "", **environment: str) -> tuple[int, int, str]:
    """Return the kernel's result in a new process, how often it was compiled there, and standard error."""
    out, err = run_in(folder, f"{prelude}\n{CALL}", **environment)
    value, misses = out.split()
    return int(value), int(misses), err


def change(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def test_a_constant_or_a_step_from_another_package_is_never_stale(project: Path) -> None:
    value, misses, messages = run_kernel(project)
    assert (value, misses) == (4, 1)
    expected = "compiling kernels for the first time (seconds to a minute); cached in "
    assert messages == f"{expected}{project}/benchmark/__pycache__\n"
    assert run_kernel(project) == (4, 0, "")
    change(project / "models" / "steps.py", "FACTOR = 2", "FACTOR = 3")
    assert run_kernel(project)[:2] == (6, 1)
    change(project / "leaderboard" / "growth.py", "GROWTH = 1", "GROWTH = 4")
    assert run_kernel(project)[:2] == (15, 1)
    assert run_kernel(project) == (15, 0, "")


def test_a_process_waits_for_a_kernel_that_another_compiles(project: Path) -> None:
    with (project / "benchmark" / "main.py").open() as source:
        fcntl.flock(source, fcntl.LOCK_EX)  # as a process does while it compiles the kernel
        running = start_in(project, CALL)
        while "compiling" not in running.err:
            time.sleep(0.01)
        time.sleep(0.3)
        assert running.out == ""
        run_kernel(project, "from loopcraft.core import jit; jit.PATIENCE_S = 0")  # compiles it all the same
    assert running.wait() == 0
    assert running.out.split() == ["4", "0"]


def test_processes_that_compile_at_once_share_the_work(project: Path) -> None:
    processes = [start_in(project, CALL) for _ in range(4)]
    assert [running.wait() for running in processes] == [0] * 4
    assert sorted(running.out.split() for running in processes) == [["4", "0"]] * 3 + [["4", "1"]]


def test_a_source_that_no_kernel_imports_compiles_nothing(project: Path) -> None:
    run_kernel(project)
    (project / "models" / "other.py").write_text("FACTOR = 5")
    assert run_kernel(project) == (4, 0, "")


@pytest.mark.parametrize(
    "line",
    [
        "import models.sub.steps as steps",
        "from models.sub import steps",
        "from models.sub import (\n  steps,\n)",
    ],
)
def test_every_form_of_import_is_followed(project: Path, line: str) -> None:
    sub = project / "models" / "sub"
    sub.mkdir()
    (project / "models" / "steps.py").rename(sub / "steps.py")
    (sub / "__init__.py").touch()
    main = project / "benchmark" / "main.py"
    main.write_text(
        main.read_text().replace(
            "from models.steps import FACTOR, grow", f"{line}\nFACTOR, grow = steps.FACTOR, steps.grow"
        )
    )
    assert run_kernel(project)[:2] == (4, 1)
    change(sub / "steps.py", "FACTOR = 2", "FACTOR = 3")
    assert run_kernel(project)[:2] == (6, 1)
    (sub / "__init__.py").write_text("# something else runs before the kernel's module")
    assert run_kernel(project)[:2] == (6, 1)


def block_cache_folders(project: Path) -> dict[str, str]:
    """Put files in place of all folders that numba could create; return the environment to run in."""
    for package in jit.ROOMS:
        shutil.rmtree(project / package / "__pycache__", ignore_errors=True)
        (project / package / "__pycache__").touch()
    (project / "home").touch()
    (project / "tmp").mkdir()
    home, temporary = str(project / "home"), str(project / "tmp")
    return {"HOME": home, "XDG_CACHE_HOME": home, "TMPDIR": temporary, "PYTHONDONTWRITEBYTECODE": "1"}


def test_without_a_cache_folder_a_temporary_one_is_used(project: Path) -> None:
    environment = block_cache_folders(project)
    folder = project / "tmp" / f"loopcraft-kernels-{os.getuid()}"
    value, misses, messages = run_kernel(project, **environment)
    assert (value, misses) == (4, 1)
    assert f"compiled code is cached in {folder}; set NUMBA_CACHE_DIR to cache it elsewhere\n" in messages
    assert messages.count("\n") == 2
    assert folder.stat().st_mode & 0o077 == 0
    assert run_kernel(project, **environment)[:2] == (4, 0)


def test_code_that_others_could_have_written_is_not_run(project: Path) -> None:
    environment = block_cache_folders(project)
    folder = project / "tmp" / f"loopcraft-kernels-{os.getuid()}"
    folder.mkdir()
    folder.chmod(0o777)
    value, _, messages = run_kernel(project, **environment)
    assert value == 4
    assert f"cached in {folder};" not in messages
    assert list(folder.iterdir()) == []


def test_without_any_folder_the_kernel_still_runs(project: Path) -> None:
    nowhere = "import tempfile; tempfile.tempdir = '/dev/null/none'"
    value, _, messages = run_kernel(project, nowhere, **block_cache_folders(project))
    assert value == 4
    assert messages == "compiled code cannot be cached: set NUMBA_CACHE_DIR to a writable folder\n"


def test_a_full_disk_only_prevents_caching(project: Path) -> None:
    full = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100))"
    command = [sys.executable, "-B", "-c", f"{full}\n{CALL}"]  # else Python keeps truncated bytecode
    result = subprocess.run(command, cwd=project, capture_output=True, text=True, check=True)
    assert result.stdout == "4 1\n"
    assert "compiled code cannot be cached: [Errno 27] File too large" in result.stderr
    assert run_kernel(project)[:2] == (4, 1)


@pytest.mark.parametrize("damage", ["cut", "flipped", "empty"])
def test_damaged_code_is_compiled_again(project: Path, damage: str) -> None:
    run_kernel(project)
    cached = sorted((project / "benchmark" / "__pycache__").glob("main.scaled*.nb*"))
    assert len(cached) == 2
    for path in cached:
        content = bytearray(path.read_bytes())
        content[len(content) // 2] ^= 255
        half = len(content) // 2
        path.write_bytes({"cut": content[:half], "flipped": content, "empty": b""}[damage])
        assert run_kernel(project)[:2] == (4, 1)
        assert run_kernel(project)[:2] == (4, 0)


def imports_numba(source: str) -> bool:
    return re.search(r"^\s*(from|import)\s+numba\b", source, re.MULTILINE) is not None


def test_only_the_decorator_imports_numba() -> None:
    for package in (*jit.ROOMS, "perf"):
        for path in sorted((ROOT / package).rglob("*.py")):
            assert imports_numba(path.read_text()) == (path == Path(jit.__file__)), path


@pytest.mark.parametrize("line", ["from numba import njit", "import numba", "    import numba as nb"])
def test_an_import_of_numba_is_detected(line: str) -> None:
    assert imports_numba(f"import os\n{line}\n")
    assert not imports_numba('"""What numba does; from loopcraft.core.jit import kernel."""')


def test_warm_compiles_every_kernel() -> None:
    for package in jit.ROOMS:
        for path in sorted((ROOT / package).rglob("*.py")):
            if "jit import" in path.read_text():
                importlib.import_module(".".join(path.relative_to(ROOT).with_suffix("").parts))
    assert jit.warm() == []
    assert len(jit.kernels) > 60
