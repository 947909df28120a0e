"""Group entries into tables, one per protocol, data set and set of videos."""

import dataclasses
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

from benchmark.results.result_file import Result
from leaderboard.checks.test_set import canonical_test_set
from leaderboard.entry.folder import Entry
from leaderboard.site.columns import Column, metric_columns, recall_columns, steering_columns
from loopcraft.test_sets.known import TestSet


@dataclass(frozen=True, kw_only=True)
class SiteTable:
    """Comparable rows and their columns; `slug` names the table in addresses and files."""

    slug: str
    path: str
    """PROTOCOL/DATA, the folder of the entries."""
    test_set: TestSet | None
    entries: tuple[Entry, ...]
    columns: tuple[Column, ...]

    @property
    def result(self) -> Result:
        """The first result, for whatever is the same in all of them."""
        return self.entries[0].result

    @property
    def has_previews(self) -> bool:
        """Whether a row is a run that is not submitted yet."""
        return any(entry.card is None for entry in self.entries)

    @property
    def title(self) -> str:
        """Title like "plaza-v1 · loopcraft-mini"; data outside the test sets are marked by fingerprint."""
        data = self.result.data
        name = data.world_id or "unknown world"
        suffix = "" if self.test_set is not None else f" (data {data.fingerprint[:8]})"
        return f"{name}{suffix} · {self.result.protocol.id}"


def site_tables(entries: Sequence[Entry]) -> list[SiteTable]:
    """Return the tables of all entries: those with previews first, then canonical test sets, each by path."""
    groups: dict[tuple[str, str, str], list[Entry]] = {}
    for entry in sorted(entries, key=lambda entry: entry.id):
        data = entry.result.data
        keys = hashlib.sha256("\n".join(data.keys).encode()).hexdigest()
        groups.setdefault((entry.result.protocol_hash, data.fingerprint, keys), []).append(entry)
    tables = [_table(tuple(group)) for group in groups.values()]
    tables.sort(key=lambda table: (not table.has_previews, table.test_set is None, table.path))
    for index, table in enumerate(tables):  # two tables of one path differ in their videos
        if any(other.slug == table.slug for other in tables[:index]):
            tables[index] = dataclasses.replace(table, slug=f"{table.slug}--{index + 1}")
    return tables


def _table(entries: tuple[Entry, ...]) -> SiteTable:
    path = entries[0].table
    return SiteTable(
        slug=slug(path),
        path=path,
        test_set=canonical_test_set(entries[0].result),
        entries=entries,
        columns=(*recall_columns(entries), *metric_columns(entries), *steering_columns(entries)),
    )


def slug(entry_id: str) -> str:
    """Turn an id, which has only letters, digits, '-', '_', '.' and slashes, into one part of an address."""
    return entry_id.replace("/", "--")
