"""Whole runs with network metrics: absent with the command to run, strict, verified and recorded."""

import hashlib
import pickle
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path

import numpy as np
import pytest
import torch

from benchmark import run
from benchmark.metrics import i3d
from benchmark.results.result_file import Result, read_result
from benchmark.setup import workers
from benchmark.weight_files import bundle
from benchmark.weight_files.bundle import Bundle, Network, PublishedFile
from loopcraft.executors.local import LocalExecutor
from tests.fakes import tiny_networks
from tests.fakes.benchmark_data import write_dataset
from tests.fakes.tiny_networks import fill, save_script

SIDE = 32
METRICS = "psnr,lpips,fid,kid,fvd,kvd"


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    return write_dataset(tmp_path_factory.mktemp("data"), num_videos=2, side=SIDE)


@pytest.fixture(autouse=True, scope="module")
def tiny_i3d() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch, tiny_networks.linear_undrawn():
        patch.setattr(i3d, "Network", tiny_networks.TinyI3D)
        yield


@pytest.fixture(scope="module")
def networks() -> dict[str, Network]:
    """The table of networks without the sizes and checksums of published files."""
    return {
        name: Network(
            title=network.title,
            licence=network.licence,
            sources=network.sources,
            files=tuple(PublishedFile(path=file.path) for file in network.files),
        )
        for name, network in bundle.load_networks().items()
    }


@pytest.fixture(scope="module")
def weights(tmp_path_factory, networks: dict[str, Network]) -> Path:
    """A bundle of tiny networks under the published names."""
    root = tmp_path_factory.mktemp("weights")
    torch.set_num_threads(1)
    tiny_networks.save_alexnet(root / "alexnet")
    save_script(fill(tiny_networks.TinyInception()), root / "inception" / "inception-2015-12-05.pt")
    tiny_networks.save_i3d(root / "i3d")
    weights_bundle = Bundle(root, networks)
    for name in ("alexnet", "inception", "i3d"):
        weights_bundle.add(name, source="made here", revision="tiny")
    return root


def score(data: Path, out: Path, *more: str, model: str = "copy-last", code: int = 0) -> Result | None:
    flags = ["--model", model, "--data", str(data), "--out", str(out), "--protocol", "loopcraft-mini"]
    assert run.main([*flags, "--metrics", METRICS, "--save-videos", "0", *more]) == code
    return read_result(out / "result.json") if code == 0 else None


@pytest.fixture(scope="module")
def scored(data: Path, weights: Path, networks, tmp_path_factory) -> Result:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(bundle, "load_networks", lambda: networks)
        result = score(data, tmp_path_factory.mktemp("out") / "run", "--weights", str(weights))
    assert result is not None
    return result


def test_workers_have_the_same_distances(data, weights, networks, scored, tmp_path, monkeypatch) -> None:
    """Workers get everything in a message, as on a cluster, but run in this process."""

    class Messages(LocalExecutor):
        def run(self, job, items, *, make_state):
            return super().run(job, items, make_state=pickle.loads(pickle.dumps(make_state)))

    monkeypatch.setattr(bundle, "load_networks", lambda: networks)
    monkeypatch.setattr(workers, "open_executor", lambda *_, **__: nullcontext(Messages()))
    result = score(data, tmp_path / "run", "--weights", str(weights), "--workers", "2")
    assert result is not None
    assert result.metrics == scored.metrics
    assert {"fvd", "kvd", "fid"} <= set(result.metrics)


def test_without_weights_metrics_are_absent_and_name_the_command(data: Path, tmp_path: Path, capsys) -> None:
    result = score(data, tmp_path / "run", "--max-videos", "1")
    assert result is not None
    assert set(result.metrics) == {"psnr"}
    assert "python -m benchmark.weights fetch --only inception --to DIR" in result.absent["fid"]
    assert "fetch --only alexnet --to DIR, then --weights DIR" in capsys.readouterr().err


def test_strict_stops_before_the_first_rollout(data: Path, tmp_path: Path, capsys) -> None:
    score(data, tmp_path / "run", "--strict", code=2)
    assert "--strict: lpips needs pretrained weights" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def test_a_folder_without_weights_is_refused(data: Path, tmp_path: Path, capsys) -> None:
    score(data, tmp_path / "run", "--weights", str(tmp_path), code=2)
    assert "holds no weights.json" in capsys.readouterr().err


def test_everything_is_scored_and_recorded(scored: Result, weights: Path) -> None:
    assert set(scored.metrics) == set(METRICS.split(","))
    assert list(scored.absent) == ["recall"]  # the data have no masks
    digest = hashlib.sha256((weights / "inception" / "inception-2015-12-05.pt").read_bytes()).hexdigest()
    for name in ("fid", "kid"):
        assert scored.metrics[name].card.weights == {"inception/inception-2015-12-05.pt": digest}
    assert scored.metrics["psnr"].card.weights == {}
    assert scored.metrics["fid"].curve.step == 1
    assert scored.metrics["fvd"].curve.step == 16
    assert len(scored.metrics["fvd"].curve.mean) == 12
    assert min(scored.metrics["fid"].curve.mean) > 0


def test_too_few_videos_cause_a_warning_if_it_matters(scored: Result) -> None:
    assert any("2 videos are few for features of 8 dim" in note for note in scored.metrics["fid"].notes)
    assert any("2 videos are few for features of 5 dim" in note for note in scored.metrics["fvd"].notes)
    for name in ("kid", "kvd"):
        assert not any("few" in note for note in scored.metrics[name].notes)


def test_batches_do_not_matter_and_the_truth_is_at_distance_zero(
    data: Path, weights: Path, networks, scored: Result, tmp_path: Path, monkeypatch
) -> None:
    monkeypatch.setattr(bundle, "load_networks", lambda: networks)
    together = score(data, tmp_path / "two", "--weights", str(weights), "--batch-size", "2")
    assert together is not None
    for name, metric in together.metrics.items():
        curve = scored.metrics[name].curve.mean
        np.testing.assert_allclose(metric.curve.mean, curve, rtol=1e-4, atol=1e-6)
    truth = score(data, tmp_path / "truth", "--weights", str(weights), model="ground-truth")
    assert truth is not None
    assert max(truth.metrics["fid"].curve.mean) < 1e-9
    assert max(truth.metrics["lpips"].curve.mean) == 0.0


def test_one_video_is_too_few_for_sets(
    data: Path, weights: Path, networks, tmp_path: Path, monkeypatch, capsys
) -> None:
    monkeypatch.setattr(bundle, "load_networks", lambda: networks)
    flags = ("--weights", str(weights), "--max-videos", "1")
    result = score(data, tmp_path / "run", *flags)
    assert result is not None
    assert result.absent["kvd"] == "needs at least 2 videos, but 1 were scored"
    assert set(result.metrics) == {"psnr", "lpips"}
    score(data, tmp_path / "strict", *flags, "--strict", code=2)
    assert "fid needs at least 2 videos" in capsys.readouterr().err


def test_damaged_weights_are_named_and_the_run_continues_unless_strict(
    data: Path, weights: Path, networks, tmp_path: Path, monkeypatch, capsys
) -> None:
    monkeypatch.setattr(bundle, "load_networks", lambda: networks)
    path = weights / "i3d" / "i3d.safetensors"
    sound = path.read_bytes()
    try:
        path.write_bytes(sound[:-1])
        score(data, tmp_path / "strict", "--weights", str(weights), "--strict", code=2)
        error = capsys.readouterr().err
        result = score(data, tmp_path / "run", "--weights", str(weights))
    finally:
        path.write_bytes(sound)
    assert f"i3d.safetensors: {len(sound) - 1} bytes, but {len(sound)}" in error
    assert result is not None
    assert set(result.metrics) == {"psnr", "lpips", "fid", "kid"}
    assert f"i3d.safetensors: {len(sound) - 1} bytes, but {len(sound)}" in result.absent["fvd"]
    assert "fetch it again: python -m benchmark.weights fetch --only i3d" in result.absent["kvd"]


def test_foreign_weights_under_the_published_name_are_not_used(
    data: Path, weights: Path, tmp_path: Path, capsys
) -> None:
    """The checksums in the real table show that the tiny networks are not what they claim."""
    result = score(data, tmp_path / "run", "--weights", str(weights), "--max-videos", "1")
    assert result is not None
    assert set(result.metrics) == {"psnr"}
    assert "alexnet.safetensors: the SHA-256 of its tensors is" in result.absent["lpips"]
    score(data, tmp_path / "strict", "--weights", str(weights), "--max-videos", "1", "--strict", code=2)
    assert "--strict: lpips cannot use its weights: " in capsys.readouterr().err
