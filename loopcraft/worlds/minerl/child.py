"""Child process of a game: makes, resets and steps the environment, and sends observations.

The parent sends ("reset", seed) and ("play", actions). `serve` answers with None once the environment is made
and whenever a world is built, with one `Observation` per action, or with a `Failure`, after which it waits to
be killed. Frames are reduced here, to a quarter of the bytes.
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
"""File in the scratch folder with the output of the process and the game."""


@dataclass(frozen=True)
class Failure:
    """The reason why the process ends."""

    reason: str
    detail: str


def serve(
    connection: Connection, make_environment: EnvironmentFactory, resolution: int, scratch: Path
) -> None:
    """Answer commands until the parent closes the connection or something fails."""
    _set_up_process(scratch)
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
    """Step through the actions; raise `PlayError` if the game did not really play one of them."""
    for index, action in enumerate(actions):
        observed, _, is_done, info = environment.step(minerl_action(int(action)))
        if "error" in info:  # MineRL then returns a random observation
            raise PlayError("timeout", f"MineRL lost the game at step {index}: {info['error']}")
        if is_done and index < len(actions) - 1:
            raise PlayError("died", f"the mission ended at step {index} of {len(actions)}")
        if not observed["pov"].any():  # MineRL's replacement for a frame that did not arrive
            raise PlayError("black", f"the frame of step {index} is empty")
        yield Observation(frame=box_filter(observed["pov"]), pose=pose_of(observed["location_stats"]))


def box_filter(frame: UInt8[np.ndarray, "2*H 2*W 3"]) -> UInt8[np.ndarray, "H W 3"]:
    """Halve height and width: each pixel is the rounded mean of four."""
    height, width = (size // OVERSAMPLING for size in frame.shape[:2])
    sums = frame.reshape(height, OVERSAMPLING, width, OVERSAMPLING, 3).sum(axis=(1, 3), dtype=np.uint16)
    mean: UInt8[np.ndarray, "H W 3"] = ((sums + OVERSAMPLING**2 // 2) // OVERSAMPLING**2).astype(np.uint8)
    return mean


def pose_of(location_stats: dict[str, Any]) -> Pose:
    """Return the pose in MineRL's location statistics; the game's yaw is not limited to one turn."""
    x, y, z, yaw_deg, pitch_deg = (float(location_stats[key]) for key in POSE_KEYS)
    return Pose(x, y, z, (yaw_deg + 180) % 360 - 180, pitch_deg)


def _fail(connection: Connection, failure: Failure) -> None:
    """Send the failure and wait to be killed, so that the parent also finds the game's processes."""
    connection.send(failure)
    signal.pause()


def _set_up_process(scratch: Path) -> None:
    """Keep all files and output in `scratch`, leave Ctrl-C to the parent, and die with it."""
    os.chdir(scratch)
    os.environ["TMPDIR"] = tempfile.tempdir = str(scratch)
    log = os.open(LOG, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(log, 1)
    os.dup2(log, 2)
    end_with_parent(partial(_clean_up, scratch))


def _clean_up(scratch: Path) -> None:
    kill_descendants(os.getpid())
    shutil.rmtree(scratch, ignore_errors=True)
