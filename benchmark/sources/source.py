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
from benchmark.sources.loading import load_model
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


def find_source(
    *,
    model: str | None,
    arguments: Mapping[str, Any],
    predictions: Path | None,
    name: str | None,
    with_poses: bool,
    episodes: Episodes,
) -> ScoredSource:
    """The model, or the folder of finished videos called `name`; raises `UserError` unless it is one."""
    if (model is None) == (predictions is None):
        raise UserError("give either --model (who generates) or --predictions (a folder of finished videos)")
    if model is not None:
        if with_poses:
            raise UserError("--with-poses is for --predictions: a model says so itself, by `conditioning`")
        return ScoredSource(
            model=load_model(model, arguments, episodes.world_id),
            spec=model,
            arguments=json.dumps(arguments, sort_keys=True),
        )
    assert predictions is not None
    if name is None:
        raise UserError("--predictions needs --name: what tables call the model that made the videos")
    videos = Predictions(predictions, name, ACTIONS_AND_POSES if with_poses else ACTIONS)
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
