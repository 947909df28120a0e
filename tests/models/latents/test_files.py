"""File formats and clip selection: round trips, damaged files, the published rules on small cases."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from loopcraft.core.errors import UserError
from models.latents.pyramid_files import read_frames, read_pyramid, record_bytes, write_frames, write_pyramid
from models.latents.store import open_latents
from models.networks.tokens import Grid
from models.plans.builders import millivid
from models.plans.plan import CONTEXT, DENOISED
from models.train.data.windows import choose_step
from models.zoo.extended_actions import clip_index, extend_actions, split_videos
from tests.references.windows import cut_window

GRID = Grid(side=4, levels=3, channels=2)


def example(num_frames: int):
    draws = torch.Generator().manual_seed(num_frames)
    latents = [torch.randn(num_frames, n, 2, generator=draws).bfloat16() for n in GRID.tokens_per_level]
    return latents, np.arange(num_frames * 6, dtype=np.float32).reshape(num_frames, 6)


@given(st.integers(1, 6), st.data())
@settings(max_examples=25, deadline=None, derandomize=True)
def test_any_stretch_of_a_pyramid_reads_back(tmp_path_factory, num_frames, data):
    path = tmp_path_factory.mktemp("pyramid") / "a.pyramid"
    latents, states = example(num_frames)
    write_pyramid(path, latents, states)
    start = data.draw(st.integers(0, num_frames))
    stop = data.draw(st.integers(start, num_frames))
    first = data.draw(st.integers(0, 2))
    loaded, rows = read_pyramid(path, GRID, num_frames, start=start, stop=stop, first_level=first)
    assert all(torch.equal(a, b[start:stop]) for a, b in zip(loaded, latents[first:], strict=True))
    assert np.array_equal(rows, states[start:stop])


def test_bytes_of_a_pyramid(tmp_path):
    """Channel before cell, bfloat16 little-endian; coarser levels and states follow, once per start level."""
    latents = [torch.tensor([[[1.0, 5], [2, 6], [3, 7], [4, 8]]]), torch.tensor([[[9.0, 10]]])]
    write_pyramid(tmp_path / "a.pyramid", latents, np.full((1, 6), 0.5, np.float32))
    tail = b"\x10\x41\x20\x41" + 6 * b"\x00\x00\x00\x3f"
    finest = torch.arange(1.0, 9).bfloat16().view(torch.uint8).numpy().tobytes()
    assert (tmp_path / "a.pyramid").read_bytes() == finest + tail + tail


def test_a_published_frame_has_the_papers_size():
    assert [record_bytes(Grid(), level) for level in range(4)] == [21784, 5400, 1304, 280]


def test_a_pyramid_of_another_length_is_refused(tmp_path):
    write_pyramid(tmp_path / "a.pyramid", *example(3))
    with pytest.raises(UserError, match="but 4 frames of this shape take"):
        read_pyramid(tmp_path / "a.pyramid", GRID, 4)


@given(st.lists(st.binary(max_size=9), max_size=6), st.data())
@settings(max_examples=30, deadline=None, derandomize=True)
def test_any_stretch_of_blobs_reads_back(tmp_path_factory, blobs, data):
    path = tmp_path_factory.mktemp("frames") / "a.frames"
    write_frames(path, blobs)
    start = data.draw(st.integers(0, len(blobs)))
    stop = data.draw(st.integers(start, len(blobs)))
    assert read_frames(path, len(blobs), start, stop) == blobs[start:stop]


def test_cut_blobs_are_refused(tmp_path):
    path = tmp_path / "a.frames"
    write_frames(path, [b"one", b"three"])
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(UserError, match="does not hold 2 whole blobs"):
        read_frames(path, 2)


def test_published_latents_open_unchanged(tmp_path):
    (tmp_path / "000").mkdir()
    latents, states = example(5)
    write_pyramid(tmp_path / "000/000.pyramid", latents, states)
    (tmp_path / "index_unfiltered.json").write_text('{"000/000": 5}')
    loaded, rows = open_latents(tmp_path, GRID).read("000/000", 1, 4, first_level=2)
    assert torch.equal(loaded[0], latents[2][1:4])
    assert np.array_equal(rows, states[1:4])
    with pytest.raises(UserError, match=r"holds no index\.json"):
        open_latents(tmp_path / "000")


def test_split_and_clips():
    videos = {f"{i:03d}/000": 10 + i for i in range(20)}
    test, train = split_videos(videos, 0.25)
    assert len(test) == 5
    assert sorted(test + train) == sorted(videos.items())
    assert split_videos(dict(reversed(videos.items())), 0.25) == (test, train)
    clips = clip_index([("a", 5), ("b", 2), ("c", 3)], 3)
    assert sorted(clips) == [("a", 0), ("a", 1), ("a", 2), ("c", 0)]
    assert sorted(clip_index([("a", 5), ("b", 2)], None)) == [("a", 0), ("b", 0)]


@given(st.integers(1, 40), st.integers(1, 300), st.integers(0, 99))
@settings(max_examples=40, deadline=None, derandomize=True)
def test_invented_actions_follow_the_walk(given_frames, wanted, seed):
    states = np.ones((given_frames, 6), np.float32)
    extended = extend_actions(states, wanted, np.random.RandomState(seed))
    assert extended.shape == (wanted, 6)
    num_kept = min(given_frames, wanted)
    assert np.array_equal(extended[:num_kept], states[:num_kept])
    repeated = given_frames + 9 - wanted % 9
    assert (extended[num_kept:repeated] == states[-1]).all()
    assert not extended[repeated:, 1:].any()
    whole = extended[repeated:, 0][: (max(0, wanted - repeated) // 9) * 9].reshape(-1, 9)
    assert (whole == whole[:, :1]).all()


def test_training_window_holds_the_steps_tokens():
    grid = Grid(side=4, levels=2, channels=3)
    plan = millivid([1, 2], 16, tokens_at_0=16)
    latents = [torch.arange(7 * n * 3).view(7, n, 3).float() for n in grid.tokens_per_level]
    states = np.arange(42, dtype=np.float32).reshape(7, 6)
    window = cut_window(latents, states, plan, 1, grid)
    frames = {(0, 4): CONTEXT, (0, 5): DENOISED, (1, 5): CONTEXT, (1, 6): CONTEXT}
    assert len(window.tokens) == 16 + 16 + 4 + 4
    for token, address, row, role in zip(
        window.tokens, window.address.tolist(), window.actions, window.roles.tolist(), strict=True
    ):
        frame, level, r, c = address
        assert role == frames[level, frame]
        assert torch.equal(token, latents[level][frame, r * grid.side_at(level) + c])
        assert np.array_equal(row, states[frame])


def test_short_steps_are_padded_with_zeros():
    grid = Grid(side=4, levels=2, channels=3)
    plan = millivid([1, 2], 20, tokens_at_0=16)
    sizes = plan.num_tokens(grid)
    short = int(sizes.argmin())
    assert sizes[short] < sizes.max()
    latents = [torch.ones(plan.num_frames, n, 3) for n in grid.tokens_per_level]
    window = cut_window(latents, np.ones((plan.num_frames, 6), np.float32), plan, short, grid)
    padding = slice(sizes[short], None)
    assert len(window.tokens) == sizes.max()
    for values in (window.tokens, window.address, window.actions, window.roles):
        assert not values[padding].any()
        assert values[: sizes[short]].any()


def test_steps_are_drawn_by_the_cdf():
    plan = millivid([1, 4], 16, tokens_at_0=16)
    assert [choose_step(plan, u) for u in (0.0, 0.49, 0.51, 0.7, 0.99, 1.0)] == [0, 0, 1, 2, 4, 4]


@pytest.mark.parametrize(
    "window",
    [{"stop": 8}, {"start": 7, "stop": 8}, {"start": -2}, {"start": 5, "stop": 4}, {"first_level": 4}],
)
def test_a_window_outside_the_file_is_refused(tmp_path, window):
    """After the frames of a section comes the next section, which must not be read as frames."""
    latents, states = example(7)
    write_pyramid(tmp_path / "a.pyramid", latents, states)
    with pytest.raises(UserError, match=r"a.pyramid: cannot read frames .* on; it holds 7 frames and"):
        read_pyramid(tmp_path / "a.pyramid", GRID, 7, **window)
    write_frames(tmp_path / "a.frames", [b"x"] * 7)
    if "first_level" not in window:
        with pytest.raises(UserError, match=r"a.frames: cannot read blobs .*; it holds 7"):
            read_frames(tmp_path / "a.frames", 7, **{"start": 0, **window})
