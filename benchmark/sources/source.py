"""The ways in (a model that generates, or a folder of finished videos) and how results name each."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import tyro

from benchmark.contract.compute import Compute
from benchmark.contract.conditioning import ACTIONS, ACTIONS_AND_POSES
from benchmark.contract.data import Episodes
from benchmark.contract.model import FrameSource
from benchmark.contract.protocol import EvaluationProtocol
from benchmark.sources.http_client import HttpModel
from benchmark.sources.isolated import Bounds, IsolatedModel, NoRolloutError
from benchmark.sources.loading import code_of, load_model, module_of, parse_model_args
from benchmark.sources.predictions import Predictions
from loopcraft.companions.companion import MEMORY_TOLD
from loopcraft.core.errors import UserError

_LISTED = 5
"""Unusable videos that an error message names."""


@dataclass(frozen=True, kw_only=True)
class ScoredSource:
    """Who is scored; `spec` and `arguments` are what a second run must repeat to be the same."""

    model: FrameSource
    spec: str
    arguments: str
    code_sha256: str | None = None
    """Of the file with the model's class or factory; None of the project's own models, and of videos."""

    def close(self) -> None:
        """End the process that the model may have of its own; the next rollout would start another."""
        if isinstance(self.model, IsolatedModel):
            self.model.close()


@dataclass(frozen=True, kw_only=True)
class SourceFlags:
    """Who is scored."""

    model: str | None = None
    """A registered model, package.module:factory, or the http://HOST:PORT of benchmark.serve."""
    model_args: str = "{}"
    """A JSON object of arguments for the model's factory."""
    checkpoint: str | None = None
    """Short for "checkpoint" among --model-args: "published", a folder of trained weights, or hf://ORG/NAME."""
    predictions: Path | None = None
    """Instead of a model: a folder with the frames of the horizon in KEY.mp4, KEY.npz or KEY/*.png."""
    name: str | None = None
    """What tables call the model that made the predictions."""
    with_poses: bool = False
    """The model that made the predictions was given camera poses too, not the actions alone."""
    allow_partial: bool = False
    """Score predictions even if some are missing or of another length; the result names those."""

    @property
    def arguments(self) -> Mapping[str, Any]:
        """--model-args with --checkpoint among them; raises `UserError` if both name one."""
        arguments = parse_model_args(self.model_args)
        if self.checkpoint is not None:
            if "checkpoint" in arguments:
                raise UserError("--checkpoint and --model-args both name a checkpoint: leave one out")
            arguments["checkpoint"] = self.checkpoint
        return arguments


@dataclass(frozen=True, kw_only=True)
class IsolationFlags:
    """A process of its own for the model: by default a package.module:factory gets one, others do not."""

    isolate: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False
    """Run the model in a process of its own: what it does to that process fails a video, and ends no run."""
    no_isolate: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False
    """Run the model in the process of the benchmark, as registered models are."""
    timeout: float | None = None
    """Seconds that the model may take over a chunk; gives it a process of its own."""
    memory_limit: float | None = None
    """GB of memory (not a GPU's) that the model may take; gives it a process of its own. Linux only."""

    @property
    def wanted(self) -> bool | None:
        """Whether the model is to have a process of its own; None if its kind decides.

        Raises `UserError` for flags that do not fit.
        """
        if self.no_isolate and (self.isolate or self.bounds != Bounds()):
            raise UserError("--no-isolate: --isolate, --timeout and --memory-limit ask for the contrary")
        if any(bound is not None and not bound > 0 for bound in (self.timeout, self.memory_limit)):
            raise UserError("--timeout and --memory-limit must be more than 0")
        if self.memory_limit is not None and not MEMORY_TOLD:
            raise UserError("--memory-limit: this system does not tell how much memory a process takes")
        return True if self.isolate or self.bounds != Bounds() else False if self.no_isolate else None

    @property
    def bounds(self) -> Bounds:
        """What the model may take."""
        return Bounds(timeout_s=self.timeout, memory_gb=self.memory_limit)


def load(
    spec: str,
    arguments: Mapping[str, Any],
    world: str | None,
    compute: Compute,
    isolation: IsolationFlags,
) -> FrameSource:
    """The model, in this process or in one of its own; close a `ScoredSource` that holds it.

    Raises `UserError` for flags that do not fit, and where it cannot be loaded.
    """
    wanted = isolation.wanted
    is_served = spec.startswith("http://")
    if is_served and wanted:
        raise UserError(
            f"--model {spec} runs elsewhere already: leave out --isolate, --timeout and --memory-limit "
            """(how long it may take over a chunk: --model-args '{"timeout_s": 600}')"""
        )
    if is_served or not (":" in spec if wanted is None else wanted):
        return load_model(spec, arguments, world)
    try:
        return IsolatedModel(spec, arguments, world=world, compute=compute, bounds=isolation.bounds)
    except NoRolloutError:
        if wanted:
            raise
        return load_model(spec, arguments, world)


def find_source(
    flags: SourceFlags, isolation: IsolationFlags, episodes: Episodes, compute: Compute
) -> ScoredSource:
    """The model, or the folder of finished videos; raises `UserError` unless it is one of the two."""
    model, predictions = flags.model, flags.predictions
    if (model is None) == (predictions is None):
        raise UserError("give either --model (who generates) or --predictions (a folder of finished videos)")
    if model is not None:
        if flags.with_poses:
            raise UserError("--with-poses is for --predictions: a model says so itself, by `conditioning`")
        loaded = load(model, flags.arguments, episodes.world_id, compute, isolation)
        if isinstance(loaded, (IsolatedModel, HttpModel)):
            code = loaded.code_sha256
        else:
            code = code_of(module_of(model))
        return ScoredSource(
            model=loaded,
            spec=model,
            arguments=json.dumps(flags.arguments, sort_keys=True),
            code_sha256=code,
        )
    assert predictions is not None
    if isolation.wanted:
        raise UserError("--isolate, --timeout and --memory-limit are for --model: --predictions runs none")
    if flags.name is None:
        raise UserError("--predictions needs --name: what tables call the model that made the videos")
    videos = Predictions(predictions, flags.name, ACTIONS_AND_POSES if flags.with_poses else ACTIONS)
    identity = json.dumps({"sha256": videos.fingerprint(episodes.keys)})
    return ScoredSource(model=videos, spec="predictions", arguments=identity)


def require_whole(model: FrameSource, protocol: EvaluationProtocol, keys: Sequence[str]) -> None:
    """Raise `UserError` with a list of the videos that a folder of predictions lacks."""
    if not isinstance(model, Predictions):
        return
    problems = [problem for key in keys if (problem := model.problem(key, protocol))]
    if problems:
        listed = "\n  ".join([*problems[:_LISTED], *(["..."] if len(problems) > _LISTED else [])])
        raise UserError(
            f"{len(problems)} of {len(keys)} videos cannot be scored; add them, or leave them out with "
            f"--allow-partial:\n  {listed}"
        )
