"""A stand-in for MineRL's environment: the same spaces, cheap pictures, and every failure on cue."""

import os
import signal
import subprocess
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

INF_POSITION = 640000.0
LOCATION_SPACE: dict[str, tuple[tuple[int, ...], str, float, float]] = {
    "sun_brightness": ((), "float64", 0, 1),
    "sky_light_level": ((), "float64", 0, 1),
    "light_level": ((), "int64", 0, 15),
    "can_see_sky": ((), "int64", 0, 1),
    "biome_rainfall": ((), "float32", 0, 1),
    "biome_temperature": ((), "float32", 0, 1),
    "is_raining": ((), "int64", 0, 1),
    "biome_id": ((), "int64", 0, 167),
    "pitch": ((), "float64", -180, 180),
    "yaw": ((), "float64", -180, 180),
    "xpos": ((), "float64", -INF_POSITION, INF_POSITION),
    "ypos": ((), "float64", -INF_POSITION, INF_POSITION),
    "zpos": ((), "float64", -INF_POSITION, INF_POSITION),
    "sea_level": ((), "int64", 0, 255),
}
"""The shape, type, low and high of every location statistic; the picture is uint8 (pixels, pixels, 3)."""

ACTION_SPACE = {
    **dict.fromkeys(("forward", "back", "left", "right", "jump", "sneak", "sprint", "attack"), "Discrete(2)"),
    "camera": "Box(2,) float32 -180 180",
}

FAILING_STEP = 5


@dataclass(frozen=True)
class StandIn:
    """Makes stand-ins that fail at given starts or at given worlds, numbered across all processes.

    starts: "hang", "raise". plays: "hang in reset", "raise in reset", or at step 5 "hang", "raise", "exit",
    "kill", "done", "lost" (MineRL's own time-out), "black", "meet" (wait until the next world is built).
    """

    folder: Path
    starts: Mapping[int, str] = field(default_factory=dict)
    plays: Mapping[int, str] = field(default_factory=dict)

    def __call__(self, resolution: int) -> "StandInEnvironment":
        cue = self.starts.get(count(self.folder, "start"))
        if cue == "hang":
            time.sleep(600)
        if cue == "raise":
            raise RuntimeError("no Java here")
        return StandInEnvironment(2 * resolution, self)


def count(folder: Path, kind: str) -> int:
    """The next number of its kind, unique across processes."""
    number = 0
    while True:
        try:
            (folder / f"{kind}-{number}").touch(exist_ok=False)
        except FileExistsError:
            number += 1
        else:
            return number


def is_running(pid: int) -> bool:
    """Whether the process exists and is not a zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


class StandInEnvironment:
    """Open ground and coloured waves; every fifth seed is stuck. Its "Java" is a sleeping process."""

    def __init__(self, pixels: int, script: StandIn) -> None:
        self.pixels = pixels
        self._script = script
        self._java = subprocess.Popen(["sleep", "60"], start_new_session=True)
        (script.folder / f"java-{self._java.pid}").touch()
        self._done = True

    def seed(self, seed: int) -> None:
        assert isinstance(seed, int)
        self._seed = seed

    def reset(self) -> dict[str, Any]:
        self._number = count(self._script.folder, "world")
        self._cue = self._script.plays.get(self._number, "")
        if self._cue == "hang in reset":
            time.sleep(600)
        if self._cue == "raise in reset":
            raise ConnectionResetError("the socket went away")
        self._step, self._done = 0, False
        self._x, self._z, self._yaw = 0.0, 0.0, 170.0
        return self._observe()

    def step(self, action: dict[str, Any]) -> tuple[dict[str, Any], float, bool, dict[str, Any]]:
        assert not self._done
        check_action(action)
        step, self._step = self._step, self._step + 1
        self._yaw += float(action["camera"][1])
        speed = (0.2 if self._seed % 5 else 0.01) * action["forward"]
        self._x -= speed * np.sin(np.radians(self._yaw))
        self._z += speed * np.cos(np.radians(self._yaw))
        observation = self._observe()
        fails = step == FAILING_STEP and self._cue
        return self._fail(observation) if fails else (observation, 0.0, False, {})

    def close(self) -> None:
        self._java.kill()
        self._java.wait()
        (self._script.folder / "closed").touch()

    def _fail(self, observation: dict[str, Any]) -> tuple[dict[str, Any], float, bool, dict[str, Any]]:
        match self._cue:
            case "hang":
                time.sleep(600)
            case "raise":
                raise BrokenPipeError(32, "Broken pipe")
            case "exit":
                print("A fatal error has been detected by the Java Runtime Environment", flush=True)
                os._exit(3)
            case "kill":
                os.kill(os.getpid(), signal.SIGKILL)
            case "done":
                self._done = True
            case "lost":
                self._done = True
                return observation, 0, True, {"error": "Connection timed out!"}
            case "black":
                observation["pov"] = np.zeros_like(observation["pov"])
            case "meet":
                deadline = time.monotonic() + 20
                while not (self._script.folder / f"world-{self._number + 1}").exists():
                    assert time.monotonic() < deadline, "no other world was being built"
                    time.sleep(0.01)
        return observation, 0.0, self._done, {}

    def _observe(self) -> dict[str, Any]:
        row, column = np.ogrid[: self.pixels, : self.pixels]
        phase = self._seed % 7 + np.radians(self._yaw)
        waves = (
            np.sin(column / 12 + phase + self._x),
            np.cos(row / 10 + phase + self._z),
            np.sin((row + column) / 18 + 2 * phase),
        )
        pov = np.stack([127 + 80 * (wave + 0 * row + 0 * column) for wave in waves], axis=-1).astype(np.uint8)
        location = {name: np.zeros(shape, kind) for name, (shape, kind, _, _) in LOCATION_SPACE.items()}
        pose = {"xpos": self._x, "ypos": 64.0, "zpos": self._z, "yaw": self._yaw, "pitch": 0.0}
        return {"pov": pov, "location_stats": location | {key: np.array(at) for key, at in pose.items()}}


def check_action(action: dict[str, Any]) -> None:
    """Assert that the action lies in `ACTION_SPACE` and holds jump."""
    assert action.keys() == ACTION_SPACE.keys()
    assert all(action[key] in (0, 1) for key in action if key != "camera")
    assert action["jump"] == 1
    assert action["camera"].shape == (2,)
    assert action["camera"].dtype == np.float32
