"""Two small trained models for publishing to the local Hub, shared by tests."""

import dataclasses
from pathlib import Path

import pytest

from benchmark.results.result_file import Result
from models import publish
from models.zoo.loading import WeightSource, load_model
from tests.fakes import hub_state
from tests.fakes.benchmark_data import make_result
from tests.fakes.training_runs import train, use_fake_world


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder after two updates of an autoencoder and of MilliVid on its latents."""
    root = tmp_path_factory.mktemp("trained")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("models.train.data.played.make_world", None)
        use_fake_world()
        assert train("autoencoder", root, root / "out", "--steps", "2") == 0
        world = ("--data", "voxel-v1", "--episode-frames", "120", "--autoencoder", str(root / "out"))
        assert train("millivid", root, root / "out", "--steps", "2", *world) == 0
    return root / "out"


def publish_to(repository: str, folder: Path, *more: str) -> int:
    return publish.main([str(folder), "--repo", repository, *more])


def files_of(hub: hub_state.Hub, repository: str) -> dict[str, bytes]:
    return hub.repositories[f"models/{repository}"].files


def result_of(folder: Path, psnr: float) -> Result:
    """A result of the MilliVid in `folder`."""
    result = make_result("millivid", psnr=psnr)
    sha256 = load_model("millivid", WeightSource(checkpoint=str(folder))).sha256
    return dataclasses.replace(result, model=dataclasses.replace(result.model, checkpoint_sha256=sha256))
