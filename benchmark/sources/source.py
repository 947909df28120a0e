"""The ways in (a model that generates, or a folder of finished videos) and how results name each."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmark.contract.conditioning import ACTIONS, ACTIONS_AND_POSES
from benchmark.contract.data import Episodes
from benchmark.contract.model import FrameSource
from benchmark.contract.protocol import EvaluationProtocol
from benchmark.sources.loading import load_model, parse_model_args
from benchmark.sources.predictions import Predictions
from loopcraft.core.errors import UserError

_LISTED = 5
"""Unusable videos that an error message names."""


@dataclass(frozen=True, kw_only=True)
class ScoredSource:
    """Who is scored; `spec` and `arguments` are what a second run must repeat to be the same."""

    model: FrameSource
    spec: str
    arguments: str


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


def find_source(flags: SourceFlags, episodes: Episodes) -> ScoredSource:
    """The model, or the folder of finished videos; raises `UserError` unless it is one of the two."""
    model, predictions = flags.model, flags.predictions
    if (model is None) == (predictions is None):
        raise UserError("give either --model (who generates) or --predictions (a folder of finished videos)")
    if model is not None:
        if flags.with_poses:
            raise UserError("--with-poses is for --predictions: a model says so itself, by `conditioning`")
        return ScoredSource(
            model=load_model(model, flags.arguments, episodes.world_id),
            spec=model,
            arguments=json.dumps(flags.arguments, sort_keys=True),
        )
    assert predictions is not None
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
