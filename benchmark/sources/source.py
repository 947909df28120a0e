"""The ways in (a model that generates, or a folder of finished videos) and how results name each."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

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
class Contestant:
    """Who is scored; `spec` and `arguments` are what a second run must repeat to be the same."""

    model: FrameSource
    spec: str
    arguments: str


def find_contestant(
    *,
    model: str | None,
    model_args: str,
    predictions: Path | None,
    name: str | None,
    with_poses: bool,
    episodes: Episodes,
) -> Contestant:
    """The model, or the folder of finished videos called `name`; raises `UserError` unless it is one."""
    if (model is None) == (predictions is None):
        raise UserError("give either --model (who generates) or --predictions (a folder of finished videos)")
    if model is not None:
        if with_poses:
            raise UserError("--with-poses is for --predictions: a model says so itself, by `conditioning`")
        arguments = json.dumps(parse_model_args(model_args), sort_keys=True)
        return Contestant(
            model=load_model(model, model_args, episodes.world_id), spec=model, arguments=arguments
        )
    assert predictions is not None
    if name is None:
        raise UserError("--predictions needs --name: what tables call the model that made the videos")
    videos = Predictions(predictions, name, ACTIONS_AND_POSES if with_poses else ACTIONS)
    arguments = json.dumps({"sha256": videos.fingerprint(episodes.keys)})
    return Contestant(model=videos, spec="predictions", arguments=arguments)


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
