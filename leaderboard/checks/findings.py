"""Findings of checks: an entry is refused, marked for readers, or only has a note for its author."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, kw_only=True)
class Finding:
    """A problem with an entry, in a sentence, and its remedy."""

    level: Literal["refused", "marked", "noted"]
    problem: str
    remedy: str

    def __str__(self) -> str:
        return f"{self.level}: {self.problem}; {self.remedy}"


def refused(problem: str, remedy: str) -> Finding:
    """Return a finding that keeps the entry out of any table."""
    return Finding(level="refused", problem=problem, remedy=remedy)


def marked(problem: str, remedy: str) -> Finding:
    """Return a finding that readers see beside the entry's row."""
    return Finding(level="marked", problem=problem, remedy=remedy)


def noted(problem: str, remedy: str) -> Finding:
    """Return a finding for the author only, as the table itself shows it to readers."""
    return Finding(level="noted", problem=problem, remedy=remedy)
