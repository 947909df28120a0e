"""How the published code splits videos, samples clips and extends actions."""

import random
from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Shaped

TICKS_PER_ACTION = 9


def split_videos(
    index: Mapping[str, int], test_fraction: float
) -> tuple[list[tuple[str, int]], list[tuple[str, int]]]:
    """Return (test, train) lists of (key, frames): the index sorted, shuffled with seed 0, and cut."""
    items = sorted(index.items())
    random.Random(0).shuffle(items)
    cut = int(len(items) * test_fraction)
    return items[:cut], items[cut:]


def clip_index(videos: Sequence[tuple[str, int]], clip_length: int | None) -> list[tuple[str, int]]:
    """Return (key, start frame) of every clip of this length in a fixed random order; None: whole videos."""
    starts = {key: 1 if clip_length is None else max(0, frames - clip_length + 1) for key, frames in videos}
    clips = [(key, start) for key, _ in videos for start in range(starts[key])]
    return [clips[i] for i in np.random.default_rng(0).permutation(len(clips))]


def extend_actions(
    states: Shaped[np.ndarray, "T columns"], num_frames: int, draws: np.random.RandomState
) -> Shaped[np.ndarray, "num_frames columns"]:
    """Invent actions after the end of a video for windows that reach past it, as the published code does.

    Repeats the last row 9 - num_frames % 9 times (as published, this depends on the requested length, not on
    the given one), then follows the data set's random walk, with zeros in all columns but the first.
    """
    repeats = TICKS_PER_ACTION - num_frames % TICKS_PER_ACTION
    parts = [states, np.repeat(states[-1:], repeats, axis=0)]
    length = len(states) + repeats
    while length < num_frames:
        turns = draws.choice([1, 2, 3, 4], p=[0.1, 0.3, 0.1, 0.5])
        forwards = draws.randint(turns, 3 * turns)
        entries = [0] * forwards + [draws.choice([1, 2])] * turns
        draws.shuffle(entries)
        walk = np.zeros((TICKS_PER_ACTION * (1 + len(entries)), states.shape[1]), states.dtype)
        walk[:, 0] = np.repeat([0, *entries], TICKS_PER_ACTION)
        parts.append(walk)
        length += len(walk)
    return np.concatenate(parts)[:num_frames]
