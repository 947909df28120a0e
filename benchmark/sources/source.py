"""Choose what to score, a model or a folder of finished videos, and how results name it."""

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
from benchmark.sources.loading import factory_module, load_model, module_sha256, parse_model_args
from benchmark.sources.predictions import Predictions
from loopcraft.companions.companion import MEMORY_TOLD
from loopcraft.core.errors import UserError

_LISTED = 5
"""Maximum unusable videos to list in an error message."""


@dataclass(frozen=True, kw_only=True)
class ScoredSource:
    """The source of the scored frames; a run can be resumed only with the same `spec` and `arguments`."""

    model: FrameSource
    spec: str
    arguments: str
    code_sha256: str | None = None
    """SHA-256 of the file with the model's class or factory; None for our own models and for videos."""

    def close(self) -> None:
        """End the model's separate process, if any; the next rollout would start a new one."""
        if isinstance(self.model, IsolatedModel):
            self.model.close()


@dataclass(frozen=True, kw_only=True)
class SourceFlags:
    """What to score."""

    model: str | None = None
    """A registered model, package.module:factory, or the http://HOST:PORT of benchmark.serve."""
    model_args: str = "{}"
    """A JSON object of arguments for the model's factory."""
    checkpoint: str | None = None
    """Short for "checkpoint" in --model-args: "published", a folder of trained weights, or hf://ORG/NAME."""
    predictions: Path | None = None
    """Instead of a model: a folder with the frames of the horizon in KEY.mp4, KEY.npz or KEY/*.png."""
    name: str | None = None
    """Name in tables of the model that made the predictions."""
    with_poses: bool = False
    """The model that made the predictions was given camera poses as well as actions."""
    allow_partial: bool = False
    """Score predictions even if some are missing or of the wrong length; the result lists those."""

    @property
    def arguments(self) -> Mapping[str, Any]:
        """The arguments from --model-args and --checkpoint; raises `UserError` if both name a checkpoint."""
        arguments = parse_model_args(self.model_args)
        if self.checkpoint is not None:
            if "checkpoint" in arguments:
                raise UserError("--checkpoint and --model-args both name a checkpoint: leave one out")
            arguments["checkpoint"] = self.checkpoint
        return arguments


@dataclass(frozen=True, kw_only=True)
class IsolationFlags:
    """Whether the model runs in a separate process; by default only a package.module:factory does."""

    isolate: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False
    """Run the model in a separate process, where a crash fails one video and does not end the run."""
    no_isolate: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False
    """Run the model in the benchmark's process, as registered models do."""
    timeout: float | None = None
    """Maximum seconds per chunk; runs the model in a separate process."""
    memory_limit: float | None = None
    """Maximum memory in GB (without a GPU's); runs the model in a separate process. Linux only."""

    @property
    def wanted(self) -> bool | None:
        """Whether to use a separate process; None if the spec decides. Raises `UserError` for bad flags."""
        is_asked_for = self.isolate or self.bounds != Bounds()
        if self.no_isolate and is_asked_for:
            raise UserError("--no-isolate contradicts --isolate, --timeout and --memory-limit: leave it out")
        if any(bound is not None and not bound > 0 for bound in (self.timeout, self.memory_limit)):
            raise UserError("--timeout and --memory-limit must be greater than 0")
        if self.memory_limit is not None and not MEMORY_TOLD:
            raise UserError("--memory-limit: this system does not report how much memory a process uses")
        return True if is_asked_for else False if self.no_isolate else None

    @property
    def bounds(self) -> Bounds:
        """The limits from --timeout and --memory-limit."""
        return Bounds(timeout_s=self.timeout, memory_gb=self.memory_limit)


def load(
    spec: str, arguments: Mapping[str, Any], world: str | None, compute: Compute, isolation: IsolationFlags
) -> FrameSource:
    """Load the model here or in a separate process, which `ScoredSource.close` ends; raises `UserError`."""
    wanted = isolation.wanted
    is_served = spec.startswith("http://")
    if is_served and wanted:
        raise UserError(
            f"--model {spec} runs elsewhere already: leave out --isolate, --timeout and --memory-limit "
            """(to limit the seconds per chunk: --model-args '{"timeout_s": 600}')"""
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
    """Return the model or folder that the flags name; raises `UserError` unless they name exactly one."""
    model, predictions = flags.model, flags.predictions
    if (model is None) == (predictions is None):
        raise UserError("give either --model (to generate) or --predictions (a folder of finished videos)")
    if model is not None:
        if flags.with_poses:
            raise UserError("--with-poses is for --predictions: a model declares poses in its `conditioning`")
        loaded = load(model, flags.arguments, episodes.world_id, compute, isolation)
        if isinstance(loaded, (IsolatedModel, HttpModel)):
            code = loaded.code_sha256
        else:
            code = module_sha256(factory_module(model))
        arguments = json.dumps(flags.arguments, sort_keys=True)
        return ScoredSource(model=loaded, spec=model, arguments=arguments, code_sha256=code)
    assert predictions is not None
    if isolation.wanted:
        raise UserError("--isolate, --timeout and --memory-limit are for --model: --predictions runs none")
    if flags.name is None:
        raise UserError("--predictions needs --name: the name in tables of the model that made the videos")
    videos = Predictions(predictions, flags.name, ACTIONS_AND_POSES if flags.with_poses else ACTIONS)
    identity = json.dumps({"sha256": videos.fingerprint(episodes.keys)})
    return ScoredSource(model=videos, spec="predictions", arguments=identity)


def require_complete(model: FrameSource, protocol: EvaluationProtocol, keys: Sequence[str]) -> None:
    """Raise `UserError` listing the videos that are missing or unusable in a folder of predictions."""
    if not isinstance(model, Predictions):
        return
    problems = [problem for key in keys if (problem := model.problem(key, protocol))]
    if problems:
        listed = "\n  ".join([*problems[:_LISTED], *(["..."] if len(problems) > _LISTED else [])])
        raise UserError(
            f"{len(problems)} of {len(keys)} videos cannot be scored; add them, or leave them out with "
            f"--allow-partial:\n  {listed}"
        )
