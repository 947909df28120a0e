"""Measure what reading a data set of 200,000 episodes costs: each command's time, peak memory and open files.

    python -m perf.scale                            200,000 episodes, and a tenth of them for comparison
    python -m perf.scale --episodes 2000 --out DIR  keeps the data sets

Episodes are stubs: hard links to one video of 8 frames of 16 x 16 and its states, under a complete table,
index and manifest. So the figures are the cost of the number of episodes, not of their frames. Each command
runs in its own process; `publish` is a dry run against a stand-in for the Hub.
"""

import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from io import StringIO
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from loopcraft import generate, publish, verify
from loopcraft.core import cli
from loopcraft.core.files import file_sha256
from loopcraft.dataset.episode_files import write_index
from loopcraft.dataset.episode_table import COLUMNS, ROW_GROUP
from loopcraft.dataset.layout import EPISODES, episode_key
from loopcraft.dataset.reader import open_dataset
from loopcraft.generation.recipe import Recipe, claim_folder
from loopcraft.video.h264 import video_writer
from tests.fakes import hub as fake_hub

FRAMES, SIDE = 8, 16
LINKS = 50_000
"""Hard links to one file; a file system allows 65,000."""
WINDOWS = 200
STEPS = ("open", "sample", "generate", "verify", "publish")


@dataclass(frozen=True, kw_only=True)
class Flags:
    """The size and location of the data sets."""

    episodes: int = 200_000
    """Episodes of the larger data set."""
    out: Path | None = None
    """Folder for the data sets; a temporary one by default."""
    step: str = ""
    """Run only this command on the data set in `out`, in this process; for internal use."""


def make_stubs(root: Path, num_episodes: int) -> None:
    """Make a finished data set whose episodes are all the same."""
    recipe = Recipe(
        world="plaza-v1", split="train", num_episodes=num_episodes, num_frames=FRAMES, resolution=SIDE
    )
    root.mkdir(parents=True)
    claim_folder(root, recipe)
    for number in range(num_episodes):
        path = root / episode_key(number)
        if number % LINKS == 0:
            path.parent.mkdir(exist_ok=True)
            first = path
            _write_episode(first)
            sums = {suffix: file_sha256(path.with_suffix(suffix)) for suffix in (".mp4", ".npy")}
            continue
        if number % 1000 == 0:
            path.parent.mkdir(exist_ok=True)
        for suffix in sums:
            os.link(first.with_suffix(suffix), path.with_suffix(suffix))
    keys = [episode_key(number) for number in range(num_episodes)]
    constant = {
        "world": "plaza-v1",
        "rejected": "",
        "frames": FRAMES,
        "mp4_sha256": sums[".mp4"],
        "npy_sha256": sums[".npy"],
    }
    columns = {
        name: pa.array(
            keys
            if name == "key"
            else [constant.get(name, False if kind == pa.bool_() else 0)] * num_episodes,
            kind,
        )
        for name, (kind, _) in COLUMNS.items()
    }
    pq.write_table(pa.table(columns), root / EPISODES, row_group_size=ROW_GROUP)
    write_index(root, dict.fromkeys(keys, FRAMES))


def _write_episode(path: Path) -> None:
    rng = np.random.default_rng(0)
    with video_writer(path.with_suffix(".mp4"), height=SIDE, width=SIDE) as writer:
        for _ in range(FRAMES):
            writer.write(rng.integers(0, 255, (SIDE, SIDE, 3), np.uint8))
    np.save(path.with_suffix(".npy"), np.zeros((FRAMES, 6), np.float32))


def sample(root: Path) -> int:
    """Read windows at random positions."""
    dataset = open_dataset(root)
    rng = np.random.default_rng(0)
    for number in rng.integers(0, len(dataset.keys), WINDOWS):
        key = dataset.keys[number]
        assert dataset.frames(key, 2, 6).shape == (4, SIDE, SIDE, 3)
        assert dataset.states(key).shape == (FRAMES, 6)
    return 0


def recipe_flags(num_episodes: int) -> list[str]:
    """Return flags that the data set could have been generated with."""
    flags = ["--world", "plaza-v1", "--split", "train", "--num-episodes", str(num_episodes)]
    return [*flags, "--num-frames", str(FRAMES), "--resolution", str(SIDE)]


def take_step(step: str, root: Path) -> None:
    """Run one command and print its cost as JSON."""
    most_files = len(os.listdir("/proc/self/fd"))

    def watch() -> None:
        nonlocal most_files
        while True:
            most_files = max(most_files, len(os.listdir("/proc/self/fd")))
            time.sleep(0.01)

    base = _peak_mb()
    threading.Thread(target=watch, daemon=True).start()
    started, output = time.perf_counter(), StringIO()
    with redirect_stdout(output), redirect_stderr(output):
        if step == "open":
            code = 0 if len(open_dataset(root).keys) else 1
        elif step == "sample":
            code = sample(root)
        elif step == "generate":  # finds every episode complete
            code = generate.main(["--out", str(root), *recipe_flags(int(root.name))])
        elif step == "verify":
            code = verify.main([str(root)])
        else:
            code = publish.main([str(root), "--repo", "lab/stubs", "--dry-run"])
    assert code == 0, output.getvalue()
    cost = {"seconds": time.perf_counter() - started, "base": base, "peak": _peak_mb(), "files": most_files}
    print(json.dumps(cost))


def _peak_mb() -> float:
    """Return the peak of this process alone; that of getrusage starts at its parent's."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return float(next(line.split()[1] for line in lines if line.startswith("VmHWM"))) / 1024


def measure(flags: Flags) -> None:
    """Print the table."""
    if flags.step:
        assert flags.out is not None
        take_step(flags.step, flags.out)
        return
    with tempfile.TemporaryDirectory() as temporary, fake_hub.serving() as hub:
        folder = flags.out or Path(temporary)
        environment = os.environ | {
            "HF_ENDPOINT": hub.url,
            "HF_TOKEN": fake_hub.WRITER,
            "HF_HOME": str(Path(temporary) / "home"),
            "HF_HUB_DISABLE_XET": "1",
        }
        print("episodes  command   seconds  peak MB (of which the imports)  open files")
        for num_episodes in (flags.episodes // 10, flags.episodes):
            root = folder / str(num_episodes)
            if not (root / "index.json").exists():
                make_stubs(root, num_episodes)
            for step in STEPS:
                command = [sys.executable, "-m", "perf.scale", "--out", str(root), "--step", step]
                done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=True)
                cost = json.loads(done.stdout)
                print(
                    f"{num_episodes:8d}  {step:8s} {cost['seconds']:8.1f}  {cost['peak']:7.0f} "
                    f"({cost['base']:.0f}) {cost['files']:24d}",
                    flush=True,
                )


if __name__ == "__main__":
    raise SystemExit(cli.run(Flags, measure))
