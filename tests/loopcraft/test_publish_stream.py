"""Streaming a published set with `datasets`, configured by the client's own environment variables."""

import base64
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from loopcraft.dataset import open_dataset
from loopcraft.generate import generate
from tests.fakes import hub as fake_hub
from tests.fakes import hub_state, nursery
from tests.fakes.world import FakeWorld, recipe

STREAM = """
import base64, json
from datasets import Video, load_dataset
from loopcraft.dataset import open_dataset
rows = load_dataset("lab/set", streaming=True)["val"]
kind = type(rows.features["video"]).__name__
rows = list(rows.cast_column("video", Video(decode=False)))
tiny = load_dataset("lab/set", "tiny", split="val", streaming=True)
print(json.dumps({
    "kind": kind,
    "videos": {row["key"]: base64.b64encode(row["video"]["bytes"]).decode() for row in rows},
    "states": {row["key"]: row["states"] for row in rows},
    "seeds": {row["key"]: row["world_seed"] for row in rows},
    "fingerprint": open_dataset("hf://lab/set").fingerprint,
    "tiny": [row["key"] for row in tiny.select_columns("key")],
}))
"""


def test_datasets_streams_what_was_published(tmp_path: Path) -> None:
    pytest.importorskip("datasets")
    root = tmp_path / "val"
    generate(root, recipe("val", 5, candidates=6), make_world=FakeWorld)
    with fake_hub.serving() as hub:
        own = {"HF_ENDPOINT": hub.url, "HF_TOKEN": hub_state.WRITER, "HF_HOME": str(tmp_path / "hf")}
        quiet = {"HF_HUB_DISABLE_XET": "1", "HF_HUB_DISABLE_TELEMETRY": "1"}
        environment = os.environ | own | quiet
        command = [str(root), "--repo", "lab/set", "--shard-mb", "0.01"]
        published = nursery.start(tmp_path, "loopcraft.publish", *command, **own, **quiet)
        assert published.wait() == 0, published.err
        result = subprocess.run(
            [sys.executable, "-c", STREAM], env=environment, capture_output=True, text=True, timeout=120
        )
        assert result.returncode == 0, result.stderr
        assert hub_state.WRITER not in published.out + published.err + result.stdout + result.stderr
    read = json.loads(result.stdout)
    dataset = open_dataset(root)
    assert read["kind"] == "Video"
    assert list(read["videos"]) == list(dataset.keys)
    assert read["tiny"] == list(dataset.keys[:4])
    assert read["fingerprint"] == dataset.fingerprint
    for key in dataset.keys:
        assert base64.b64decode(read["videos"][key]) == dataset.video_path(key).read_bytes()
        np.testing.assert_array_equal(np.array(read["states"][key], np.float32), dataset.states(key))
        assert read["seeds"][key] == dataset.metadata["world_seed"][key]
