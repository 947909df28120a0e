"""From a run's folder to an entry: a good run is added whole; otherwise nothing is written."""

import dataclasses
import shutil
from pathlib import Path

import pytest

from benchmark.contract.protocol import LOOPCRAFT_MINI
from benchmark.results.result_file import write_result
from leaderboard import submit
from leaderboard.entry.folder import read_entries
from loopcraft.video.h264 import count_frames, video_writer
from tests.fakes.benchmark_data import make_frames
from tests.fakes.entries import change_json, make_card, sound_result, write_card

pytest_plugins = ["tests.fakes.hub_client"]


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A finished run that kept four videos, and its card."""
    folder = tmp_path / "run"
    write_result(folder / "result.json", sound_result(recall=False))
    for index in range(4):
        with video_writer(
            folder / "videos" / f"000/00{index}.mp4", height=64, width=64, lossless=True
        ) as out:
            for frame in make_frames(index, LOOPCRAFT_MINI.horizon, 64):
                out.write(frame)
    write_card(tmp_path / "card.json", make_card())
    (tmp_path / "entries").mkdir()
    return folder


def flags(run: Path, *more: str) -> list[str]:
    base = run.parent
    return [str(run), "--card", str(base / "card.json"), "--entries", str(base / "entries"), *more]


def test_a_run_becomes_an_entry(run: Path) -> None:
    assert submit.main(flags(run)) == 0
    (entry,) = read_entries(run.parent / "entries")
    assert entry.id == "loopcraft-mini/plaza-v1/dreamer"
    assert entry.card == make_card()
    assert entry.files["result.json"].read_bytes() == (run / "result.json").read_bytes()
    # The player has scenes of these two.
    assert list(entry.videos) == ["000/000", "000/003"]
    assert all(count_frames(path) == LOOPCRAFT_MINI.horizon for path in entry.videos.values())


def test_an_entry_is_not_overwritten_unless_requested(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert submit.main(flags(run)) == 0
    assert submit.main(flags(run)) == 2
    assert "already exists; choose another --name, or --replace it" in capsys.readouterr().err
    assert submit.main(flags(run, "--replace", "--videos", "0")) == 0
    (entry,) = read_entries(run.parent / "entries")
    assert not entry.videos


def test_a_dry_run_and_a_refusal_write_nothing(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert submit.main(flags(run, "--dry-run")) == 0
    change_json(run / "result.json", "metrics.psnr.windows.long.interval", [0.0, 90.0])
    assert submit.main(flags(run)) == 2
    err = capsys.readouterr().err
    assert "metrics.psnr.windows.long.low is 0, but the values of its videos" in err
    assert "submit the result file as benchmark.run wrote it (and 1 more" in err
    assert read_entries(run.parent / "entries") == []


def test_a_wrong_card_is_refused(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    change_json(run.parent / "card.json", "links.paper", "javascript:alert(1)")
    assert submit.main(flags(run)) == 2
    assert "links.paper: expected an address like https://example.org" in capsys.readouterr().err


def test_a_run_on_other_data_is_noted(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    result = sound_result(recall=False)
    other = dataclasses.replace(result, data=dataclasses.replace(result.data, fingerprint="e" * 64))
    write_result(run / "result.json", other)
    assert submit.main(flags(run)) == 0
    assert "noted: data eeeeeeeeeeee is not a canonical test set" in capsys.readouterr().err
    assert (run.parent / "entries/loopcraft-mini/other-eeeeeeeeeeee/dreamer").is_dir()


def test_an_unfinished_run_is_reported(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (run / "result.json").unlink()
    assert submit.main(flags(run)) == 2
    assert "result.json: no such file; the run is unfinished" in capsys.readouterr().err


def test_an_entry_is_proposed_on_the_hub(hub, run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    hub.add("lab/entries", {"README.md": b""})
    assert submit.main(flags(run, "--repo", "lab/entries")) == 0
    assert f"proposed at {hub.url}/datasets/lab/entries/discussions/1" in capsys.readouterr().out
    repository = hub.repositories["lab/entries"]
    folder = "loopcraft-mini/plaza-v1/dreamer"
    assert {f"{folder}/result.json", f"{folder}/card.json", f"{folder}/videos/000-000.mp4"} <= set(
        repository.proposals[0]
    )
    assert set(repository.files) == {"README.md"}
    assert read_entries(run.parent / "entries") == []


def test_a_missing_repository_is_reported(hub, run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert submit.main(flags(run, "--repo", "lab/none")) == 2
    assert "lab/none: no such data set" in capsys.readouterr().err


def test_the_working_folder_is_removed(run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "work"))
    (tmp_path / "work").mkdir()
    submit.main(flags(run))
    assert list((tmp_path / "work").iterdir()) == []
    shutil.rmtree(tmp_path / "work")
