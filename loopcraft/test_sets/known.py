"""The table of canonical test sets, read from test_sets.toml beside this file."""

import tomllib
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final, Literal

from loopcraft.core.errors import UserError

SPLIT: Final = "test"
SEED = 0
_TABLE = Path(__file__).with_name("test_sets.toml")


@dataclass(frozen=True, kw_only=True)
class TestSet:
    """A recipe under a name that never changes: split `test`, seed 0, the rest by default."""

    __test__ = False  # it is no test of pytest's

    name: str
    """PROTOCOL/WORLD."""
    num_episodes: int
    num_frames: int
    resolution: int
    """Height and width of a frame in pixels."""
    select: Literal["planned", "realised"] = "planned"
    """By what the walks are chosen, as `loopcraft.generate --select` says."""
    fingerprint: str | None = None
    """SHA-256 of what the recipe makes; None where nobody has pinned it yet."""

    @property
    def protocol_id(self) -> str:
        """The protocol that it is for."""
        return self.name.split("/")[0]

    @property
    def world(self) -> str:
        """The world in which it is recorded."""
        return self.name.split("/")[1]

    @property
    def command(self) -> str:
        """What makes it, on any machine."""
        return f"python -m loopcraft.generate --preset {self.name} --out DIR"


@cache
def all_test_sets() -> tuple[TestSet, ...]:
    """All of them, in the order of the file."""
    table = tomllib.loads(_TABLE.read_text())
    return tuple(TestSet(name=name, **fields) for name, fields in table.items())


def get_test_set(name: str) -> TestSet:
    """The test set of that name; raises `UserError` for an unknown one."""
    for found in all_test_sets():
        if found.name == name:
            return found
    names = ", ".join(found.name for found in all_test_sets())
    raise UserError(f"unknown preset {name!r}: choose one of {names}")


def find_test_set(fingerprint: str) -> TestSet | None:
    """The test set with that fingerprint, if it is one."""
    return next((found for found in all_test_sets() if found.fingerprint == fingerprint), None)
