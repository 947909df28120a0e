"""Every console script leads to a command that explains itself."""

import tomllib
from importlib import import_module
from pathlib import Path

import pytest

PYPROJECT = Path(__file__).resolve().parents[1] / "pyproject.toml"
SCRIPTS = tomllib.loads(PYPROJECT.read_text())["project"]["scripts"]


@pytest.mark.parametrize("name", SCRIPTS)
def test_a_script_explains_itself(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    module, _, function = SCRIPTS[name].partition(":")
    with pytest.raises(SystemExit) as ended:
        getattr(import_module(module), function)(["--help"])
    assert ended.value.code == 0
    assert "usage:" in capsys.readouterr().out
