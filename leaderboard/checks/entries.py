"""Run all checks on one entry or on a folder of entries."""

from collections.abc import Sequence
from pathlib import Path

from leaderboard.checks.clips import check_clips
from leaderboard.checks.findings import Finding, refused
from leaderboard.checks.plausibility import check_plausibility
from leaderboard.checks.reproduction import check_reproduction
from leaderboard.checks.test_set import check_test_set
from leaderboard.entry.folder import Entry, entry_folders, read_entry
from loopcraft.core.errors import UserError


def check_entry(entry: Entry, entries: Sequence[Entry]) -> list[Finding]:
    """Return the findings on `entry`, also in comparison with the other rows of its table in `entries`."""
    return [
        *check_test_set(entry.result),
        *check_reproduction(entry.result),
        *check_plausibility(entry.result, [other for other in entries if shares_table(entry, other)]),
        *check_clips(entry),
    ]


def shares_table(entry: Entry, other: Entry) -> bool:
    """Return whether two different entries have the same protocol and data."""
    return (
        entry.id != other.id
        and entry.result.protocol_hash == other.result.protocol_hash
        and entry.result.data.fingerprint == other.result.data.fingerprint
    )


def check_all(root: Path) -> dict[str, list[Finding]]:
    """Return the findings on every entry below `root`, by folder; an unreadable entry is a refusal."""
    entries: dict[Path, Entry] = {}
    findings: dict[str, list[Finding]] = {}
    for folder in entry_folders(root):
        try:
            entries[folder] = read_entry(folder)
        except UserError as error:
            findings[str(folder)] = [refused(str(error), "see docs/leaderboard.md")]
    for folder, entry in entries.items():
        findings[str(folder)] = check_entry(entry, list(entries.values()))
    return dict(sorted(findings.items()))
