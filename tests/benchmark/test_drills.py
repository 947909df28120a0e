"""The drills in short form: every misbehaving model once, and some damage of every kind."""

from pathlib import Path

import pytest

from tests.drills.models import FAILING, FAILS_ON_ALL, HARMLESS, score
from tests.fakes.benchmark_data import write_dataset


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_dataset(tmp_path_factory.mktemp("data"), num_videos=2)


@pytest.fixture(scope="module")
def expected(data: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, float]:
    code, scores, failed = score("honest", data, tmp_path_factory.mktemp("honest") / "out")
    assert (code, list(scores), failed) == (0, ["000/000", "000/001"], {})
    return scores


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
@pytest.mark.parametrize("way", HARMLESS)
def test_harmless_misbehaviour_does_not_change_scores(
    data, tmp_path, monkeypatch, expected, way: str
) -> None:
    monkeypatch.chdir(tmp_path)
    assert score(way, data, Path("out")) == (0, expected, {})
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


@pytest.mark.parametrize("way", FAILING)
def test_a_wrong_model_fails_only_its_video(data, tmp_path, expected, way: str, capsys) -> None:
    message = FAILING[way][1]
    code, scores, failed = score(way, data, tmp_path / "out")
    if way in FAILS_ON_ALL:
        assert (code, scores) == (2, {})
        assert message in capsys.readouterr().err
        return
    assert (code, scores) == (1, {"000/000": expected["000/000"]})
    assert message in failed["000/001"]
