"""Check whether results can be compared: same protocol, data, videos, metric versions and weights."""

from collections.abc import Mapping

from benchmark.results.result_file import Result
from loopcraft.core.errors import UserError


def require_comparable(results: Mapping[str, Result]) -> None:
    """Raise `UserError` unless all results share protocol, data, videos, metric versions and weights."""
    (first_source, first), *others = results.items()
    for source, result in others:
        for name, expected, actual in _differences(first, result):
            raise UserError(
                f"{first_source} and {source} cannot be compared: their {name} differ "
                f"({expected} and {actual}); score both the same way"
            )


def _differences(first: Result, second: Result) -> list[tuple[str, object, object]]:
    """Return (property, first value, second value) of every property that must agree and does not."""
    pairs: list[tuple[str, object, object]] = [
        (
            "protocols",
            f"{first.protocol.id} {first.protocol_hash[:12]}",
            f"{second.protocol.id} {second.protocol_hash[:12]}",
        ),
        ("data sets", first.data.fingerprint[:12], second.data.fingerprint[:12]),
        ("scored videos", _describe_keys(first, second), _describe_keys(second, first)),
    ]
    for name in sorted(first.metrics.keys() & second.metrics.keys()):
        card, other = first.metrics[name].card, second.metrics[name].card
        pairs.append((f"versions of {name}", card.version, other.version))
        pairs.append((f"weights of {name}", dict(card.weights), dict(other.weights)))
    return [pair for pair in pairs if pair[1] != pair[2]]


def _describe_keys(result: Result, other: Result) -> str:
    other_keys = set(other.data.keys)
    extra = [key for key in result.data.keys if key not in other_keys]
    return f"{len(result.data.keys)} videos" + (f", {extra[0]} only here" if extra else "")
