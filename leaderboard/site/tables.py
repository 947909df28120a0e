"""Entries to tables: one for every protocol, data set and set of videos, with the columns that its rows have."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from benchmark.results.result_file import Estimate, MetricCard, Result
from leaderboard.checks.test_set import canonical
from leaderboard.entry.folder import Entry
from loopcraft.test_sets.known import TestSet


@dataclass(frozen=True, kw_only=True)
class Column:
    """One metric, computed one way. `values` has every row's estimate by window; "" is that of all frames."""

    id: str
    card: MetricCard
    hint: str
    values: Mapping[str, Mapping[str, Estimate]]
    """Window, then entry id."""
    videos: Mapping[str, Mapping[str, tuple[float, ...]]]
    """The values of videos, likewise; empty where there are none."""


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
    def title(self) -> str:
        """As in "plaza-v1 · loopcraft-mini"."""
        data = self.result.data
        name = data.world_id or "unknown world"
        own = "" if self.test_set is not None else f" (data {data.fingerprint[:8]})"
        return f"{name}{own} · {self.result.protocol.id}"


def site_tables(entries: Sequence[Entry]) -> list[SiteTable]:
    """The tables of all entries: canonical test sets first, then the others, each by its name."""
    groups: dict[tuple[str, str, str], list[Entry]] = {}
    for entry in sorted(entries, key=lambda entry: entry.id):
        data = entry.result.data
        keys = hashlib.sha256("\n".join(data.keys).encode()).hexdigest()
        groups.setdefault((entry.result.protocol_hash, data.fingerprint, keys), []).append(entry)
    tables = [_table(tuple(group)) for group in groups.values()]
    tables.sort(key=lambda table: (table.test_set is None, table.place, table.slug))
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
        columns=tuple(_metric_columns(entries)),
    )


def _renamed(table: SiteTable, place: int) -> SiteTable:
    """Where two tables of one place differ in their videos."""
    return SiteTable(**{**vars(table), "slug": f"{table.slug}--{place + 1}"})


def slug(entry_id: str) -> str:
    """An id as one part of an address; ids have only letters, digits, '-', '_', '.' and slashes."""
    return entry_id.replace("/", "--")


def _metric_columns(entries: Sequence[Entry]) -> list[Column]:
    """A column for each way in which some row computed a headline metric, in order of first appearance."""
    ways: dict[tuple[str, int, tuple[tuple[str, str], ...]], list[Entry]] = {}
    for entry in entries:
        for name, metric in entry.result.headline.items():
            way = (name, metric.card.version, tuple(sorted(metric.card.weights.items())))
            ways.setdefault(way, []).append(entry)
    columns = []
    for number, ((name, _, _), having) in enumerate(ways.items()):
        others = sum(other == name for other, _, _ in list(ways)[:number])
        columns.append(_metric_column(name if not others else f"{name}.{others + 1}", name, having))
    return columns


def _metric_column(column_id: str, name: str, entries: Sequence[Entry]) -> Column:
    metrics = {entry.id: entry.result.metrics[name] for entry in entries}
    card = next(iter(metrics.values())).card
    windows = [window.name for window in entries[0].result.protocol.windows]
    return Column(
        id=column_id,
        card=card,
        hint=_hint(card, column_id),
        values={window: {row: found.windows[window] for row, found in metrics.items()} for window in windows},
        videos={
            window: {row: found.videos[window] for row, found in metrics.items() if found.videos}
            for window in windows
        },
    )


def _hint(card: MetricCard, column_id: str) -> str:
    """What a reader sees when pointing at the heading."""
    better = "higher is better" if card.higher_is_better else "lower is better"
    weights = "".join(f"; {name} {digest[:8]}" for name, digest in sorted(card.weights.items()))
    variant = f"; variant {column_id.rpartition('.')[2]}" if column_id != card.name else ""
    return f"{better}; version {card.version}{weights}{variant}"
