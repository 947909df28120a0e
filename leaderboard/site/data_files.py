"""Data files of the pages: scripts that pass JSON to assets/data.js.

They are scripts because a page opened from disk cannot load anything else.
"""

import base64
import dataclasses
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmark.results.bootstrap import NUM_RESAMPLES, resampling_weights
from benchmark.results.estimates import Estimate
from benchmark.results.recall import age_curve
from benchmark.results.result_file import Result
from leaderboard.checks.findings import Finding
from leaderboard.entry.folder import Entry
from leaderboard.film.scene import MAP, MEMORY, WALK, scene_name
from leaderboard.site.columns import Column
from leaderboard.site.standing import standings
from leaderboard.site.tables import SiteTable, slug
from loopcraft.core.cli import one_line
from loopcraft.core.files import read_json


def script(name: str, value: Any) -> bytes:
    """Return a data file, a function call that no text in `value` can break out of."""
    text = json.dumps(value, separators=(",", ":"), ensure_ascii=True, allow_nan=False)
    for char in "<>&":
        text = text.replace(char, f"\\u{ord(char):04x}")
    return f'Data.put("{name}",{text});\n'.encode("ascii")


def table_value(table: SiteTable, findings: Mapping[str, Sequence[Finding]]) -> dict[str, Any]:
    """Return a table for the first page: its columns, and what is shown and searched of every row."""
    result = table.result
    windows = [dataclasses.asdict(window) for window in result.protocol.windows]
    return {
        "slug": table.slug,
        "title": one_line(table.title),
        "protocol": result.protocol.id,
        "testSet": None if table.test_set is None else table.test_set.name,
        "fingerprint": result.data.fingerprint,
        "numVideos": len(result.data.keys),
        "context": result.protocol.context,
        "horizon": result.protocol.horizon,
        "windows": windows,
        "columns": [_column_value(table, column) for column in table.columns],
        "rows": [_row_value(entry, findings.get(entry.id, ())) for entry in table.entries],
    }


def _column_value(table: SiteTable, column: Column) -> dict[str, Any]:
    order = [entry.id for entry in table.entries]
    standing = {window: standings(table, column, window) for window in column.values}
    return {
        "id": column.id,
        "title": one_line(column.title),
        "unit": one_line(column.unit),
        "isHigherBetter": column.is_higher_better,
        "decimals": column.decimals,
        "texts": [column.texts.get(row) for row in order] if column.texts else None,
        "isUsual": column.is_usual,
        "hint": one_line(column.hint),
        "values": {
            window: [_numbers(rows.get(row)) for row in order] for window, rows in column.values.items()
        },
        "standings": {window: [rows.get(row) for row in order] for window, rows in standing.items()},
    }


def _numbers(estimate: Estimate | None) -> list[float] | None:
    """Return [mean] or [mean, low, high]; None if there is no estimate."""
    return None if estimate is None else [estimate.mean, *(estimate.interval or ())]


def _row_value(entry: Entry, findings: Sequence[Finding]) -> dict[str, Any]:
    card, model = entry.card, entry.result.model
    return {
        "slug": slug(entry.id),
        "name": one_line(card.name if card else model.name),
        "version": one_line(card.model_version) if card else "not submitted",
        "authors": one_line(", ".join(card.authors)) if card else "",
        "date": card.date if card else "",
        "parameters": card.parameters if card else None,
        "tokens": card.tokens_per_step if card else None,
        "conditioning": one_line(card.conditioning) if card else "",
        "licence": one_line(card.licence) if card else "",
        "isReference": model.role == "bound",
        "contextFrames": model.context_frames,
        "notes": [one_line(finding.problem) for finding in findings if finding.level == "marked"],
    }


def entry_value(entry: Entry) -> dict[str, Any]:
    """Return an entry for the comparison page: curves and per-video values by metric, recall, consistency."""
    result = entry.result
    return {
        "metrics": {
            name: {"curve": dataclasses.asdict(metric.curve), "videos": metric.videos}
            for name, metric in result.headline.items()
        },
        "recall": {
            name: {"ages": _ages(result, name)} for name in (result.recall.metrics if result.recall else ())
        },
        "consistency": {
            name: {
                "withItself": _numbers(scores.with_itself.estimate),
                "withTruth": _numbers(scores.with_truth.estimate),
                "title": one_line(scores.card.title),
                "unit": one_line(scores.card.unit),
                "isHigherBetter": scores.card.higher_is_better,
            }
            for name, scores in result.consistency.items()
        },
        "videos": {key: f"files/{entry.id}/videos/{path.name}" for key, path in entry.videos.items()},
    }


def _ages(result: Result, metric: str) -> list[dict[str, Any]]:
    return [
        {
            "first": point.first,
            "last": point.last,
            "middle": round(point.middle, 2),
            "value": _numbers(point.estimate),
            "numVideos": point.num_videos,
        }
        for point in age_curve(result, metric)
    ]


def scenes_value(table: SiteTable, scenes: Mapping[str, Path]) -> list[dict[str, Any]]:
    """Return the scenes of a table: the addresses of their files, and the walks."""
    by_name = {scene_name(key): key for key in table.result.data.keys}
    return [
        {
            "key": by_name[name],
            "files": f"files/truth/{table.path}/{name}",
            "hasMemory": (folder / MEMORY).is_file(),
            "hasMap": (folder / MAP).is_file(),
            "walk": read_json(folder / WALK),
        }
        for name, folder in scenes.items()
        if name in by_name
    ]


def resamples_value(num_videos: int) -> dict[str, Any]:
    """Return how often each bootstrap resample draws each video, as base64 with one byte per count."""
    counts = np.rint(resampling_weights(num_videos) * num_videos)
    assert counts.max() < 256
    return {
        "numResamples": NUM_RESAMPLES,
        "numVideos": num_videos,
        "counts": base64.b64encode(counts.astype(np.uint8).tobytes()).decode(),
    }
