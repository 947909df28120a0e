"""The process that a game lives in: it makes the environment, resets it and steps it, and says what it saw.

The parent sends ("reset", seed) and ("play", actions); `serve` answers with None once the environment is made
and when a world is built, with one `Observation` for each action, or with a `Failure`, after which it only
waits to be killed. Frames are reduced here, so that a quarter of the bytes travel.
"""

import os
import shutil
import signal
import tempfile
import traceback
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Integer, UInt8

from loopcraft.core.children import end_with_parent
from loopcraft.worlds.base import Observation, PlayError, Pose
from loopcraft.worlds.minerl.environment import Environment, EnvironmentFactory
from loopcraft.worlds.minerl.options import OVERSAMPLING, POSE_KEYS, minerl_action
from loopcraft.worlds.minerl.processes import kill_descendants

LOG = "log.txt"
"""In the scratch folder: all that the process and the game print."""


@dataclass(frozen=True)
class Failure:
    """Why the process ends."""

    reason: str
    detail: str


def serve(
    connection: Connection, make_environment: EnvironmentFactory, resolution: int, scratch: Path
) -> None:
    """The body of the process: answer until the parent closes the connection, or something fails."""
    _settle_in(scratch)
    try:
        environment = make_environment(resolution)
        connection.send(None)
        while True:
            command, argument = connection.recv()
            if command == "reset":
                environment.seed(argument)
                environment.reset()
                connection.send(None)
            else:
                for observation in play(environment, argument):
                    connection.send(observation)
    except EOFError:
        environment.close()
    except PlayError as error:
        _fail(connection, Failure(error.reason, error.detail))
    except Exception as error:
        traceback.print_exc()
        _fail(connection, Failure("crash", f"{type(error).__name__}: {error}"))


def play(environment: Environment, actions: Integer[np.ndarray, " T"]) -> Iterator[Observation]:
    """Step through the actions; raises `PlayError` when the game did not really play one of them."""
    for index, action in enumerate(actions):
        seen, _, is_done, info = environment.step(minerl_action(int(action)))
        if "error" in info:  # MineRL then makes up a random observation
            raise PlayError("timeout", f"MineRL lost the game at step {index}: {info['error']}")
        if is_done and index < len(actions) - 1:
            raise PlayError("died", f"the mission was done at step {index} of {len(actions)}")
        if not seen["pov"].any():  # what MineRL gives for a picture that did not come
            raise PlayError("black", f"the frame of step {index} is empty")
        yield Observation(frame=box_filter(seen["pov"]), pose=pose_of(seen["location_stats"]))


def box_filter(frame: UInt8[np.ndarray, "2*H 2*W 3"]) -> UInt8[np.ndarray, "H W 3"]:
    """Half the height and width: each pixel the rounded mean of four."""
    height, width = (size // OVERSAMPLING for size in frame.shape[:2])
    sums = frame.reshape(height, OVERSAMPLING, width, OVERSAMPLING, 3).sum(axis=(1, 3), dtype=np.uint16)
    mean: UInt8[np.ndarray, "H W 3"] = ((sums + OVERSAMPLING**2 // 2) // OVERSAMPLING**2).astype(np.uint8)
    return mean


def pose_of(location_stats: dict[str, Any]) -> Pose:
    """The pose in MineRL's location statistics; the game's yaw counts on beyond a full turn."""
    x, y, z, yaw_deg, pitch_deg = (float(location_stats[key]) for key in POSE_KEYS)
    return Pose(x, y, z, (yaw_deg + 180) % 360 - 180, pitch_deg)


def _fail(connection: Connection, failure: Failure) -> None:
    """Say why, and stay to be killed: whoever kills this process finds the game below it."""
    connection.send(failure)
    signal.pause()


def _settle_in(scratch: Path) -> None:
    """Keep the game's copies, logs and prints in `scratch`, leave Ctrl-C to the parent, and die with it."""
    os.chdir(scratch)
    os.environ["TMPDIR"] = tempfile.tempdir = str(scratch)
    log = os.open(LOG, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(log, 1)
    os.dup2(log, 2)
    end_with_parent(partial(_leave_nothing, scratch))


def _leave_nothing(scratch: Path) -> None:
    kill_descendants(os.getpid())
    shutil.rmtree(scratch, ignore_errors=True)
