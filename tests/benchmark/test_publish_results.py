"""Publishing result files: existing ones stay, tables hold comparable results, mistakes send nothing."""

import dataclasses
from pathlib import Path

from benchmark import publish
from benchmark.results.result_file import Data, read_result, write_result
from tests.fakes.benchmark_data import make_result

pytest_plugins = ["tests.fakes.hub_client"]


def write_results(folder: Path, *models: str, fingerprint: str = "f" * 64) -> list[str]:
    """Write result files of these models, each a little better than the one before."""
    paths = []
    for index, model in enumerate(models):
        result = make_result(model, psnr=20.0 + index)
        data: Data = dataclasses.replace(result.data, fingerprint=fingerprint)
        path = folder / f"{model}-{fingerprint[:3]}.json"
        write_result(path, dataclasses.replace(result, data=data))
        paths.append(str(path))
    return paths


def test_results_arrive_intact_beside_existing_ones(hub, tmp_path) -> None:
    first, second = write_results(tmp_path, "dreamer", "rememberer")
    assert publish.main([first, "--repo", "lab/results"]) == 0
    assert publish.main([second, "--repo", "lab/results"]) == 0
    files = hub.repositories["lab/results"].files
    stored = {path: data for path, data in files.items() if path.startswith("results/")}
    assert sorted(stored.values()) == sorted(Path(path).read_bytes() for path in (first, second))
    for path, data in stored.items():
        (tmp_path / "back.json").write_bytes(data)
        assert read_result(tmp_path / "back.json").model.name in path
    card = files["README.md"].decode()
    assert card.count("### short") == 1
    assert "| rememberer | **21.00 [20.00, 22.00]** |" in card
    assert "| dreamer | 20.00 [19.00, 21.00] |" in card


def test_publishing_the_same_file_again_changes_nothing(hub, tmp_path) -> None:
    paths = write_results(tmp_path, "dreamer")
    for _ in range(2):
        assert publish.main([*paths, "--repo", "lab/same"]) == 0
    assert len(hub.repositories["lab/same"].commits) == 2


def test_results_on_other_data_are_in_another_table(hub, tmp_path) -> None:
    paths = [*write_results(tmp_path, "dreamer"), *write_results(tmp_path, "dreamer", fingerprint="e" * 64)]
    assert publish.main([*paths, "--repo", "lab/tables"]) == 0
    assert hub.repositories["lab/tables"].files["README.md"].decode().count("### short") == 2


def test_a_dry_run_and_a_mistake_send_nothing(hub, tmp_path, capsys) -> None:
    paths = write_results(tmp_path, "dreamer")
    assert publish.main([*paths, "--repo", "lab/none", "--dry-run"]) == 0
    (tmp_path / "broken.json").write_text("{}")
    assert publish.main([str(tmp_path / "broken.json"), "--repo", "lab/none"]) == 2
    hub.add("lab/other", {"data.csv": b""})
    assert publish.main([*paths, "--repo", "lab/other"]) == 2
    assert "holds 'data.csv', which is not from Loopcraft" in capsys.readouterr().err
    assert hub.count("/commit/|repos/create") == 0
