"""Every console script starts a command with a help text."""

import tomllib
from importlib import import_module
from pathlib import Path

import pytest

PYPROJECT = Path(__file__).resolve().parents[1] / "pyproject.toml"
SCRIPTS = tomllib.loads(PYPROJECT.read_text())["project"]["scripts"]


@pytest.mark.parametrize("name", SCRIPTS)
def test_a_script_prints_its_help(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    module, _, function = SCRIPTS[name].partition(":")
    with pytest.raises(SystemExit) as exit_info:
        getattr(import_module(module), function)(["--help"])
    assert exit_info.value.code == 0
    assert "usage:" in capsys.readouterr().out
