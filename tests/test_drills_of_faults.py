"""The drills of kills and of damage in their shortest form; `python -m tests.drills.kills` has a long one."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
SHORT = {"kills": ["--rounds", "1"], "damage": ["--times", "1"]}


@pytest.mark.parametrize("drill", SHORT)
def test_a_short_drill_finds_nothing(drill: str) -> None:
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": f"{ROOT}:{ROOT / 'tests'}"}
    command = [sys.executable, "-m", f"tests.drills.{drill}", *SHORT[drill]]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, cwd=ROOT, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    assert len(done.stdout.splitlines()) == 5
