"""What the pages read: scripts that hand JSON to assets/data.js.

A page that is opened from a disk may read nothing else.
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
from leaderboard.film.scene import MAP, MEMORY
from leaderboard.site.columns import Column
from leaderboard.site.standing import standings
from leaderboard.site.tables import SiteTable, slug
from loopcraft.core.cli import one_line
from loopcraft.core.files import read_json


def script(name: str, value: Any) -> bytes:
    """A data file: a call that no text of an entry can leave, whatever it holds."""
    text = json.dumps(value, separators=(",", ":"), ensure_ascii=True, allow_nan=False)
    for char in "<>&":
        text = text.replace(char, f"\\u{ord(char):04x}")
    return f'Data.put("{name}",{text});\n'.encode("ascii")


def table_value(table: SiteTable, findings: Mapping[str, Sequence[Finding]]) -> dict[str, Any]:
    """A table as the first page needs it: its columns, and of every row what is shown and searched."""
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
        "standings": {window: [found.get(row) for row in order] for window, found in standing.items()},
    }


def _numbers(estimate: Estimate | None) -> list[float] | None:
    """[mean] or [mean, low, high]; None where a row has no number."""
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
        "notes": [one_line(finding.what) for finding in findings if finding.level == "marked"],
    }


def entry_value(entry: Entry) -> dict[str, Any]:
    """What comparing needs of an entry: curves and values of videos by metric, and recall."""
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
                "withItself": _numbers(found.with_itself.estimate),
                "withTruth": _numbers(found.with_truth.estimate),
                "title": one_line(found.card.title),
                "unit": one_line(found.card.unit),
                "isHigherBetter": found.card.higher_is_better,
            }
            for name, found in result.consistency.items()
        },
        "videos": {key: f"files/{entry.id}/videos/{path.name}" for key, path in entry.videos.items()},
    }


def _ages(result: Result, metric: str) -> list[dict[str, Any]]:
    """The curve of a metric against age, a point a bin."""
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
    """The scenes of a table: addresses of their clips, and the walk."""
    by_name = {key.replace("/", "-"): key for key in table.result.data.keys}
    return [
        {
            "key": by_name[name],
            "files": f"files/truth/{table.place}/{name}",
            "hasMemory": (folder / MEMORY).is_file(),
            "hasMap": (folder / MAP).is_file(),
            "walk": read_json(folder / "walk.json"),
        }
        for name, folder in scenes.items()
        if name in by_name
    ]


def resamples_value(num_videos: int) -> dict[str, Any]:
    """The bootstrap's draws for that many videos: how often each resample has each video, a byte each."""
    counts = np.rint(resampling_weights(num_videos) * num_videos)
    assert counts.max() < 256
    return {
        "numResamples": NUM_RESAMPLES,
        "numVideos": num_videos,
        "counts": base64.b64encode(counts.astype(np.uint8).tobytes()).decode(),
    }
