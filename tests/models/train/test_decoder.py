"""A decoder trained alone: the encoder stays as it is, and what was trained on its latents stays valid."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from loopcraft.core.errors import UserError
from loopcraft.core.files import file_sha256
from models.checkpoints.format import read_checkpoint
from models.networks.autoencoder import Autoencoder
from models.train.data import played
from models.train.detail_loss import gradient_difference
from models.train.objectives import AutoencoderObjective
from models.zoo.loading import require_same_autoencoder
from models.zoo.presets import PRESETS
from tests.fakes.training_runs import train, use_fake_world


@pytest.fixture(autouse=True)
def _fake_world(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(played, "make_world", played.make_world)  # put back afterwards
    use_fake_world()


def test_a_decoder_is_trained_alone_and_video_models_take_it_for_their_own(tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    assert train("autoencoder", tmp_path, first, "--steps", "1") == 0
    kept = first / "autoencoder.safetensors"
    alone = ["--only-decoder", "--begin-with", str(kept), "--latent-noise", "0.3", "--steps", "2"]
    assert train("autoencoder", tmp_path, second, *alone) == 0
    header, weights = read_checkpoint(second / "autoencoder.safetensors")
    _, old = read_checkpoint(kept)
    changed = {name.partition(".")[0] for name in old if not torch.equal(old[name], weights[name])}
    assert changed == {"decoder"}
    assert header["training"]["encoder"] == file_sha256(kept)
    video = {"training": {"autoencoder": file_sha256(kept)}}
    paths = ("video", "autoencoder")
    require_same_autoencoder(video, paths[0], header, paths[1], "of the new file")
    with pytest.raises(UserError, match="was trained on an autoencoder"):
        require_same_autoencoder(video, paths[0], {**header, "training": {}}, paths[1], "of the new file")
    assert train("autoencoder", tmp_path, second, *alone[:-1], "3") == 0  # and goes on


def test_noise_on_latents_changes_half_of_the_samples_by_at_most_its_level(tmp_path: Path) -> None:
    config = PRESETS["trial"].model("millivid", 16).autoencoder
    objective = AutoencoderObjective(Autoencoder(config), gradient_difference, 0.05, latent_noise=0.4)
    values = torch.zeros(1, 5, 16, 16, 3, dtype=torch.uint8)
    pool = SimpleNamespace(
        values=values, draw=lambda rng, count, length: (torch.zeros(count, dtype=torch.int64),) * 2
    )
    draws = torch.Generator().manual_seed(0)
    batch = objective.draw(pool, 512, np.random.default_rng(0), draws)
    spread = batch["latent_noise"].std(dim=(1, 2))
    assert (spread == 0).float().mean() == pytest.approx(0.5, abs=0.07)
    assert 0.3 < spread.max() < 0.45
    assert objective(**batch).isfinite()


@pytest.mark.parametrize(
    ("flags", "sentence"),
    [
        (("--only-decoder",), "--only-decoder keeps an encoder: name its file with --begin-with"),
        (("--latent-noise", "0"), "--latent-noise 0.0: choose a number above 0"),
    ],
)
def test_mistakes_about_decoders_are_sentences(
    flags: tuple[str, ...], sentence: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert train("autoencoder", tmp_path, tmp_path / "out", *flags) == 2
    assert sentence in capsys.readouterr().err
