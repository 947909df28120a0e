"""Collects what a batch of videos tells of memory, block after block, for the file of each video's scores.

surfaces           (T, 2 * kinds)  squared errors over each kind of pixel, then their counts (kinds.py)
surfaces.METRIC    (T, kinds)      sums of a metric's map, and with `.weights` behind it those of its weights
steering           (T, 4)          yaw change from the frame before, and how much the picture changed: of the
                                   generated frames, then of the true ones
loops              (P, 2)          loops in the walk: the frame's and the earlier one's index in the episode
loops.METRIC       (P, 2)          the metric between the two: as the model has them, and as they truly are
faces              (T, 6)          block faces that come back into sight: pixels and errors (faces.py)
"""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from jaxtyping import Float, Float64, UInt8

from benchmark.contract.data import MaskedEpisodes
from benchmark.contract.protocol import EvaluationProtocol
from benchmark.memory.faces import errors_by_face, find_sightings, reduced
from benchmark.memory.kinds import errors_by_kind, horizon_kinds, sums_by_kind
from benchmark.memory.loops import find_loops
from benchmark.memory.replay import faces_shown
from benchmark.memory.steering import changes, turns
from benchmark.metrics.base import Frames, Mapped
from loopcraft.dataset.mask_files import spread

SURFACES, STEERING, LOOPS, FACES = "surfaces", "steering", "loops", "faces"
WEIGHTS = ".weights"

Compare = Callable[[Frames, Frames], Mapping[str, Float[np.ndarray, " N"]]]
"""Pairs of frames -> their scores by every paired metric of the run."""
Block = UInt8[np.ndarray, "B n H W 3"]


class Collector:
    """Takes the horizon of a batch in blocks; what is read of the data set is read with the first.

    A video whose masks are not whole, or were made for another context, has no scores by surfaces. The kinds
    take a byte a cell of the masks: 13 MB a video of 768 frames at 256 x 256 with cells of 2 x 2 pixels. For
    the faces all of a video is kept, reduced: 24 MB a thousand frames.
    """

    def __init__(
        self, episodes: MaskedEpisodes, keys: Sequence[str], protocol: EvaluationProtocol, compare: Compare
    ) -> None:
        self._episodes, self._keys, self._protocol, self._compare = episodes, keys, protocol, compare
        self._videos: list[_Video] = []
        self._part = slice(0, 0)

    def add(self, generated: Block, true: Block) -> None:
        """Take the next frames of every video."""
        if not self._videos:
            height, width = true.shape[2:4]
            for key in self._keys:
                kinds = horizon_kinds(self._episodes, key, self._protocol, height, width)
                self._videos.append(_Video(self._episodes, key, self._protocol, kinds, self._compare))
        self._part = slice(self._part.stop, self._part.stop + true.shape[1])
        for video, ours, truth in zip(self._videos, generated, true, strict=True):
            video.add(ours, truth, self._part)

    def add_map(self, name: str, mapped: Mapped) -> None:
        """Take a metric's map of the frames that were added last, (B, n, H, W)."""
        for place, video in enumerate(self._videos):
            video.add_sums(f"{SURFACES}.{name}", mapped.charges[place], self._part)
            if mapped.weights is not None:
                video.add_sums(f"{SURFACES}.{name}{WEIGHTS}", mapped.weights[place], self._part)

    def by_video(self) -> list[dict[str, Float64[np.ndarray, "rows columns"]]]:
        """What the scores of each video get."""
        return [video.arrays() for video in self._videos]


class _Video:
    """The same of one video."""

    def __init__(
        self,
        episodes: MaskedEpisodes,
        key: str,
        protocol: EvaluationProtocol,
        kinds: UInt8[np.ndarray, "T H W"] | None,
        compare: Compare,
    ) -> None:
        self._kinds, self._key, self._compare = kinds, key, compare
        self._episodes, self._protocol, context = episodes, protocol, protocol.context
        self._poses = episodes.states(key)[: protocol.num_frames, 1:].astype(np.float64)
        self._loops = [loop for loops in find_loops(self._poses, context) for loop in loops]
        self._wanted = {index for loop in self._loops for index in loop}
        self._start = context
        shown = {loop.earlier for loop in self._loops if loop.earlier < context}
        self._kept = {}
        for index in sorted({*shown, context - 1}):
            frame = episodes.frames(key, index, index + 1)[0]
            self._kept[index] = (frame, frame)
        self._before = self._kept[context - 1]
        self._parts: dict[str, list[np.ndarray]] = {}
        self._reduced: tuple[list[np.ndarray], list[np.ndarray]] = ([], [])

    def add(self, generated: Frames, true: Frames, part: slice) -> None:
        """Take the next frames; `part` is where in the horizon they lie."""
        if self._kinds is not None:
            self._append(SURFACES, errors_by_kind(generated, true, self._kinds_of_pixels(part, true.shape)))
            for kept, frames in zip(self._reduced, (generated, true), strict=True):
                kept.append(reduced(frames))
        columns = []
        for before, frames in zip(self._before, (generated, true), strict=True):
            whole = np.concatenate([before[None], frames])
            columns += [turns(whole), changes(whole)]
        self._append(STEERING, np.stack(columns, axis=1))
        self._before = (generated[-1].copy(), true[-1].copy())
        for index in self._wanted & set(range(self._start + part.start, self._start + part.stop)):
            place = index - self._start - part.start
            self._kept[index] = (generated[place].copy(), true[place].copy())

    def add_sums(self, name: str, maps: Float[np.ndarray, "n H W"], part: slice) -> None:
        """Take a map of the frames that were added last."""
        if self._kinds is not None:
            self._append(name, sums_by_kind(maps, self._kinds_of_pixels(part, maps.shape)))

    def _kinds_of_pixels(self, part: slice, shape: tuple[int, ...]) -> UInt8[np.ndarray, "n H W"]:
        """The kind of every pixel of frames (n, H, W, ...) that lie at `part` of the horizon."""
        assert self._kinds is not None
        return spread(self._kinds[part], shape[1], shape[2], self._key)

    def arrays(self) -> dict[str, np.ndarray]:
        """All that was collected."""
        found = {name: np.concatenate(parts) for name, parts in self._parts.items()}
        return found | self._compared() | self._by_face()

    def _append(self, name: str, rows: np.ndarray) -> None:
        self._parts.setdefault(name, []).append(rows)

    def _compared(self) -> dict[str, np.ndarray]:
        """The scores of the loops; nothing where the walk has none."""
        if not self._loops:
            return {}
        pairs = [(self._kept[loop.frame], self._kept[loop.earlier]) for loop in self._loops]
        scores = [
            self._compare(*(np.stack([pair[end][side] for pair in pairs]) for end in range(2)))
            for side in range(2)
        ]
        found = {LOOPS: np.array(self._loops, np.float64)}
        for name in scores[0]:
            found[f"{LOOPS}.{name}"] = np.stack([own[name] for own in scores], axis=1)
        return found

    def _by_face(self) -> dict[str, np.ndarray]:
        """What faces that come back look like; nothing without masks, or where the world cannot be asked."""
        if self._kinds is None:
            return {}
        context = self._protocol.context
        shown = reduced(self._episodes.frames(self._key, 0, context))
        ids = faces_shown(self._episodes, self._key, self._protocol.num_frames, shown.shape[1])
        if ids is None:
            return {}
        generated, true = (np.concatenate([shown, *kept]) for kept in self._reduced)
        sightings = find_sightings(ids, self._poses, context)
        return {FACES: errors_by_face(sightings, generated, true, context)}
