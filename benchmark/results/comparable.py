"""Whether results may stand side by side: only if all of them answer one question."""

from collections.abc import Mapping

from benchmark.results.result_file import Result
from loopcraft.core.errors import UserError


def require_comparable(results: Mapping[str, Result]) -> None:
    """Raise `UserError` unless protocol, data, videos, metric versions and weights are the same in all."""
    (first_source, first), *others = results.items()
    for source, result in others:
        for what, here, there in _differences(first, result):
            raise UserError(
                f"{first_source} and {source} cannot be compared: their {what} differ ({here} and {there}); "
                f"score both the same way"
            )


def _differences(one: Result, other: Result) -> list[tuple[str, object, object]]:
    """(what, value in one, value in the other) of everything that must be the same and is not."""
    pairs: list[tuple[str, object, object]] = [
        (
            "protocols",
            f"{one.protocol.id} {one.protocol_hash[:12]}",
            f"{other.protocol.id} {other.protocol_hash[:12]}",
        ),
        ("data sets", one.data.fingerprint[:12], other.data.fingerprint[:12]),
        ("scored videos", _describe_keys(one, other), _describe_keys(other, one)),
    ]
    for name in sorted(one.metrics.keys() & other.metrics.keys()):
        here, there = one.metrics[name].card, other.metrics[name].card
        pairs.append((f"versions of {name}", here.version, there.version))
        pairs.append((f"weights of {name}", dict(here.weights), dict(there.weights)))
    return [pair for pair in pairs if pair[1] != pair[2]]


def _describe_keys(one: Result, other: Result) -> str:
    only_here = [key for key in one.data.keys if key not in set(other.data.keys)]
    return f"{len(one.data.keys)} videos" + (f", {only_here[0]} only here" if only_here else "")
