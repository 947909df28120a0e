"""Runs with damaged score files, or with those of another run or version: they are scored again."""

import re
import shutil
from pathlib import Path

import numpy as np
import pytest

from benchmark import recall, run
from benchmark.harness import evaluation, provenance
from benchmark.harness.score import VideoScores, write_scores
from benchmark.harness.score_files import find_damage
from benchmark.metrics import get_metrics
from benchmark.results.result_file import Result, read_result
from loopcraft.core.seeding import generator
from tests.fakes.benchmark_data import write_dataset


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    return write_dataset(tmp_path_factory.mktemp("data"))


def score(data: Path, out: Path, *more: str, model: str = "copy-last") -> Result:
    flags = ["--model", model, "--data", str(data), "--out", str(out), "--protocol", "loopcraft-mini"]
    assert run.main([*flags, "--save-videos", "0", *more]) == 0
    return read_result(out / "result.json")


@pytest.fixture(scope="module")
def whole(data, tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("whole") / "out"
    score(data, out)
    return out


def mutants(content: bytes, count: int) -> list[bytes]:
    """Cut, empty and change the content; most changed bytes are in the header."""
    rng = generator(0, "mutants of scores")
    header = 8 + int.from_bytes(content[:8], "little")
    results = [b"", content[:7], content[: header // 2], content[:-1], content + b"x"]
    for number in range(count):
        index = int(rng.integers(8 if number % 4 == 0 else header))
        changed = bytearray(content)
        changed[index] = int(rng.integers(256))
        results.append(bytes(changed))
    return results


def test_damaged_scores_are_remade(data, whole, tmp_path, capsys) -> None:
    """Whatever happened to the file, the result equals an undamaged run's, or a sentence names it."""
    out = tmp_path / "out"
    shutil.copytree(whole, out)
    path = out / "scores" / "000" / "001.safetensors"
    content, expected = path.read_bytes(), read_result(whole / "result.json")
    remade = 0
    for mutant in mutants(content, 12):
        path.write_bytes(mutant)
        result = score(data, out)
        assert result is not None
        assert result.metrics == expected.metrics
        remade += f"{path}: damaged (" in capsys.readouterr().err
    assert remade > 8


def test_scores_of_another_run_are_remade(data, whole, tmp_path, capsys) -> None:
    out = tmp_path / "out"
    shutil.copytree(whole, out)
    score(data, tmp_path / "other", model="other-video")
    score_file = "scores/000/001.safetensors"
    shutil.copyfile(tmp_path / "other" / score_file, out / score_file)
    result = score(data, out)
    assert result.metrics == read_result(whole / "result.json").metrics
    assert (
        f"{out / score_file}: damaged (it belongs to another run); the video will be scored again"
        in capsys.readouterr().err
    )


def test_a_run_by_two_versions_of_the_code_says_so(data, whole, tmp_path, monkeypatch, capsys) -> None:
    out, current = tmp_path / "out", read_result(whole / "result.json").provenance
    with monkeypatch.context() as old:
        old.setattr(provenance, "code_version", lambda: "0.0")
        old.setattr(provenance, "sources_sha256", lambda *rooms: "0" * 64)
        old.setattr(evaluation, "current_origin", provenance.current_origin.__wrapped__)
        score(data, out, "--max-videos", "2")
    capsys.readouterr()
    result = score(data, out)
    assert result.provenance.code == f"0.0; {current.code}"
    output = capsys.readouterr().err
    assert "warning: other code or packages (0.0) than the current ones (" in output
    assert "made the scores of 2 of the videos" in output
    assert score(data, tmp_path / "new").provenance.code == current.code
    assert "other code" not in capsys.readouterr().err


def test_no_damaged_header_raises_a_traceback(whole, tmp_path) -> None:
    source = whole / "scores" / "000" / "001.safetensors"
    result = read_result(whole / "result.json")
    path = tmp_path / "mutant.safetensors"
    metrics = get_metrics(list(result.headline))
    assert find_damage(source, metrics, result.protocol) is None
    damages = []
    for mutant in mutants(source.read_bytes(), 500):
        path.write_bytes(mutant)
        damages.append(find_damage(path, metrics, result.protocol))
    assert sum(damage is not None for damage in damages) > 250


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"psnr": np.ones((191, 1))}, r"psnr is \(191, 1\), expected \(192, 1\)"),
        ({"psnr": np.ones((192, 2))}, r"psnr is \(192, 2\), expected \(192, 1\)"),
        ({"psnr": np.full((192, 1), np.nan)}, "psnr is float32 .* not finite"),
        ({"other": np.ones((192, 1))}, "psnr is None, expected"),
    ],
)
def test_scores_of_another_shape_are_damaged(whole, tmp_path, changes: VideoScores, message) -> None:
    protocol = read_result(whole / "result.json").protocol
    write_scores(tmp_path / "scores.safetensors", changes, seconds=1.0)
    damage = find_damage(tmp_path / "scores.safetensors", get_metrics(["psnr"]), protocol)
    assert damage is not None
    assert re.search(message, damage)


@pytest.mark.parametrize("packages", ["", "[]", '{"torch": 2}', "[" * 100_000])
def test_invalid_packages_count_as_damage(whole, tmp_path, packages: str) -> None:
    path, protocol = tmp_path / "scores.safetensors", read_result(whole / "result.json").protocol
    write_scores(path, {"psnr": np.ones((192, 1))}, seconds=1.0, origin={"packages": packages})
    assert "not a complete score file" in str(find_damage(path, get_metrics(["psnr"]), protocol))


def test_recall_names_a_damaged_file(data, whole, tmp_path, capsys) -> None:
    out = tmp_path / "out"
    shutil.copytree(whole, out)
    path = out / "scores" / "000" / "001.safetensors"
    path.write_bytes(path.read_bytes()[:-8])
    assert recall.main([str(out), "--data", str(data)]) == 2
    error = capsys.readouterr().err
    assert f"{path}: not a complete score file (" in error
    assert "run the benchmark there again to score the video again" in error
