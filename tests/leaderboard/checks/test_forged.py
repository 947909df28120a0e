"""Forged entries: every way to improve a row that we know of is refused or marked, with its reason."""

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmark.results.result_file import Result, read_result
from leaderboard import validate
from leaderboard.checks.entries import check_all
from leaderboard.entry.shipped import ENTRIES
from tests.fakes.entries import (
    KEYS,
    METRICS,
    change_json,
    make_card,
    metric_result,
    sound_result,
    write_entry,
)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Entries of two references and an honest model."""
    write_entry(tmp_path, sound_result("copy-last", skill=-4.0, role="bound"))
    write_entry(tmp_path, sound_result("other-video", skill=-6.0, role="bound"))
    write_entry(tmp_path, sound_result("honest", skill=1.0))
    return tmp_path


def findings(root: Path, name: str) -> list[tuple[str, str]]:
    """Return the level and the problem of each finding about the entry of that name."""
    (problems,) = (
        list(problems) for folder, problems in check_all(root).items() if Path(folder).name == name
    )
    return [(finding.level, finding.problem) for finding in problems]


def test_an_honest_table_is_good(root: Path) -> None:
    assert all(not problems for problems in check_all(root).values())


def test_the_projects_own_entries_are_good() -> None:
    reports = {folder: list(map(str, findings)) for folder, findings in check_all(ENTRIES).items()}
    assert len(reports) >= 12
    assert not any(finding.startswith("refused") for findings in reports.values() for finding in findings)


def forge(root: Path, field: str, value: Any) -> list[tuple[str, str]]:
    folder = write_entry(root, sound_result("forged", skill=2.0))
    change_json(folder / "result.json", field, value)
    return findings(root, "forged")


@pytest.mark.parametrize(
    ("field", "value", "reason"),
    [
        ("metrics.psnr.windows.long.mean", 25.0, "is outside its interval"),
        ("metrics.psnr.windows.long.mean", 20.02, "the mean of its videos"),
        ("metrics.psnr.windows.long.interval", [0.0, 90.0], "windows.long.low is 0"),
        ("metrics.psnr.windows.long.interval", None, "has no interval"),
        ("metrics.psnr.videos.long.3", 40.0, "the mean of its videos"),
        ("metrics.psnr.card.higher_is_better", False, "the card of psnr differs"),
        ("metrics.lpips.card.weights", {"net": "ef" * 32}, "weights of lpips differ"),
        ("metrics.lpips.card.version", 2, "version or weights of lpips"),
        ("protocol.horizon", 96, "not the hash of protocol"),
        ("model.role", "bound", "claims to be a reference"),
        ("model.name", "copy-last", "a model is named copy-last"),
        ("failed", {"000/070": "no"}, "videos failed"),
        ("recall.metrics.psnr.returned.estimate.interval", [-50.0, 90.0], "recall.metrics.psnr.returned.low"),
        ("metrics.psnr.curve.low", None, "only half a band"),
    ],
)
def test_an_edited_result_is_refused(root: Path, field: str, value: Any, reason: str) -> None:
    assert any(level == "refused" and reason in problem for level, problem in forge(root, field, value))


def test_a_result_edited_by_hand_is_refused_for_its_checksum(root: Path) -> None:
    folder = write_entry(root, sound_result("forged", skill=2.0))
    change_json(folder / "result.json", "metrics.psnr.card.decimals", 3, sealed=False)
    assert any("sha256: does not match the file" in problem for _, problem in findings(root, "forged"))


def test_values_edited_together_with_their_mean_do_not_give_the_interval(root: Path) -> None:
    result = sound_result("forged", skill=2.0)
    metric = result.metrics["psnr"]
    videos = {name: tuple(value + 1.0 for value in values) for name, values in (metric.videos or {}).items()}
    windows = {
        name: dataclasses.replace(
            estimate, mean=estimate.mean + 1.0, interval=(estimate.mean, estimate.mean + 2.0)
        )
        for name, estimate in metric.windows.items()
    }
    curve = dataclasses.replace(metric.curve, mean=tuple(value + 1.0 for value in metric.curve.mean))
    forged = dataclasses.replace(metric, videos=videos, windows=windows, curve=curve)
    write_entry(root, dataclasses.replace(result, metrics={**result.metrics, "psnr": forged}))
    assert any("give" in problem and level == "refused" for level, problem in findings(root, "forged"))


def reorder_values(result: Result, order: np.ndarray) -> Result:
    """Put the same values under the keys of other videos."""
    metrics = {
        name: dataclasses.replace(
            metric,
            videos={
                window: tuple(values[index] for index in order)
                for window, values in (metric.videos or {}).items()
            },
        )
        for name, metric in result.metrics.items()
    }
    return dataclasses.replace(result, metrics=metrics, recall=None, steering=None, consistency={})


@pytest.mark.parametrize("shift", [1, 5, 32])
def test_values_joined_by_position_do_not_give_the_intervals(root: Path, shift: int) -> None:
    order = np.roll(np.arange(len(KEYS)), shift)
    write_entry(root, reorder_values(sound_result("forged"), order))
    assert any("in the order of their keys" in problem for _, problem in findings(root, "forged"))


def test_two_swapped_videos_are_found(root: Path) -> None:
    order = np.arange(len(KEYS))
    order[[3, 40]] = order[[40, 3]]
    write_entry(root, reorder_values(sound_result("forged"), order))
    assert any("in the order of their keys" in problem for _, problem in findings(root, "forged"))


def test_predictions_joined_to_other_videos_before_scoring_are_marked(root: Path) -> None:
    result = sound_result("forged", recall=False)
    rng = np.random.default_rng(0)
    scores = rng.normal(15.0, 2.0, (len(KEYS), 1)) + rng.normal(0, 0.5, (len(KEYS), 192))
    metrics = {**result.metrics, "psnr": metric_result(METRICS["psnr"], scores)}
    write_entry(root, dataclasses.replace(result, metrics=metrics))
    (finding,) = findings(root, "forged")
    assert finding[0] == "marked"
    assert "joined to other videos" in finding[1]


def test_true_frames_are_refused(root: Path) -> None:
    result = sound_result("forged", recall=False)
    scores = np.full((len(KEYS), 192), 100.0)
    metrics = {"psnr": metric_result(METRICS["psnr"], scores)}
    write_entry(root, dataclasses.replace(result, metrics=metrics))
    assert (
        "refused",
        "video 000/000 has PSNR 100 in the short window, which only true frames reach",
    ) in findings(root, "forged")


def test_one_video_of_true_frames_is_found_among_the_others(root: Path) -> None:
    result = sound_result("forged", recall=False)
    scores = 18.0 + np.random.default_rng(0).normal(0, 1, (len(KEYS), 192))
    scores[17, 64:] = 80.0
    metrics = {"psnr": metric_result(METRICS["psnr"], scores)}
    write_entry(root, dataclasses.replace(result, metrics=metrics))
    assert any("video 000/017 has PSNR 80" in problem for _, problem in findings(root, "forged"))


def test_nothing_beats_the_truth(root: Path) -> None:
    result = sound_result("forged", recall=False)
    metrics = {"psnr": metric_result(METRICS["psnr"], np.full((len(KEYS), 192), 120.0))}
    write_entry(root, dataclasses.replace(result, metrics=metrics))
    assert any("is always between 0 and 100" in problem for _, problem in findings(root, "forged"))


def test_a_model_that_beats_the_autoencoder_is_marked(root: Path) -> None:
    write_entry(root, sound_result("autoencoded", skill=12.0, role="bound"))
    write_entry(root, sound_result("forged", skill=13.0))
    assert [level for level, problem in findings(root, "forged") if "made from true frames" in problem] == [
        "marked"
    ]


def test_scores_from_several_versions_of_the_code_are_marked(root: Path) -> None:
    result = sound_result("mixed", skill=1.5)
    mixed = dataclasses.replace(result.provenance, code=f"0.0; {result.provenance.code}")
    write_entry(root, dataclasses.replace(result, provenance=mixed))
    (finding,) = findings(root, "mixed")
    assert finding[0] == "marked"
    assert finding[1].startswith("its videos were scored by several versions of the code (0.0; ")


def test_submitted_frames_and_missing_checksums_are_marked(root: Path) -> None:
    result = sound_result("forged")
    model = dataclasses.replace(result.model, source="playback", checkpoint_sha256=None)
    write_entry(root, dataclasses.replace(result, model=model))
    assert [problem for level, problem in findings(root, "forged") if level == "marked"] == [
        "its frames were submitted as files, not rolled out by the benchmark"
    ]


@pytest.mark.parametrize("name", ["forged", "honest"])
def test_copied_numbers_are_refused(root: Path, name: str) -> None:
    honest = sound_result("honest", skill=1.0)
    model = dataclasses.replace(honest.model, name=name)
    write_entry(root, dataclasses.replace(honest, model=model), name="forged")
    assert any(
        "to the last digit" in problem for level, problem in findings(root, "forged") if level == "refused"
    )


def test_a_part_of_the_test_set_is_refused(root: Path) -> None:
    write_entry(root, sound_result("forged", keys=KEYS[:32]))
    assert any("32 of the 64 videos" in problem for _, problem in findings(root, "forged"))


def test_other_data_are_noted_and_kept_in_another_table(root: Path) -> None:
    folder = write_entry(root, sound_result("forged", fingerprint="e" * 64))
    assert folder.parent.name == "other-eeeeeeeeeeee"
    (finding,) = findings(root, "forged")
    assert finding[0] == "noted"
    assert "not a canonical test set" in finding[1]


def test_a_forged_fingerprint_does_not_move_an_entry_to_another_table(root: Path) -> None:
    folder = write_entry(root, sound_result("forged", fingerprint="e" * 64))
    change_json(folder / "result.json", "data.fingerprint", sound_result().data.fingerprint)
    (finding,) = findings(root, "forged")
    assert finding[0] == "refused"
    assert "its result belongs at loopcraft-mini/plaza-v1/forged" in finding[1]


def test_validate_lists_the_problems_and_fails(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert validate.main([str(root)]) == 0
    folder = write_entry(root, sound_result("forged"))
    change_json(folder / "result.json", "metrics.psnr.windows.long.interval", [0.0, 90.0])
    (folder / "card.json").write_text(json.dumps({"name": "\x1b[2Jx"}))
    assert validate.main([str(root)]) == 1
    out = capsys.readouterr().out
    assert "4 entries, 1 refused" in out
    assert "\x1b" not in out


def test_sound_results_read_back(tmp_path: Path) -> None:
    folder = write_entry(tmp_path, sound_result(), make_card(), videos=1)
    assert read_result(folder / "result.json") == sound_result()
