"""The stubs of perf/scale.py are a valid data set, and its steps run the real commands."""

import json
from pathlib import Path

import pytest

from loopcraft.dataset.reader import open_dataset
from loopcraft.verify import verify
from perf import scale


@pytest.fixture(scope="module")
def stubs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("stubs") / "1002"
    scale.make_stubs(root, 1002)
    return root


def test_the_stubs_have_no_fault(stubs: Path) -> None:
    dataset = open_dataset(stubs)
    assert dataset.keys[-1] == "001/001"
    assert verify(dataset, workers=2) == []


@pytest.mark.parametrize("step", ["open", "sample", "generate"])
def test_a_step_prints_what_it_used(step: str, stubs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    scale.take_step(step, stubs)
    figures = json.loads(capsys.readouterr().out)
    assert min(figures["peak"], figures["base"]) > 0
    assert figures["files"] > 0
