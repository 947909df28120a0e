"""Of two commands that write to one folder, the second ends with a sentence, and no result is lost."""

from pathlib import Path

import pytest

from benchmark import report, run, weights
from benchmark.results.result_file import read_result
from loopcraft import generate, masks, view
from loopcraft.core.writing import writing_to
from models import demo, encode
from tests.fakes import nursery
from tests.fakes.benchmark_data import write_dataset


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    return write_dataset(tmp_path_factory.mktemp("data"), num_videos=2)


@pytest.fixture(scope="module")
def world(tmp_path_factory) -> Path:
    """A small data set of the voxel world, without masks."""
    root = tmp_path_factory.mktemp("world")
    flags = ["--split", "val", "--num-episodes", "1", "--candidates", "1", "--num-frames", "16"]
    assert generate.main(["--out", str(root), *flags, "--resolution", "16", "--workers", "1"]) == 0
    return root


def commands(name: str, data: Path, world: Path, out: Path):
    """The main function, arguments and folder of a command that writes to a folder."""
    scored = ["--model", "copy-last", "--data", str(data), "--protocol", "loopcraft-mini"]
    return {
        "generate": (generate.main, ["--out", str(out), "--split", "train", "--num-episodes", "1"], out),
        "masks": (masks.main, [str(world)], world),
        "run": (run.main, [*scored, "--out", str(out)], out),
        "encode": (encode.main, [str(data), "--preset", "trial", "--out", str(out)], out),
        "weights": (weights.main, ["fetch", "--to", str(out)], out),
        "view": (view.main, [str(world), "--out", str(out)], out),
        "demo": (
            demo.main,
            [str(data), "--preset", "trial", "--context", "64", "--horizon", "4", "--out", str(out)],
            out,
        ),
    }[name]


@pytest.mark.parametrize("name", ["generate", "masks", "run", "encode", "weights", "view", "demo"])
def test_the_second_command_ends_with_one_sentence_and_changes_nothing(
    name, data, world, tmp_path, capsys
) -> None:
    main, arguments, folder = commands(name, data, world, tmp_path / "out")
    with writing_to(folder):
        (folder / "of the first").touch()
        before = sorted(folder.rglob("*"))
        assert main(arguments) == 2
        assert sorted(folder.rglob("*")) == before
        (folder / "of the first").unlink()
    errors = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error: ")]
    assert errors == [
        f"error: {folder}: another command is writing to it; wait for it or choose another folder"
    ]


def test_finished_masks_need_no_lock(world) -> None:
    """So read-only data with masks can be used."""
    assert masks.main([str(world), "--workers", "1"]) == 0
    with writing_to(world):
        assert masks.main([str(world), "--workers", "1"]) == 0


@pytest.fixture
def scored(data, tmp_path) -> Path:
    flags = ["--model", "copy-last", "--data", str(data), "--protocol", "loopcraft-mini"]
    assert run.main([*flags, "--out", str(tmp_path / "run")]) == 0
    return tmp_path / "run"


def test_a_report_removes_what_a_killed_one_left(scored, data, tmp_path) -> None:
    left = [tmp_path / "report" / name for name in (".report.html.0a.partial", "figures/.a.png.1.partial")]
    for path in left:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    assert report.main([str(scored), "--out", str(tmp_path / "report")]) == 0
    assert not list(tmp_path.rglob("*.partial"))


def test_of_two_processes_in_a_new_folder_one_scores_and_one_is_refused(data, tmp_path) -> None:
    out = tmp_path / "out"
    flags = ["--data", str(data), "--out", str(out), "--protocol", "loopcraft-mini"]
    processes = {
        model: nursery.start(tmp_path / "said", "benchmark.run", "--model", model, *flags)
        for model in ("copy-last", "other-video")
    }
    codes = {model: process.wait() for model, process in processes.items()}
    errors = {model: process.err for model, process in processes.items()}
    assert sorted(codes.values()) == [0, 2]
    (loser,) = (name for name, code in codes.items() if code == 2)
    assert "another command is writing to it" in errors[loser] or "holds another run" in errors[loser]
    assert read_result(out / "result.json").model.name != loser
