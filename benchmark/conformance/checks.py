"""The clauses of the model contract, each tried on made-up videos; `check.py` is the command."""

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
_ELSEWHERE: Outcome = ("note", "not looked at: the model runs in another process")


@dataclass(frozen=True, kw_only=True)
class TrialSize:
    """On how much a model is tried: frames of context and horizon, and the side of frames if it takes any.

    `tolerance` is by how many levels frames may differ that should be equal: the rounding of large sums may
    depend on the batch size. `causal` forbids that frames depend on the actions after them.
    """

    context: int = 64
    horizon: int = 48
    side: int = 64
    tolerance: int = 1
    causal: bool = False


def process_state() -> ProcessState:
    """What all code of a process shares and a model might change, by what it is called."""
    return {
        "the working directory": str(Path.cwd()),
        "torch's default type": torch.get_default_dtype(),
        "torch's default device": str(torch.get_default_device()),
        "numpy's handling of errors": np.geterr(),
        "what Ctrl-C does": signal.getsignal(signal.SIGINT),
    }


class Trial:
    """A model and the made-up videos on which it is tried."""

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
        """The frames that the model generates, checked and quantised as in a run."""
        blocks = rollout_blocks(
            model or self.model, episodes or self.episodes, self.protocol, keys, seed=0, compute=self.compute
        )
        return np.concatenate(list(blocks), axis=1)

    @cached_property
    def reference(self) -> Frames:
        """Both videos in one batch: what the other rollouts are compared with."""
        return self.play()

    def difference(self, other: Frames, upto: int | None = None) -> str | None:
        """Where `other` differs first from the reference within `upto` frames; None if they agree."""
        levels = np.abs(self.reference[:, :upto].astype(int) - other[:, :upto]).max(axis=(0, 2, 3, 4))
        wrong = np.flatnonzero(levels > self.size.tolerance)
        return f"first at frame {wrong[0]}, by {levels[wrong[0]]} levels" if len(wrong) else None


def check_frames(trial: Trial) -> Outcome:
    """The first rollout: any breach raises `ContractError`."""
    return "ok", f"{trial.reference.shape[1]} of the promised shape, type and range"


def check_levels(trial: Trial) -> Outcome:
    """Frames use the range of their type: those of the context do."""
    if trial.reference.max() <= 1:
        return "FAILED", f"frames hold {TOO_DARK}"
    return "ok", f"up to {trial.reference.max()} of 255"


def check_inputs(trial: Trial) -> Outcome:
    """What the model was given is left as it was."""
    if not isinstance(trial.model, RolloutModel):
        return "ok", "none: frames are looked up by the video's key"
    if isinstance(trial.model, RemoteModel):
        return _ELSEWHERE
    witness = Witness(trial.model)
    trial.play(model=witness)
    if witness.changed:
        return "FAILED", f"the model wrote into its {' and '.join(witness.changed)}: clone before changing"
    return "ok", "left as they were"


def check_memory(trial: Trial) -> Outcome:
    """What is collected is what was yielded, whatever the model does to its memory later."""
    if not isinstance(trial.model, RolloutModel):
        return "ok", "none of the model's is used: frames are looked up by the video's key"
    if isinstance(trial.model, RemoteModel):
        return _ELSEWHERE
    witness = Witness(trial.model)
    collected = trial.play(model=witness)
    yielded = np.concatenate([to_array(quantise(copy)) for _, copy in witness.chunks], axis=1)
    differs = np.flatnonzero((collected != yielded).any(axis=(0, 2, 3, 4)))
    if len(differs):
        return (
            "FAILED",
            f"frame {differs[0]} changed after it was yielded: leave alone what is out",
        )
    if not all(torch.equal(chunk, copy) for chunk, copy in witness.chunks):
        return (
            "note",
            "frames are overwritten after they were yielded: the benchmark copies each at once",
        )
    return "ok", "frames stay as they were yielded"


def check_repeat(trial: Trial) -> Outcome:
    """The same call gives the same frames."""
    where = trial.difference(trial.play())
    if where:
        return "FAILED", f"a second rollout with the same seeds differs, {where}: draw from `seeds` alone"
    return "ok", "same frames"


def check_order(trial: Trial) -> Outcome:
    """The batch in another order gives the same frames in that order."""
    where = trial.difference(trial.play(trial.episodes.keys[::-1])[::-1])
    if where:
        return "FAILED", f"frames depend on the video's place in the batch, {where}"
    return "ok", "does not matter"


def check_batch_size(trial: Trial) -> Outcome:
    """A video alone gives the same frames as in company."""
    where = trial.difference(np.concatenate([trial.play([key]) for key in trial.episodes.keys]))
    if where:
        return "FAILED", f"frames depend on the batch size, {where}"
    return "ok", "does not matter"


def check_future(trial: Trial) -> Outcome:
    """Other true frames after the context leave the generated ones as they are; actions and poses stay."""
    other = dataclasses.replace(trial.episodes, future_starts=trial.size.context, future=1)
    where = trial.difference(trial.play(episodes=other))
    if where is None:
        return "ok", "the true frames to come make no difference"
    if role_of(trial.model) == "bound":
        return "note", "the model is shown the answer, as a reference may be; tables will not rank it"
    return "FAILED", f"frames follow the true frames to come, {where}: the model sees the answer"


def check_later_actions(trial: Trial) -> Outcome:
    """Whether the first half of the horizon depends on the actions of the second."""
    half = trial.size.horizon // 2
    other = dataclasses.replace(trial.episodes, later_starts=trial.size.context + half, later=1)
    where = trial.difference(trial.play(episodes=other), upto=half)
    if where is None:
        return "ok", "make no difference to the frames before them"
    return "FAILED" if trial.size.causal else "note", f"frames depend on actions after them, {where}"


def check_process(trial: Trial) -> Outcome:
    """What the model shares with the benchmark is as it was before it was played, or before it was made."""
    if isinstance(trial.model, RemoteModel):
        return _ELSEWHERE
    after = process_state()
    changed = [f"{what} to {after[what]}" for what in after if after[what] != trial.before[what]]
    if changed:
        return "FAILED", f"the model changed {', '.join(changed)}: put back what other code relies on"
    return "ok", "working directory, defaults and signals are as they were"


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
    tell: Callable[[ContractError], object] = lambda error: None,
) -> dict[str, Outcome]:
    """The outcome of every check; a model that breaks off its first rollout gets no further.

    `before` is the state of the process before the model was made, if its making is to be checked too. `tell`
    is given what broke off a rollout.
    """
    trial = Trial(model, size, compute, before)
    outcomes: dict[str, Outcome] = {}
    for name, check in CHECKS.items():
        try:
            outcomes[name] = check(trial)
        except ContractError as error:
            tell(error)
            outcomes[name] = "FAILED", str(error)
            if name == "frames":
                break
    return outcomes


class Witness:
    """Stands before a model, sees what it does to its inputs, and keeps each chunk beside a copy."""

    def __init__(self, model: RolloutModel) -> None:
        self.name, self.frame_shape, self.max_context = model.name, model.frame_shape, model.max_context
        self.conditioning = conditioning_of(model)
        self.changed: list[str] = []
        self.chunks: list[tuple[Tensor, Tensor]] = []
        self._model = model

    def rollout(
        self, context: Tensor, actions: Tensor, *, seeds: Sequence[int], poses: Tensor | None = None
    ) -> Iterator[Tensor]:
        """The model's own rollout."""
        inputs = Inputs(context=context, actions=actions, poses=poses)
        given = {name: tensor for name, tensor in vars(inputs).items() if tensor is not None}
        before = {name: tensor.clone() for name, tensor in given.items()}
        for chunk in start_rollout(self._model, inputs, seeds):
            self.chunks.append((chunk, chunk.clone()))
            yield chunk
        self.changed = [name for name, tensor in given.items() if not torch.equal(tensor, before[name])]
