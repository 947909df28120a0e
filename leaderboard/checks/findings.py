"""What a check has to say of an entry: refused, marked for readers to see, or noted for its author alone."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, kw_only=True)
class Finding:
    """`what` is wrong or strange, in a sentence, and how to mend it."""

    level: Literal["refused", "marked", "noted"]
    what: str
    remedy: str

    def __str__(self) -> str:
        return f"{self.level}: {self.what}; {self.remedy}"


def refused(what: str, remedy: str) -> Finding:
    """The entry cannot stand in a table."""
    return Finding(level="refused", what=what, remedy=remedy)


def marked(what: str, remedy: str) -> Finding:
    """The entry stands in its table with this sentence beside it."""
    return Finding(level="marked", what=what, remedy=remedy)


def noted(what: str, remedy: str) -> Finding:
    """Its author should know; the table itself says it to readers."""
    return Finding(level="noted", what=what, remedy=remedy)
