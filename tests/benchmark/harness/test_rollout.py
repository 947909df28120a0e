"""What the harness gives a model and accepts from it, with a mutant for every clause of the contract."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from benchmark.contract.compute import Compute
from benchmark.contract.model import ContractError
from benchmark.contract.protocol import LOOPCRAFT_MINI as MINI
from benchmark.harness.rollout import BLOCK, rollout_blocks, video_seed
from benchmark.sources.chunks import quantise
from benchmark.sources.references import CopyLast, GroundTruth, OtherVideo
from loopcraft.core.errors import UserError
from loopcraft.dataset import open_dataset
from tests.fakes.benchmark_data import make_frames, write_dataset

KEYS = ("000/000", "000/002")


@pytest.fixture(scope="module")
def episodes(tmp_path_factory):
    return open_dataset(write_dataset(tmp_path_factory.mktemp("data")))


class Scripted:
    """A model that yields the given chunks and records its inputs."""

    name, frame_shape, max_context = "scripted", None, 10_000

    def __init__(self, chunks: Sequence[Any] = (), max_context: int = 10_000) -> None:
        self.chunks = chunks
        self.max_context = max_context

    def rollout(self, context: Tensor, actions: Tensor, *, seeds: Sequence[int]) -> Iterator[Any]:
        self.context, self.actions, self.seeds = context, actions, list(seeds)
        for chunk in self.chunks:
            if isinstance(chunk, Exception):
                raise chunk
            yield chunk


def play(model, episodes, keys=KEYS) -> list[np.ndarray]:
    return list(rollout_blocks(model, episodes, MINI, keys, seed=5, compute=Compute()))


def frames(count: int, batch: int = 2, side: int = 16, value: float = 0.5) -> Tensor:
    return torch.full((batch, count, 3, side, side), value)


def test_a_model_gets_the_context_the_actions_and_a_seed_per_video(episodes) -> None:
    model = Scripted([frames(MINI.horizon)])
    play(model, episodes)
    assert model.context.dtype == torch.uint8
    expected = make_frames(2)[: MINI.context].transpose(0, 3, 1, 2)
    np.testing.assert_array_equal(model.context[1].numpy(), expected)
    np.testing.assert_array_equal(model.actions[1].numpy(), episodes.states("000/002")[:, 0])
    assert model.actions.dtype == torch.int64
    assert model.seeds == [video_seed(5, key) for key in KEYS]


def test_a_model_with_a_short_context_gets_the_last_frames(episodes) -> None:
    model = Scripted([frames(MINI.horizon)], max_context=10)
    play(model, episodes)
    np.testing.assert_array_equal(model.context[0].numpy(), make_frames(0)[54:64].transpose(0, 3, 1, 2))
    np.testing.assert_array_equal(model.actions[0].numpy(), episodes.states("000/000")[54:256, 0])


def test_the_future_is_not_in_the_memory_behind_the_context(episodes) -> None:
    model = Scripted([frames(MINI.horizon)])
    play(model, episodes)
    assert model.context.untyped_storage().nbytes() == model.context.numel()


def test_seeds_depend_only_on_the_run_and_the_video() -> None:
    assert video_seed(5, "000/002") == 4898262181058278366
    assert len({video_seed(root, key) for root in (0, 1) for key in ("000/000", "000/001", "001/000")}) == 6


@settings(max_examples=12, deadline=None, derandomize=True)
@given(st.data())
def test_chunking_does_not_matter(episodes, data) -> None:
    horizon = torch.from_numpy(
        np.random.default_rng(0).integers(0, 256, (2, MINI.horizon, 3, 16, 16), np.uint8)
    )
    cuts = sorted(data.draw(st.sets(st.integers(1, MINI.horizon - 1), max_size=12)))
    blocks = play(Scripted(torch.tensor_split(horizon, cuts, dim=1)), episodes)
    assert [block.shape[1] for block in blocks] == [BLOCK] * (MINI.horizon // BLOCK)
    whole = np.concatenate(blocks, axis=1)
    np.testing.assert_array_equal(whole, horizon.permute(0, 1, 3, 4, 2).numpy())


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.float16, torch.bfloat16])
def test_every_level_survives_floating_frames(dtype: torch.dtype) -> None:
    levels = torch.arange(256, dtype=torch.uint8)
    assert torch.equal(quantise(levels), levels)
    exact = (levels.double() / 255).to(dtype)
    tolerance = 0 if dtype != torch.bfloat16 else 0.5  # 8 bits of mantissa: half a level at the top
    assert (quantise(exact).double() - levels.double()).abs().max() <= tolerance


def test_frames_are_rounded_not_truncated() -> None:
    assert quantise(torch.tensor([0.999, 1.6 / 255, 1.4 / 255])).tolist() == [255, 2, 1]


@pytest.mark.parametrize("layout", ["channels last", "channels first", "sliced"])
@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32, torch.bfloat16, torch.float64])
@pytest.mark.parametrize("count", [1, 5])
def test_a_yielded_chunk_counts_even_if_its_memory_is_reused(episodes, layout, dtype, count: int) -> None:
    """A model that reuses one buffer, as renderers do: frame t holds the level t."""
    shape = (2, count, 16, 16, 3) if layout == "channels last" else (2, count, 3, 16, 16)
    picture = torch.zeros((*shape[:-1], 2 * shape[-1]), dtype=dtype)[..., ::2]
    picture = picture if layout == "sliced" else picture.contiguous()
    chunk = picture.permute(0, 1, 4, 2, 3) if layout == "channels last" else picture

    class Refills(Scripted):
        def rollout(self, context, actions, *, seeds):
            for start in range(0, MINI.horizon, count):
                levels = torch.arange(start, start + count).reshape(1, count, 1, 1, 1)
                picture.copy_(levels if dtype == torch.uint8 else levels / 255)
                yield chunk[:, : MINI.horizon - start]
            picture.zero_()

    whole = np.concatenate(play(Refills(), episodes), axis=1)
    expected = np.arange(MINI.horizon).reshape(1, -1, 1, 1, 1)
    np.testing.assert_array_equal(whole, np.broadcast_to(expected, whole.shape))


@pytest.mark.parametrize(
    ("chunks", "message"),
    [
        ([frames(MINI.horizon).numpy()], "expected a torch.Tensor, got ndarray"),
        ([frames(MINI.horizon)[0]], r"expected a chunk \(2, 'n', 3, 16, 16\), got \(192, 3, 16, 16\)"),
        ([frames(MINI.horizon, batch=1)], "expected a chunk"),
        ([frames(MINI.horizon, side=8)], "expected a chunk"),
        ([frames(MINI.horizon).permute(0, 1, 3, 4, 2)], "expected a chunk"),
        ([frames(64), frames(0)], "frame 64: expected a chunk"),
        ([frames(64)], "too few frames: 64 of a horizon of 192"),
        ([], "too few frames: 0 of"),
        ([frames(MINI.horizon), frames(1)], "too many frames: 193 of"),
        ([frames(MINI.horizon).long()], "expected uint8 or floating frames, got torch.int64"),
        ([frames(MINI.horizon).to_sparse()], "dense memory, got torch.sparse_coo on cpu"),
        ([frames(MINI.horizon).to("meta")], "dense memory, got torch.strided on meta"),
        ([frames(MINI.horizon) * float("nan")], "NaN"),
        ([frames(MINI.horizon) / 0], "infinite"),
        ([frames(MINI.horizon) * 255], r"from 127.5 to 127.5: .*\[0, 1\]"),
        ([frames(MINI.horizon) - 1], "from -0.5 to -0.5"),
        ([frames(1), ValueError("no GPU left")], "scripted raised ValueError: no GPU left"),
    ],
)
def test_the_error_says_what_a_broken_model_did_wrong(episodes, chunks, message: str) -> None:
    with pytest.raises(ContractError, match=message):
        play(Scripted(chunks), episodes)


def test_a_user_error_of_a_model_reaches_the_user(episodes) -> None:
    with pytest.raises(UserError, match="fetch the checkpoint first") as caught:
        play(Scripted([UserError("fetch the checkpoint first")]), episodes)
    assert not isinstance(caught.value, ContractError)


def test_the_bounds_yield_the_frames_they_promise(episodes) -> None:
    for model, expected in [
        (GroundTruth(), [make_frames(0)[64:], make_frames(2)[64:]]),
        (OtherVideo(), [make_frames(1)[64:], make_frames(0)[64:]]),
        (CopyLast(), [np.repeat(make_frames(video)[63:64], MINI.horizon, axis=0) for video in (0, 2)]),
    ]:
        np.testing.assert_array_equal(np.concatenate(play(model, episodes), axis=1), np.stack(expected))


def test_other_video_needs_two_videos(tmp_path) -> None:
    alone = open_dataset(write_dataset(tmp_path, num_videos=1))
    with pytest.raises(UserError, match="at least two videos"):
        play(OtherVideo(), alone, keys=("000/000",))


def test_autocast_covers_the_model_and_nothing_else(episodes) -> None:
    inside, outside = [], []

    class Product(Scripted):
        def rollout(self, context, actions, *, seeds):
            for _ in range(3):
                inside.append((torch.ones(2, 2) @ torch.ones(2, 2)).dtype)
                yield frames(64)

    for _ in rollout_blocks(Product(), episodes, MINI, KEYS, seed=0, compute=Compute(precision="bfloat16")):
        outside.append((torch.ones(2, 2) @ torch.ones(2, 2)).dtype)
    assert set(inside) == {torch.bfloat16}
    assert set(outside) == {torch.float32}
    play(Product(), episodes)
    assert inside[3:] == [torch.float32] * 3
