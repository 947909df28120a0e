"""The Python interface: lazy imports, and the same numbers as the command line."""

import doctest
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file, save_file

import benchmark
import loopcraft
import models
from benchmark import run
from benchmark.results.result_file import read_result
from loopcraft import generate
from loopcraft.core.errors import UserError
from models.zoo import world_models as rollouts


class Grey:
    """A model with the contract's four members."""

    name, max_context, frame_shape = "grey", 8, None

    def rollout(self, context: torch.Tensor, actions: torch.Tensor, *, seeds: list[int]):
        batch, num_shown, *shape = context.shape
        yield torch.full((batch, actions.shape[1] - num_shown, *shape), 128, dtype=torch.uint8)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("library") / "data"
    flags = ["--world", "plaza-v1", "--split", "val", "--num-episodes", "2", "--num-frames", "256"]
    assert generate.main(["--out", str(out), *flags, "--resolution", "32", "--workers", "1"]) == 0
    return out


def test_evaluate_gives_what_the_command_writes(data: Path, tmp_path: Path) -> None:
    result = benchmark.evaluate(Grey(), data, protocol="loopcraft-mini", metrics=["psnr"])
    flags = ["--model", f"{__name__}:Grey", "--protocol", "loopcraft-mini", "--metrics", "psnr"]
    assert run.main(["--data", str(data), "--out", str(tmp_path / "run"), "--no-isolate", *flags]) == 0
    assert result.metrics == read_result(tmp_path / "run" / "result.json").metrics
    assert result.model.name == "grey"


def test_evaluate_keeps_its_folder_and_continues(data: Path, tmp_path: Path) -> None:
    opened = loopcraft.open_dataset(data)
    first = benchmark.evaluate(
        "copy-last", opened, protocol="loopcraft-mini", metrics=["psnr"], out=tmp_path, max_videos=1
    )
    again = benchmark.evaluate("copy-last", opened, protocol="loopcraft-mini", metrics=["psnr"], out=tmp_path)
    assert (len(first.data.keys), len(again.data.keys)) == (1, 2)
    assert read_result(tmp_path / "result.json").metrics == again.metrics


def test_evaluate_remakes_damaged_scores(data: Path, tmp_path: Path) -> None:
    arguments = {"protocol": "loopcraft-mini", "metrics": ["psnr"], "out": tmp_path}
    first = benchmark.evaluate("copy-last", data, **arguments)
    path = tmp_path / "scores" / f"{first.data.keys[1]}.safetensors"
    scores = load_file(path)
    scores["psnr"][:] += 1
    save_file(scores, path, metadata={"seconds": "1.000", "sha256": "0" * 64})
    assert benchmark.evaluate("copy-last", data, **arguments).metrics == first.metrics


def test_evaluate_refuses_data_with_shifted_actions(data: Path, tmp_path: Path) -> None:
    checksums = shutil.ignore_patterns("SHA256SUMS", "*.parquet", "dataset.json", "0*.json")
    shifted = shutil.copytree(
        data, tmp_path / "shifted", ignore=checksums
    )  # the paper's layout has no checksums
    for path in (shifted / "000").glob("*.npy"):
        states = np.load(path)
        states[:, 0] = np.roll(states[:, 0], 1)
        np.save(path, states)
    with pytest.raises(UserError, match=r"every turn of yaw belongs to the action 1 rows further down"):
        benchmark.evaluate("copy-last", shifted, protocol="loopcraft-mini", metrics=["psnr"])


def test_a_model_is_checked() -> None:
    assert benchmark.check_model(Grey()) == {}
    broken = Grey()
    broken.rollout = lambda context, actions, *, seeds: iter([torch.zeros(1, 1, 3, 8, 8)])  # type: ignore[method-assign]
    assert benchmark.check_model(broken)["frames"].startswith("FAILED: ")


def test_a_data_set_is_made_and_opened(data: Path, tmp_path: Path, capsys) -> None:
    dataset = loopcraft.generate_dataset(
        tmp_path, split="val", num_episodes=2, num_frames=256, resolution=32, world="plaza-v1", workers=1
    )
    assert dataset.fingerprint == loopcraft.open_dataset(data).fingerprint
    assert capsys.readouterr().out == ""


def test_results_are_compared(data: Path) -> None:
    results = [
        benchmark.evaluate(model, data, protocol="loopcraft-mini", metrics=["psnr"])
        for model in (Grey(), "copy-last")
    ]
    compared = benchmark.compare(results)
    assert len(compared.tables) == 3
    assert compared.differences
    assert compared.to_markdown().count("| copy-last") == 3
    assert "copy-last" in str(compared)


def test_unsuitable_data_or_names_raise_user_errors(data: Path) -> None:
    with pytest.raises(loopcraft.UserError, match="needs 1024"):
        benchmark.evaluate(Grey(), data)
    with pytest.raises(loopcraft.UserError, match="there is no model"):
        models.load("nothing")


def test_examples_of_docstrings() -> None:
    assert doctest.testmod(rollouts).attempted > 0
    assert doctest.testmod(rollouts).failed == 0


@pytest.mark.parametrize("package", ["loopcraft", "benchmark", "models", "leaderboard"])
def test_importing_a_package_loads_nothing_heavy(package: str) -> None:
    script = (
        f"import sys, {package}; print(sorted({{'torch', 'numpy', 'pandas', 'numba'}} & set(sys.modules)))"
    )
    process = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert process.stdout.strip() == "[]"


def test_an_unknown_name_is_an_attribute_error() -> None:
    for package in (loopcraft, benchmark, models):
        with pytest.raises(AttributeError, match="nothing"):
            package.nothing


class Shade:
    """A model that yields frames of a given brightness."""

    name, max_context, frame_shape = "shade", 8, None

    def __init__(self, level: int, folder: Path | None = None) -> None:
        self.level, self.folder = level, folder

    def rollout(self, context: torch.Tensor, actions: torch.Tensor, *, seeds: list[int]):
        if self.folder is not None:
            os.chdir(self.folder)
        batch, num_shown, *shape = context.shape
        yield torch.full((batch, actions.shape[1] - num_shown, *shape), self.level, dtype=torch.uint8)


MINI = {"protocol": "loopcraft-mini", "metrics": ["psnr"]}


def test_another_object_of_a_class_does_not_get_the_scores_of_the_first(data: Path, tmp_path: Path) -> None:
    dark = benchmark.evaluate(Shade(30), data, **MINI, out=tmp_path)
    with pytest.raises(UserError, match=r"has scores of 2 videos by .*:Shade, .* give resume=True if it is"):
        benchmark.evaluate(Shade(200), data, **MINI, out=tmp_path)
    assert benchmark.evaluate(Shade(30), data, **MINI, out=tmp_path, resume=True).metrics == dark.metrics
    assert benchmark.evaluate(Shade(200), data, **MINI, out=tmp_path / "new").metrics != dark.metrics


def test_a_model_whose_file_has_changed_is_another_model(
    data: Path, tmp_path: Path, monkeypatch, capsys
) -> None:
    source = Path(__file__).read_text()
    code = tmp_path / "shady.py"
    code.write_text(source)
    monkeypatch.syspath_prepend(tmp_path)
    command = ["--model", "shady:Shade", "--model-args", '{"level": 30}', "--protocol", "loopcraft-mini"]
    command += ["--metrics", "psnr", "--data", str(data), "--out", str(tmp_path / "run"), "--no-isolate"]
    assert run.main(command) == 0
    assert run.main(command) == 0
    code.write_text(source.replace("self.level,", "level // 2,"))
    assert run.main(command) == 2
    assert "the file of shady:Shade has changed since the scores were made" in capsys.readouterr().err
    assert run.main([*command, "--retry-failed"]) == 0
    assert run.main(command) == 0  # the existing scores have been accepted


def test_a_failed_video_is_retried_on_request(data: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"no video was scored; .*: shade raised TypeError: ") as caught:
        benchmark.evaluate(Shade("dark"), data, **MINI, out=tmp_path)  # type: ignore[arg-type]
    (note,) = caught.value.__notes__
    assert note.startswith("Traceback (most recent call last):\n")
    assert "in rollout\n" in note
    retried = benchmark.evaluate(Shade(30), data, **MINI, out=tmp_path, resume=True, retry_failed=True)
    assert len(retried.data.keys) == 2


def test_data_are_found_even_if_a_model_changes_directory(data: Path, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(data.parent)
    result = benchmark.evaluate(Shade(30, tmp_path), data.name, **MINI)
    assert len(result.data.keys) == 2


def test_data_that_look_wrong_cause_a_warning(data: Path, tmp_path: Path) -> None:
    checksums = shutil.ignore_patterns("SHA256SUMS", "*.parquet", "dataset.json", "0*.json")
    odd = shutil.copytree(data, tmp_path / "odd", ignore=checksums)
    path = next((odd / "000").glob("*.npy"))
    states = np.load(path)
    states[20, 0] = 1 + (states[20, 0] == 1)
    np.save(path, states)
    with pytest.warns(UserWarning, match="turn of yaw does not match its row's action"):
        benchmark.evaluate("copy-last", odd, **MINI)


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"seed": -1}, "--seed -1: choose 0 or more"),
        ({"precision": "fp16"}, "--precision fp16: choose float32, bfloat16, float16"),
        ({"model": Shade}, r"test_library:Shade is a class; give an instance of it"),
        ({"data": np.zeros((2, 2))}, "data: give an open data set, .* not ndarray"),
    ],
)
def test_invalid_arguments_are_refused_before_the_model_is_called(
    data: Path, tmp_path: Path, wrong, told
) -> None:
    arguments = {"model": Shade(30), "data": data, **MINI, "out": tmp_path / "run", **wrong}
    with pytest.raises(UserError, match=told):
        benchmark.evaluate(**arguments)
    assert not (tmp_path / "run").exists()


def test_runs_are_compared_by_their_folders(data: Path, tmp_path: Path) -> None:
    results = [
        benchmark.evaluate(Shade(level), data, **MINI, out=tmp_path / str(level)) for level in (30, 90)
    ]
    saved = benchmark.compare([tmp_path / "30", str(tmp_path / "90" / "result.json")])
    assert str(saved) == str(benchmark.compare(results))
    with pytest.raises(UserError, match="give at least one result"):
        benchmark.compare([])
