"""Handmade leaderboard entries: results with intervals computed from their videos, cards, videos."""

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np

from benchmark.contract.protocol import LOOPCRAFT_MINI
from benchmark.results.estimates import MetricCard, estimate, measured, numbers
from benchmark.results.recall_schema import Consistency, PixelCounts, Recall, RecallScores, Steering
from benchmark.results.result_file import (
    SUM,
    Curve,
    Data,
    MetricResult,
    Model,
    Provenance,
    Result,
    write_result,
)
from leaderboard.entry.card import Card
from leaderboard.entry.folder import make_entry_id, video_name
from leaderboard.film.clips import write_clip
from loopcraft.core.checksums import json_sha256
from loopcraft.core.seeding import generator
from loopcraft.dataset.layout import episode_key
from loopcraft.test_sets.known import get_test_set
from tests.fakes.benchmark_data import make_frames

TEST_SET = get_test_set("loopcraft-mini/plaza-v1")
KEYS = tuple(episode_key(index) for index in range(TEST_SET.num_episodes))
METRICS = {
    "psnr": MetricCard(
        name="psnr",
        version=1,
        title="PSNR",
        unit="dB",
        higher_is_better=True,
        decimals=2,
        kind="paired",
        weights={},
    ),
    "lpips": MetricCard(
        name="lpips",
        version=1,
        title="LPIPS",
        unit="",
        higher_is_better=False,
        decimals=4,
        kind="paired",
        weights={"net": "ab" * 32},
    ),
}
AGES = ((1, 64), (65, 128), (129, 256))


def sound_result(
    name: str = "dreamer",
    *,
    skill: float = 0.0,
    role: str = "model",
    fingerprint: str = str(TEST_SET.fingerprint),
    keys: tuple[str, ...] = KEYS,
    recall: bool = True,
) -> Result:
    """A result that follows from its videos, which differ in difficulty for all models; `skill` is in dB."""
    difficulty = generator(0, "difficulty").normal(0.0, 2.0, len(keys))
    noise = generator(0, "own", *map(ord, name)).normal(0.0, 0.5, (len(keys), LOOPCRAFT_MINI.horizon))
    psnr = 18.0 + skill + difficulty[:, None] + noise
    return Result(
        protocol=LOOPCRAFT_MINI,
        protocol_hash=LOOPCRAFT_MINI.hash,
        data=Data(fingerprint=fingerprint, world_id=TEST_SET.world, frame_shape=(3, 64, 64), keys=keys),
        model=Model(
            name=name,
            spec=name,
            arguments="{}",
            role=role,  # type: ignore[arg-type]
            source="rollout",
            context_frames=64,
            precision="float32",
            checkpoint_sha256="cd" * 32 if role == "model" else None,
        ),
        metrics={
            "psnr": metric_result(METRICS["psnr"], psnr),
            "lpips": metric_result(METRICS["lpips"], 0.8 - psnr / 60.0),
        },
        absent={},
        failed={},
        provenance=Provenance(
            seed=0, code="0.1.0", packages={"numpy": "2"}, hardware="a processor", seconds=1.0
        ),
        recall=recall_of(psnr[:, :1].repeat(6, axis=1), skill) if recall else None,
        steering=steering_of(psnr[:, 0]) if recall else None,
        consistency=consistency_of(psnr) if recall else {},
    )


def metric_result(card: MetricCard, scores: np.ndarray) -> MetricResult:
    """A metric's result from its scores (videos, frames)."""
    videos = {w.name: np.float32(scores[:, w.frames].mean(axis=1)) for w in LOOPCRAFT_MINI.windows}
    mean = scores.mean(axis=0)
    return MetricResult(
        card=card,
        windows={name: estimate(values.astype(np.float64)) for name, values in videos.items()},
        curve=Curve(step=1, mean=numbers(mean), low=numbers(mean - 0.3), high=numbers(mean + 0.3)),
        videos={name: numbers(values) for name, values in videos.items()},
    )


def recall_of(values: np.ndarray, skill: float) -> Recall:
    """Recall in which returned pixels beat never-shown ones by `skill`, less so with age."""
    count = len(values)
    never, returned = values[:, 0] - 2.0, values[:, 1] - 2.0 + skill
    scores = RecallScores(
        card=METRICS["psnr"],
        never_shown=measured(never),
        in_sight=measured(values[:, 2]),
        returned=measured(returned),
        by_age=tuple(measured(returned - 0.3 * index) for index in range(len(AGES))),
    )
    pixels = PixelCounts(
        sky=(10,) * count,
        never_shown=(20,) * count,
        in_sight=(5,) * count,
        by_age=tuple((30,) * count for _ in AGES),
    )
    return Recall(ages=AGES, pixels=pixels, metrics={"psnr": scores})


def steering_of(values: np.ndarray) -> Steering:
    """Steering of a model that follows nine of ten turns."""
    share = measured(0.9 + 0.001 * values)
    names = [entry.name for entry in dataclasses.fields(Steering)]
    return Steering(**dict.fromkeys(names, share))


def consistency_of(psnr: np.ndarray) -> dict[str, Consistency]:
    """Consistency of a model that agrees a little more with itself than with the truth."""
    video = psnr.mean(axis=1)
    return {
        "psnr": Consistency(
            card=METRICS["psnr"],
            with_itself=measured(video + 1.0),
            with_truth=measured(video),
            with_context=measured(video - 0.5),
            possible=measured(video + 5.0),
        )
    }


def make_card(name: str = "Dreamer", **changes: Any) -> Card:
    """A valid card."""
    card = Card(
        name=name,
        model_version="base",
        authors=("Ada Lovelace",),
        date="2026-11-26",
        licence="MIT",
        description="It dreams.",
        training_data="Walks.",
        conditioning="actions",
        parameters=4_000_000,
        tokens_per_step=1280,
        links={"paper": "https://example.org/paper"},
        reproduce=("python -m benchmark.run --model dreamer --data test --out run",),
    )
    return dataclasses.replace(card, **changes)


def write_card(path: Path, card: Card) -> None:
    """Write the card as an author would by hand."""
    path.write_text(json.dumps(dataclasses.asdict(card)))


def write_entry(
    root: Path, result: Result, card: Card | None = None, *, name: str | None = None, videos: int = 0
) -> Path:
    """Write an entry's folder below `root`."""
    folder = root / make_entry_id(result, name or result.model.name)
    folder.mkdir(parents=True)
    write_result(folder / "result.json", result)
    write_card(folder / "card.json", card or make_card(result.model.name))
    for video, key in enumerate(result.data.keys[:videos]):
        frames = make_frames(video, LOOPCRAFT_MINI.horizon, 64)
        write_clip(folder / "videos" / video_name(key), frames, 100_000)
    return folder


def change_json(path: Path, field: str, value: Any, *, sealed: bool = True) -> None:
    """Set a field of a JSON file, as in "metrics.psnr.windows.long.mean"; if `sealed`, mend the checksum."""
    document = json.loads(path.read_text())
    *parents, last = field.split(".")
    inner = document
    for name in parents:
        inner = inner[int(name)] if isinstance(inner, list) else inner[name]
    inner[int(last) if isinstance(inner, list) else last] = value
    if sealed and document.pop(SUM, None) is not None:
        document[SUM] = json_sha256(document)
    path.write_text(json.dumps(document))
