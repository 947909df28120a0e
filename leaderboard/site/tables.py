"""Entries to tables: one for every protocol, data set and set of videos, with its columns."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

from benchmark.results.result_file import Result
from leaderboard.checks.test_set import canonical
from leaderboard.entry.folder import Entry
from leaderboard.site.columns import Column, metric_columns, recall_columns, steering_columns
from loopcraft.test_sets.known import TestSet


@dataclass(frozen=True, kw_only=True)
class SiteTable:
    """Rows that answer one question; `slug` names it in addresses and files."""

    slug: str
    place: str
    """PROTOCOL/DATA of its entries."""
    test_set: TestSet | None
    entries: tuple[Entry, ...]
    columns: tuple[Column, ...]

    @property
    def result(self) -> Result:
        """Any of its results, for what is the same in all of them."""
        return self.entries[0].result

    @property
    def has_previews(self) -> bool:
        """Whether a row is a run that nobody has submitted yet."""
        return any(entry.card is None for entry in self.entries)

    @property
    def title(self) -> str:
        """As in "plaza-v1 · loopcraft-mini"."""
        data = self.result.data
        name = data.world_id or "unknown world"
        own = "" if self.test_set is not None else f" (data {data.fingerprint[:8]})"
        return f"{name}{own} · {self.result.protocol.id}"


def site_tables(entries: Sequence[Entry]) -> list[SiteTable]:
    """The tables of all entries: those with previews first, then canonical test sets, each by its name."""
    groups: dict[tuple[str, str, str], list[Entry]] = {}
    for entry in sorted(entries, key=lambda entry: entry.id):
        data = entry.result.data
        keys = hashlib.sha256("\n".join(data.keys).encode()).hexdigest()
        groups.setdefault((entry.result.protocol_hash, data.fingerprint, keys), []).append(entry)
    tables = [_table(tuple(group)) for group in groups.values()]
    tables.sort(key=lambda table: (not table.has_previews, table.test_set is None, table.place))
    return [
        table if sum(other.slug == table.slug for other in tables[:place]) == 0 else _renamed(table, place)
        for place, table in enumerate(tables)
    ]


def _table(entries: tuple[Entry, ...]) -> SiteTable:
    place = entries[0].id.rpartition("/")[0]
    return SiteTable(
        slug=slug(place),
        place=place,
        test_set=canonical(entries[0].result),
        entries=entries,
        columns=(*recall_columns(entries), *metric_columns(entries), *steering_columns(entries)),
    )


def _renamed(table: SiteTable, place: int) -> SiteTable:
    """Where two tables of one place differ in their videos."""
    return SiteTable(**{**vars(table), "slug": f"{table.slug}--{place + 1}"})


def slug(entry_id: str) -> str:
    """An id as one part of an address; ids have only letters, digits, '-', '_', '.' and slashes."""
    return entry_id.replace("/", "--")
