"""Short runs of the drills of kills, faults, damage and mutated input; `make drills` runs the full ones."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.drills.commands import COMMANDS
from tests.drills.folders import FOLDERS
from tests.drills.readers import NAMES
from tests.fakes import nursery

ROOT = Path(__file__).resolve().parents[1]
ROWS = {
    "kills": len(COMMANDS),
    "damage": len(FOLDERS) + len(COMMANDS) - 1,
    "fuzz": len(NAMES),
    "faults": 2,
}


@pytest.fixture(scope="module")
def drilled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder with the output of the short drills."""
    folder = tmp_path_factory.mktemp("drilled")
    command = nursery.start(folder, "tests.drills.short", str(folder))
    assert command.wait() == 0, command.err
    return folder


@pytest.mark.parametrize("drill", ["kills", "damage", "faults"])
def test_a_short_drill_finds_nothing(drill: str, drilled: Path) -> None:
    code, out, err = ((drilled / f"{drill}.{end}").read_text() for end in ("code", "out", "err"))
    assert code == "0", out + err
    assert len(out.splitlines()) == 1 + ROWS[drill]


def test_mutated_input_is_accepted_or_refused(tmp_path: Path) -> None:
    command = nursery.start(tmp_path, "tests.drills.fuzz", "--inputs", "40")
    assert command.wait() == 0, command.out + command.err
    assert len(command.out.splitlines()) == 1 + ROWS["fuzz"]


def test_inputs_guided_by_coverage_are_accepted_or_refused() -> None:
    pytest.importorskip("atheris", reason="atheris has no wheel for this machine: nothing guides the inputs")
    command = [sys.executable, "-m", "tests.drills.guided", "--inputs", "200", "--only", "manifest"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, timeout=900)
    assert done.returncode == 0, done.stdout + done.stderr
    name, taken, refused, _, branches = done.stdout.splitlines()[1].split()
    assert (name, int(taken) + int(refused), int(branches) > 10) == ("manifest", 200, True), done.stdout


def test_processes_that_outlive_their_parent_are_found(tmp_path: Path) -> None:
    program = f"""
import subprocess
from pathlib import Path
from tests.drills.apart import adopt_orphans, orphans, run_apart

def leave_two():
    subprocess.Popen(["sleep", "1.5"], start_new_session=True)
    subprocess.Popen(["sleep", "0.01"])
    return 0

adopt_orphans()
run_apart(leave_two, Path({str(tmp_path / "log")!r}))
print(orphans(patience_s=0.5), orphans())
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, cwd=ROOT)
    assert done.stdout.split("\n")[0] == "['sleep 1.5'] []", done
