"""Collect measures of memory for a batch of videos, block by block, as arrays in each video's score file.

surfaces           (T, 2 * kinds)  squared errors over each kind of pixel, then pixel counts (kinds.py)
surfaces.METRIC    (T, kinds)      sums of a metric's map; those of its weights have the suffix `.weights`
steering           (T, 4)          yaw change and picture change since the previous frame: of the generated
                                   frames, then of the true ones
loops              (P, 2)          loops in the walk: indices in the episode of the frame and the earlier one
loops.METRIC       (P, 2)          the metric between the two frames: of the model's, then of the true ones
faces              (T, 6)          block faces that come back into sight: pixels and errors (faces.py)
"""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from jaxtyping import Float, Float64, UInt8

from benchmark.contract.data import MaskedEpisodes
from benchmark.contract.protocol import EvaluationProtocol
from benchmark.memory.faces import errors_by_face, find_sightings, reduce_frames
from benchmark.memory.kinds import errors_by_kind, horizon_kinds, sums_by_kind
from benchmark.memory.loops import find_loops
from benchmark.memory.replay import faces_shown
from benchmark.memory.steering import changes, turns
from benchmark.metrics.base import Frames, Mapped
from loopcraft.dataset.mask_files import spread

SURFACES, STEERING, LOOPS, FACES = "surfaces", "steering", "loops", "faces"
WEIGHTS = ".weights"

Compare = Callable[[Frames, Frames], Mapping[str, Float[np.ndarray, " N"]]]
"""Pairs of frames -> their scores by each paired metric of the run."""
Block = UInt8[np.ndarray, "B n H W 3"]


class Collector:
    """Receives the horizon of a batch in blocks; reads the data set when it gets the first block.

    A video whose masks are incomplete, or were made for another context, gets no scores by surface. The kinds
    take one byte per cell of the masks: 13 MB for a video of 768 frames at 256 x 256 with cells of 2 x 2
    pixels. For the faces, whole videos are kept at reduced size: 24 MB per thousand frames.
    """

    def __init__(
        self, episodes: MaskedEpisodes, keys: Sequence[str], protocol: EvaluationProtocol, compare: Compare
    ) -> None:
        self._episodes, self._keys, self._protocol, self._compare = episodes, keys, protocol, compare
        self._videos: list[_Video] = []
        self._part = slice(0, 0)

    def add(self, generated: Block, true: Block) -> None:
        """Add the next frames of every video."""
        if not self._videos:
            height, width = true.shape[2:4]
            for key in self._keys:
                kinds = horizon_kinds(self._episodes, key, self._protocol, height, width)
                self._videos.append(_Video(self._episodes, key, self._protocol, kinds, self._compare))
        self._part = slice(self._part.stop, self._part.stop + true.shape[1])
        for video, generated_frames, true_frames in zip(self._videos, generated, true, strict=True):
            video.add(generated_frames, true_frames, self._part)

    def add_map(self, name: str, mapped: Mapped) -> None:
        """Add a metric's map (B, n, H, W) of the frames that were added last."""
        for index, video in enumerate(self._videos):
            video.add_sums(f"{SURFACES}.{name}", mapped.charges[index], self._part)
            if mapped.weights is not None:
                video.add_sums(f"{SURFACES}.{name}{WEIGHTS}", mapped.weights[index], self._part)

    def by_video(self) -> list[dict[str, Float64[np.ndarray, "rows columns"]]]:
        """Return the arrays for each video's scores."""
        return [video.arrays() for video in self._videos]


class _Video:
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
        self._loop_indices = {index for loop in self._loops for index in loop}
        self._start = context
        # Index in the episode -> the generated and the true frame, which are the same in the context.
        self._saved = {}
        for index in sorted({index for index in self._loop_indices if index < context} | {context - 1}):
            frame = episodes.frames(key, index, index + 1)[0]
            self._saved[index] = (frame, frame)
        self._previous = self._saved[context - 1]
        self._parts: dict[str, list[np.ndarray]] = {}
        self._reduced: tuple[list[np.ndarray], list[np.ndarray]] = ([], [])

    def add(self, generated: Frames, true: Frames, part: slice) -> None:
        """Add the next frames, which are the `part` of the horizon."""
        if self._kinds is not None:
            self._append(SURFACES, errors_by_kind(generated, true, self._pixel_kinds(part, true.shape)))
            for blocks, frames in zip(self._reduced, (generated, true), strict=True):
                blocks.append(reduce_frames(frames))
        columns = []
        for previous, frames in zip(self._previous, (generated, true), strict=True):
            extended = np.concatenate([previous[None], frames])
            columns += [turns(extended), changes(extended)]
        self._append(STEERING, np.stack(columns, axis=1))
        self._previous = (generated[-1].copy(), true[-1].copy())
        for index in self._loop_indices & set(range(self._start + part.start, self._start + part.stop)):
            offset = index - self._start - part.start
            self._saved[index] = (generated[offset].copy(), true[offset].copy())

    def add_sums(self, name: str, maps: Float[np.ndarray, "n H W"], part: slice) -> None:
        """Add a map of the frames that were added last."""
        if self._kinds is not None:
            self._append(name, sums_by_kind(maps, self._pixel_kinds(part, maps.shape)))

    def _pixel_kinds(self, part: slice, shape: tuple[int, ...]) -> UInt8[np.ndarray, "n H W"]:
        """Return the kind of each pixel of frames (n, H, W, ...) at `part` of the horizon."""
        assert self._kinds is not None
        return spread(self._kinds[part], shape[1], shape[2], self._key)

    def arrays(self) -> dict[str, np.ndarray]:
        """Return everything collected, by array name."""
        frame_arrays = {name: np.concatenate(parts) for name, parts in self._parts.items()}
        return frame_arrays | self._compare_loops() | self._compare_faces()

    def _append(self, name: str, rows: np.ndarray) -> None:
        self._parts.setdefault(name, []).append(rows)

    def _compare_loops(self) -> dict[str, np.ndarray]:
        """Return the loops and their scores; nothing if the walk has no loops."""
        if not self._loops:
            return {}
        pairs = [(self._saved[loop.frame], self._saved[loop.earlier]) for loop in self._loops]
        scores = [
            self._compare(*(np.stack([pair[end][side] for pair in pairs]) for end in range(2)))
            for side in range(2)
        ]
        arrays = {LOOPS: np.array(self._loops, np.float64)}
        for name in scores[0]:
            arrays[f"{LOOPS}.{name}"] = np.stack([values[name] for values in scores], axis=1)
        return arrays

    def _compare_faces(self) -> dict[str, np.ndarray]:
        """Return the errors of faces that come back; nothing without masks or a world to replay."""
        if self._kinds is None:
            return {}
        context = self._protocol.context
        context_frames = reduce_frames(self._episodes.frames(self._key, 0, context))
        ids = faces_shown(self._episodes, self._key, self._protocol.num_frames, context_frames.shape[1])
        if ids is None:
            return {}
        generated, true = (np.concatenate([context_frames, *blocks]) for blocks in self._reduced)
        sightings = find_sightings(ids, self._poses, context)
        return {FACES: errors_by_face(sightings, generated, true, context)}
