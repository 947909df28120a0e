"""The table of canonical test sets, read from test_sets.toml in this folder."""

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
    """A recipe whose name keeps its meaning forever: split `test`, seed 0, other settings by default."""

    __test__ = False  # not a test class for pytest

    name: str
    """PROTOCOL/WORLD."""
    num_episodes: int
    num_frames: int
    resolution: int
    """Height and width of a frame in pixels."""
    select: Literal["planned", "realised"] = "planned"
    """How walks are selected, as for `loopcraft.generate --select`."""
    fingerprint: str | None = None
    """Fingerprint (SHA-256) of the data set; None if not yet pinned."""

    @property
    def protocol_id(self) -> str:
        """The protocol that uses it."""
        return self.name.split("/")[0]

    @property
    def world(self) -> str:
        """The world in which it is recorded."""
        return self.name.split("/")[1]

    @property
    def command(self) -> str:
        """The command that generates it on any machine."""
        return f"python -m loopcraft.generate --preset {self.name} --out DIR"


@cache
def all_test_sets() -> tuple[TestSet, ...]:
    """Return all canonical test sets, in the order of the file."""
    table = tomllib.loads(_TABLE.read_text())
    return tuple(TestSet(name=name, **fields) for name, fields in table.items())


def get_test_set(name: str) -> TestSet:
    """Return the test set of that name; raises `UserError` for an unknown name."""
    test_sets = {test_set.name: test_set for test_set in all_test_sets()}
    if name not in test_sets:
        raise UserError(f"unknown preset {name!r}: choose one of {', '.join(test_sets)}")
    return test_sets[name]


def find_test_set(fingerprint: str) -> TestSet | None:
    """Return the test set with that fingerprint, or None."""
    return next((test_set for test_set in all_test_sets() if test_set.fingerprint == fingerprint), None)
