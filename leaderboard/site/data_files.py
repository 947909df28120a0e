"""What the pages read: scripts that hand JSON to assets/data.js, as a page opened from a disk may read no other file."""

import base64
import dataclasses
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmark.results.bootstrap import BOOTSTRAP_SEED, NUM_RESAMPLES
from benchmark.results.result_file import Estimate
from leaderboard.checks.findings import Finding
from leaderboard.entry.folder import Entry
from leaderboard.film.scene import MAP, MEMORY
from leaderboard.site.standing import standings
from leaderboard.site.tables import Column, SiteTable, slug
from loopcraft.core.cli import one_line
from loopcraft.core.files import read_json
from loopcraft.core.seeding import generator


def script(name: str, value: Any) -> bytes:
    """A data file: a call that no text of an entry can leave, whatever it holds."""
    text = json.dumps(value, separators=(",", ":"), ensure_ascii=True, allow_nan=False)
    for char in "<>&":
        text = text.replace(char, f"\\u{ord(char):04x}")
    return f'Data.put("{name}",{text});\n'.encode("ascii")


def table_value(table: SiteTable, findings: Mapping[str, Sequence[Finding]]) -> dict[str, Any]:
    """A table as the first page needs it: its columns, and of every row what is shown, sorted and filtered."""
    result = table.result
    windows = [dataclasses.asdict(window) for window in result.protocol.windows]
    return {
        "slug": table.slug,
        "title": one_line(table.title),
        "protocol": result.protocol.id,
        "world": one_line(result.data.world_id or "unknown"),
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
    return {
        "id": column.id,
        "metric": column.card.name,
        "title": one_line(column.card.title),
        "unit": one_line(column.card.unit),
        "isHigherBetter": column.card.higher_is_better,
        "decimals": column.card.decimals,
        "hint": one_line(column.hint),
        "values": {
            window: [_numbers(rows.get(row)) for row in order] for window, rows in column.values.items()
        },
        "standings": {
            window: [standings(table, column, window).get(row) for row in order] for window in column.values
        },
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
        "isBound": model.role == "bound",
        "contextFrames": model.context_frames,
        "hasVideos": bool(entry.videos),
        "notes": [one_line(finding.what) for finding in findings if finding.level == "marked"],
    }


def entry_value(entry: Entry) -> dict[str, Any]:
    """What comparing needs of an entry: curves and the values of videos, by metric."""
    return {
        "metrics": {
            name: {
                "curve": dataclasses.asdict(metric.curve),
                "videos": metric.videos,
                "windows": {window: _numbers(estimate) for window, estimate in metric.windows.items()},
            }
            for name, metric in entry.result.headline.items()
        },
        "videos": {key: f"files/{entry.id}/videos/{path.name}" for key, path in entry.videos.items()},
    }


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
    draws = generator(BOOTSTRAP_SEED, "bootstrap", num_videos)
    counts = draws.multinomial(num_videos, np.full(num_videos, 1.0 / num_videos), size=NUM_RESAMPLES)
    assert counts.max() < 256
    return {
        "numResamples": NUM_RESAMPLES,
        "numVideos": num_videos,
        "counts": base64.b64encode(counts.astype(np.uint8).tobytes()).decode(),
    }
