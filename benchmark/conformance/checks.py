"""Check each clause of the model contract on synthetic videos; `check.py` is the command."""

import dataclasses
import signal
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from jaxtyping import UInt8
from torch import Tensor

from benchmark.conformance.synthetic import SyntheticEpisodes
from benchmark.contract.compute import Compute
from benchmark.contract.data import to_array
from benchmark.contract.model import (
    ContractError,
    FrameSource,
    Inputs,
    RolloutModel,
    conditioning_of,
    role_of,
    start_rollout,
)
from benchmark.contract.protocol import EvaluationProtocol, Window
from benchmark.harness.rollout import rollout_blocks
from benchmark.sources.chunks import TOO_DARK, quantise
from benchmark.sources.http_protocol import RemoteModel

Frames = UInt8[np.ndarray, "B T H W 3"]
ProcessState = Mapping[str, object]
Outcome = tuple[Literal["ok", "note", "FAILED"], str]
_ELSEWHERE: Outcome = ("note", "not checked: the model runs in another process")


@dataclass(frozen=True, kw_only=True)
class TrialSize:
    """The number of context and horizon frames, and the side of frames for a model that takes any shape.

    Frames that should be equal may differ by `tolerance` levels, as the rounding of large sums can depend on
    the batch size. With `causal`, frames must not depend on later actions.
    """

    context: int = 64
    horizon: int = 48
    side: int = 64
    tolerance: int = 1
    causal: bool = False


def process_state() -> ProcessState:
    """Return the process-wide state that a model could change, by description."""
    return {
        "the working directory": str(Path.cwd()),
        "torch's default type": torch.get_default_dtype(),
        "torch's default device": str(torch.get_default_device()),
        "numpy's error handling": np.geterr(),
        "the handler of Ctrl-C": signal.getsignal(signal.SIGINT),
    }


class Trial:
    """A model and the synthetic videos on which it is checked."""

    def __init__(
        self, model: FrameSource, size: TrialSize, compute: Compute, before: ProcessState | None = None
    ) -> None:
        self.model, self.size, self.compute = model, size, compute
        self.before = before or process_state()
        shape = model.frame_shape
        _, height, width = (3, size.side, size.side) if shape is None else map(int, shape)
        self.episodes = SyntheticEpisodes(height=height, width=width, length=size.context + size.horizon)
        self.protocol = EvaluationProtocol(
            id="check",
            context=size.context,
            horizon=size.horizon,
            windows=(Window(name="all", first=1, last=size.horizon),),
            metrics=(),
        )

    def play(
        self,
        keys: Sequence[str] = SyntheticEpisodes.keys,
        *,
        episodes: SyntheticEpisodes | None = None,
        model: FrameSource | None = None,
    ) -> Frames:
        """Return the generated frames, checked and quantised as in a run."""
        blocks = rollout_blocks(
            model or self.model, episodes or self.episodes, self.protocol, keys, seed=0, compute=self.compute
        )
        return np.concatenate(list(blocks), axis=1)

    @cached_property
    def reference(self) -> Frames:
        """Both videos generated in one batch, for comparison with the other rollouts."""
        return self.play()

    def difference(self, other: Frames, upto: int | None = None) -> str | None:
        """Describe where `other` first differs from the reference in `upto` frames; None if they agree."""
        levels = np.abs(self.reference[:, :upto].astype(int) - other[:, :upto]).max(axis=(0, 2, 3, 4))
        frames = np.flatnonzero(levels > self.size.tolerance)
        return f"first at frame {frames[0]}, by {levels[frames[0]]} levels" if len(frames) else None


def check_frames(trial: Trial) -> Outcome:
    """Check the first rollout; raise `ContractError` for any breach."""
    return "ok", f"{trial.reference.shape[1]} of the promised shape, type and range"


def check_levels(trial: Trial) -> Outcome:
    """Check that frames use the range of their dtype, as those of the context do."""
    if trial.reference.max() <= 1:
        return "FAILED", f"frames hold {TOO_DARK}"
    return "ok", f"up to {trial.reference.max()} of 255"


def check_inputs(trial: Trial) -> Outcome:
    """Check that the model leaves its inputs unchanged."""
    if not isinstance(trial.model, RolloutModel):
        return "ok", "not applicable: frames are looked up by the video's key"
    if isinstance(trial.model, RemoteModel):
        return _ELSEWHERE
    witness = Witness(trial.model)
    trial.play(model=witness)
    if witness.changed:
        return "FAILED", f"the model wrote into its {' and '.join(witness.changed)}: clone before changing"
    return "ok", "unchanged"


def check_memory(trial: Trial) -> Outcome:
    """Check that the collected frames are the yielded ones, even if the model overwrites them later."""
    if not isinstance(trial.model, RolloutModel):
        return "ok", "not applicable: frames are looked up by the video's key"
    if isinstance(trial.model, RemoteModel):
        return _ELSEWHERE
    witness = Witness(trial.model)
    collected = trial.play(model=witness)
    yielded = np.concatenate([to_array(quantise(copy)) for _, copy in witness.chunks], axis=1)
    differs = np.flatnonzero((collected != yielded).any(axis=(0, 2, 3, 4)))
    if len(differs):
        return "FAILED", f"frame {differs[0]} changed after it was yielded: do not overwrite yielded frames"
    if not all(torch.equal(chunk, copy) for chunk, copy in witness.chunks):
        return "note", "frames are overwritten after they were yielded: the benchmark copies each at once"
    return "ok", "frames stay as they were yielded"


def check_repeat(trial: Trial) -> Outcome:
    """Check that repeating the same call gives the same frames."""
    diff = trial.difference(trial.play())
    if diff:
        return "FAILED", f"a second rollout with the same seeds differs, {diff}: draw only from `seeds`"
    return "ok", "same frames"


def check_order(trial: Trial) -> Outcome:
    """Check that reordering the batch reorders the frames and changes nothing else."""
    diff = trial.difference(trial.play(trial.episodes.keys[::-1])[::-1])
    if diff:
        return "FAILED", f"frames depend on the video's position in the batch, {diff}"
    return "ok", "does not matter"


def check_batch_size(trial: Trial) -> Outcome:
    """Check that a video gets the same frames alone as in a batch."""
    diff = trial.difference(np.concatenate([trial.play([key]) for key in trial.episodes.keys]))
    if diff:
        return "FAILED", f"frames depend on the batch size, {diff}"
    return "ok", "does not matter"


def check_future(trial: Trial) -> Outcome:
    """Check that the true frames after the context have no effect; their actions and poses stay the same."""
    other = dataclasses.replace(trial.episodes, future_starts=trial.size.context, future=1)
    diff = trial.difference(trial.play(episodes=other))
    if diff is None:
        return "ok", "the true frames after the context make no difference"
    if role_of(trial.model) == "bound":
        return "note", "the model sees the answer, as a reference may; tables will not rank it"
    return "FAILED", f"frames depend on the true frames after the context, {diff}: the model sees the answer"


def check_later_actions(trial: Trial) -> Outcome:
    """Check whether the first half of the horizon depends on the actions of the second half."""
    half = trial.size.horizon // 2
    other = dataclasses.replace(trial.episodes, later_starts=trial.size.context + half, later=1)
    diff = trial.difference(trial.play(episodes=other), upto=half)
    if diff is None:
        return "ok", "do not affect the frames before them"
    return "FAILED" if trial.size.causal else "note", f"frames depend on later actions, {diff}"


def check_process(trial: Trial) -> Outcome:
    """Check that the process state is as it was before the model was created, or before it was run."""
    if isinstance(trial.model, RemoteModel):
        return _ELSEWHERE
    after = process_state()
    changed = [f"{name} to {state}" for name, state in after.items() if state != trial.before[name]]
    if changed:
        return "FAILED", f"the model changed {', '.join(changed)}: restore what other code relies on"
    return "ok", "working directory, defaults and signal handlers are unchanged"


CHECKS: Mapping[str, Callable[[Trial], Outcome]] = {
    "frames": check_frames,
    "levels": check_levels,
    "inputs": check_inputs,
    "memory": check_memory,
    "same seeds": check_repeat,
    "batch order": check_order,
    "batch size": check_batch_size,
    "future": check_future,
    "later actions": check_later_actions,
    "process": check_process,
}


def check_model(
    model: FrameSource,
    size: TrialSize,
    compute: Compute,
    before: ProcessState | None = None,
    on_error: Callable[[ContractError], object] = lambda error: None,
) -> dict[str, Outcome]:
    """Return the outcome of every check; stop if the first rollout fails.

    `before` is the process state before the model was created, to check its constructor too. `on_error` is
    called with each error that ended a rollout.
    """
    trial = Trial(model, size, compute, before)
    outcomes: dict[str, Outcome] = {}
    for name, check in CHECKS.items():
        try:
            outcomes[name] = check(trial)
        except ContractError as error:
            on_error(error)
            outcomes[name] = "FAILED", str(error)
            if name == "frames":
                break
    return outcomes


class Witness:
    """Wraps a model: records changes to its inputs, and each chunk with a copy."""

    def __init__(self, model: RolloutModel) -> None:
        self.name, self.frame_shape, self.max_context = model.name, model.frame_shape, model.max_context
        self.conditioning = conditioning_of(model)
        self.changed: list[str] = []
        self.chunks: list[tuple[Tensor, Tensor]] = []
        self._model = model

    def rollout(
        self, context: Tensor, actions: Tensor, *, seeds: Sequence[int], poses: Tensor | None = None
    ) -> Iterator[Tensor]:
        """Yield the chunks of the model's rollout."""
        inputs = Inputs(context=context, actions=actions, poses=poses)
        tensors = {name: tensor for name, tensor in vars(inputs).items() if tensor is not None}
        before = {name: tensor.clone() for name, tensor in tensors.items()}
        for chunk in start_rollout(self._model, inputs, seeds):
            self.chunks.append((chunk, chunk.clone()))
            yield chunk
        self.changed = [name for name, tensor in tensors.items() if not torch.equal(tensor, before[name])]
