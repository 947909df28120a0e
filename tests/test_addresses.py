"""Addresses given to commands that read or write folders: one sentence, and nothing is made."""

from pathlib import Path

import pytest

import benchmark
from benchmark import recall, run
from leaderboard import compare
from loopcraft.core.errors import UserError
from loopcraft.core.urls import UrlPath, path_at
from models.latents.store import MANIFEST
from models.train.__main__ import main as train
from tests.fakes.benchmark_data import write_dataset

ADDRESS = "memory://lab/latents"


def test_results_and_latents_at_an_address_are_not_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    there = path_at(ADDRESS)
    assert isinstance(there, UrlPath)
    (there / MANIFEST).put(Path(__file__))
    training = ["video", "--data", ADDRESS, "--out", "out", "--preset", "trial"]
    for main, flags in ((compare.main, [ADDRESS]), (recall.main, [ADDRESS]), (train, training)):
        assert main(flags) == 2
        said = f"error: {ADDRESS}: is an address, and this command reads this from folders; copy it to one\n"
        assert capsys.readouterr().err == said
    assert not list(tmp_path.iterdir())


def test_a_run_at_an_address_is_refused_before_the_data_is_opened(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run.main(["--data", "nowhere", "--out", "s3://lab/run", "--model", "copy-last"]) == 2
    refused = "s3://lab/run: is an address, and this command writes to folders; choose a folder"
    assert capsys.readouterr().err == f"error: {refused}\n"
    data = write_dataset(tmp_path / "data", num_videos=1)
    with pytest.raises(UserError, match=refused):
        benchmark.evaluate("copy-last", data, protocol="loopcraft-mini", out="s3://lab/run")
    assert [path.name for path in tmp_path.iterdir()] == ["data"]
