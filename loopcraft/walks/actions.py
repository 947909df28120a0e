"""The three actions, and the turn-biased random walk that keeps revisiting places (MilliVid, appendix A.1).

A walk is an endless sequence of bundles: one forward, then 1 to 4 turns to one side and some more forwards in
random order. Every entry is held for 9 ticks, so a turn is 90 degrees, and the bias towards 2 and 4 turns
closes loops.

Random numbers come only from `Generator.random`, 53 bits of the generator's own stream, which is least likely
to change between NumPy versions. Compiled code and plain Python (`.py_func`) give the same walk.
"""

import reprlib
from enum import IntEnum

import numpy as np
from jaxtyping import Float64, Int8, Int64, Shaped

from loopcraft.core.errors import UserError
from loopcraft.core.jit import kernel


class Action(IntEnum):
    """Action of the agent during one tick, with the paper's ids; jump is always held."""

    FORWARD = 0
    LEFT = 1
    RIGHT = 2


TICKS_PER_ENTRY = 9
"""Ticks for which one entry of a bundle is held."""
TURN_DEGREES_PER_TICK = 10
TURN_COUNTS = (1, 2, 3, 4)
TURN_COUNT_PROBABILITIES = (0.1, 0.3, 0.1, 0.5)

_CUMULATIVE_PROBABILITIES = np.cumsum(TURN_COUNT_PROBABILITIES)


def checked_actions(actions: object) -> Int8[np.ndarray, " T"]:
    """Convert a walk to an array of action ids; raises `UserError` if it is not one.

    A walk is a non-empty one-dimensional sequence of integers of any type, each the id of an action.
    """
    choices = ", ".join(f"{action.value} ({action.name.lower()})" for action in Action)
    try:
        ids = np.asarray(actions)
    except ValueError:  # rows of several lengths
        ids = np.empty(0)
    if ids.ndim != 1 or ids.size == 0 or not np.issubdtype(ids.dtype, np.integer):
        raise UserError(
            f"actions {' '.join(reprlib.repr(actions).split())}: give a one-dimensional list of integers; "
            f"for each choose one of {choices}"
        )
    invalid = np.flatnonzero(~np.isin(ids, list(Action)))
    if len(invalid):
        raise UserError(f"action {ids[invalid[0]]}: choose one of {choices}")
    return ids.astype(np.int8)


def actions_of(states: Shaped[np.ndarray, "T columns"], source: object) -> Int64[np.ndarray, " T"]:
    """Return the actions (column 0) of an episode's states; raises `UserError` with `source` if invalid."""
    column = states[:, 0]
    invalid = np.flatnonzero(~np.isin(column, list(Action)))
    if len(invalid):
        raise UserError(
            f"{source}: row {invalid[0]} holds the action {column[invalid[0]]}, expected 0, 1 or 2; "
            "restore it or make it again"
        )
    return column.astype(np.int64)


def heading_sines() -> Float64[np.ndarray, "36"]:
    """Return the sine of every multiple of 10 degrees; the cosine of entry i is entry (i + 9) % 36.

    Uses correctly rounded literals, not the machine's libm, so that poses are the same bytes everywhere.
    """
    quarter = [
        0.0,
        0.17364817766693036,
        0.3420201433256687,
        0.5,
        0.6427876096865394,
        0.766044443118978,
        0.8660254037844386,
        0.9396926207859084,
        0.984807753012208,
        1.0,
    ]
    half = quarter + quarter[-2:0:-1]
    return np.array(half + [0.0 - value for value in half])


@kernel
def _below(rng: np.random.Generator, bound: int) -> int:
    """Draw a uniform integer in [0, bound); the bias of at most bound / 2**53 is negligible."""
    return int(rng.random() * bound)


@kernel
def draw_bundle(rng: np.random.Generator) -> Int8[np.ndarray, " entries"]:
    """Draw one bundle: a leading forward, then turns to one side and forwards, shuffled."""
    num_turns = TURN_COUNTS[np.searchsorted(_CUMULATIVE_PROBABILITIES, rng.random(), side="right")]
    num_forwards = num_turns + _below(rng, 2 * num_turns)  # k .. 3k - 1
    entries = np.full(1 + num_turns + num_forwards, Action.FORWARD, np.int8)
    entries[1 : 1 + num_turns] = Action.LEFT if _below(rng, 2) == 0 else Action.RIGHT
    for last in range(len(entries) - 1, 1, -1):  # Fisher-Yates on all but the leading forward
        index = 1 + _below(rng, last)
        entries[last], entries[index] = entries[index], entries[last]
    return entries


@kernel
def draw_walks(
    rng: np.random.Generator, num_walks: int, num_ticks: int
) -> Int8[np.ndarray, "num_walks num_ticks"]:
    """Draw walks one after another from the same generator, each truncated to `num_ticks`."""
    walks = np.empty((num_walks, num_ticks), np.int8)
    for walk in walks:
        tick = 0
        while tick < num_ticks:
            for entry in draw_bundle(rng):
                walk[tick : tick + TICKS_PER_ENTRY] = entry
                tick += TICKS_PER_ENTRY
    return walks


def draw_walk(rng: np.random.Generator, num_ticks: int) -> Int8[np.ndarray, " num_ticks"]:
    """Draw one walk of `num_ticks` actions."""
    walk: Int8[np.ndarray, " num_ticks"] = draw_walks(rng, 1, num_ticks)[0]
    return walk
