"""Errors by level and frame: compared with their definition, and with truth in place of generated latents."""

import pytest
import torch

from models.plan_errors import GIVEN_TRUTH, REPEATED, SAMPLED, main, predict, relative_errors
from models.sampling.diffusion import Sampling
from models.sampling.token_sampler import TokenSampler, keyed_noise
from models.zoo.loading import WeightSource, load_model
from models.zoo.presets import PRESETS
from tests.fakes.benchmark_data import write_dataset

SIDE = 16


@pytest.fixture(scope="module")
def sampler() -> TokenSampler:
    torch.set_num_threads(1)
    model = load_model("millivid", WeightSource(preset="trial", frame_size=SIDE))
    draws = torch.Generator().manual_seed(0)
    for parameter in model.network.parameters():
        parameter.data += 0.1 * torch.randn(parameter.shape, generator=draws)
    token_sampler = model.config.video.sampler(model.network, model.autoencoder.grid, Sampling(steps=2))
    assert isinstance(token_sampler, TokenSampler)
    return token_sampler


@pytest.fixture(scope="module")
def video(sampler):
    grid = PRESETS["trial"].model("millivid", SIDE).autoencoder.grid
    draws = torch.Generator().manual_seed(1)
    frames = sampler.num_context + sampler.num_future(1)
    truth = [torch.randn(3, frames, count, grid.channels, generator=draws) for count in grid.tokens_per_level]
    return truth, torch.randint(0, 3, (3, frames), generator=draws)


def roll_out(sampler, truth, actions, corrections):
    context = [level[:, : sampler.num_context] for level in truth]
    return list(sampler.rollout(context, actions, keyed_noise(range(3)), corrections))


@pytest.fixture(scope="module")
def plain(sampler, video):
    """A rollout without corrections."""
    return roll_out(sampler, *video, None)


def test_correcting_a_rollout_by_itself_changes_nothing(sampler, video, plain) -> None:
    generated = [level.clone() for level in video[0]]
    for part in plain:
        generated[part.level][:, part.first_frame : part.first_frame + part.latents.shape[1]] = part.latents
    corrected = roll_out(sampler, *video, generated)
    assert all(torch.equal(a.latents, b.latents) for a, b in zip(plain, corrected, strict=True))


def test_a_later_step_sees_the_truth_and_the_first_does_not(sampler, video, plain) -> None:
    corrected = roll_out(sampler, *video, video[0])
    assert torch.equal(plain[0].latents, corrected[0].latents)
    for before, after in zip(plain[1:], corrected[1:], strict=True):
        assert not torch.allclose(before.latents, after.latents, atol=1e-4)


def test_errors_are_shares_of_the_variance() -> None:
    draws = torch.Generator().manual_seed(2)
    truth = [torch.randn(50, 9, 4, 8, generator=draws) * 3 + 5]
    future = truth[0][:, -4:]
    offsets = torch.tensor([0.0, 1.0, 2.0, 3.0]).view(1, 4, 1, 1)
    (shares,) = relative_errors([future + offsets], truth)
    assert torch.allclose(shares, torch.tensor([0.0, 1.0, 4.0, 9.0]) / 9, rtol=0.02)
    means = truth[0].mean((0, 1, 2)).expand_as(future)
    (ones,) = relative_errors([means], truth)
    assert torch.allclose(ones, torch.ones(4), rtol=0.1)


def test_every_kind_has_every_level_of_the_plan(sampler, video) -> None:
    predicted = predict(sampler, *video, range(3))
    ahead = sampler.num_future(1)
    for level, tokens in enumerate(predicted[SAMPLED]):
        last = video[0][level][:, sampler.num_context - 1]
        assert torch.equal(predicted[REPEATED][level], last[:, None].expand_as(tokens))
        assert not tokens[:, 0].isnan().any()
        assert predicted[GIVEN_TRUTH][level].shape[1] == ahead
    coarsest = len(video[0]) - 1
    assert torch.equal(predicted[SAMPLED][coarsest], predicted[GIVEN_TRUTH][coarsest])


@pytest.fixture(scope="module")
def data(tmp_path_factory, sampler):
    frames = sampler.num_context + sampler.num_future(1)
    return write_dataset(tmp_path_factory.mktemp("data"), num_videos=2, num_frames=frames, side=SIDE)


def test_the_command_prints_a_row_for_each_frame(data, capsys) -> None:
    assert main(["--data", str(data), "--preset", "trial", "--steps", "2"]) == 0
    out = capsys.readouterr().out
    assert "2 videos, 2 calls a step" in out
    plan = (
        PRESETS["trial"]
        .model("millivid", SIDE)
        .video.plan.build(PRESETS["trial"].model("millivid", SIDE).autoencoder.grid)
    )
    rows = [line for line in out.splitlines() if line.count("│") == 6]
    assert len(rows) >= plan.num_levels
    assert all("nan" not in row for row in rows)


def test_mistakes_are_refused_in_a_sentence(data, capsys, tmp_path) -> None:
    short = write_dataset(tmp_path / "short", num_videos=1, num_frames=9, side=SIDE)
    tiny_flags = ["--preset", "trial"]
    for flags, message in (
        (["--data", str(data), *tiny_flags, "--max-videos", "0"], "choose 1 or more"),
        (["--data", str(data), *tiny_flags, "--model", "framepack"], "choose a model whose plan has"),
        (["--data", str(short), *tiny_flags], "no video has the"),
        (["--data", str(data)], "give a data set of that resolution"),
        (
            ["--data", str(data), "--model", "surprise"],
            "there is no model 'surprise'; choose",
        ),
        (["--data", str(data), *tiny_flags, "--device", "surprise"], "use cpu, cuda or cuda:1"),
        (["--data", str(data), *tiny_flags, "--steps", "0"], "choose a whole number of network calls"),
    ):
        assert main(flags) == 2
        error = capsys.readouterr().err
        assert message in error
        assert error.count("\n") == 1


def test_a_mutant_that_ignores_the_truth_is_caught(sampler, video, plain, monkeypatch) -> None:
    monkeypatch.setattr("models.sampling.token_sampler._insert_truth", lambda *arguments: None)
    with pytest.raises(AssertionError):
        test_a_later_step_sees_the_truth_and_the_first_does_not(sampler, video, plain)
