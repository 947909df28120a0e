"""Whether a result answers the question of its table: a known protocol on the whole of a known test set."""

from collections.abc import Iterator

from benchmark.contract.protocol import PROTOCOLS
from benchmark.results.result_file import Result
from leaderboard.checks.findings import Finding, noted, refused
from loopcraft.test_sets.known import TestSet, find_test_set


def canonical(result: Result) -> TestSet | None:
    """The canonical test set that the result is of, if it is of one and by the protocol of it."""
    found = find_test_set(result.data.fingerprint)
    return found if found is not None and found.protocol_id == result.protocol.id else None


def check_test_set(result: Result) -> Iterator[Finding]:
    """Protocol, data and videos."""
    known = PROTOCOLS.get(result.protocol.id)
    if known is None or known.hash != result.protocol_hash:
        yield refused(
            f"protocol {result.protocol.id} {result.protocol_hash[:12]} is none of this version's",
            f"score by one of {', '.join(PROTOCOLS)}",
        )
    for key, reason in list(result.failed.items())[:1]:
        yield refused(
            f"{len(result.failed)} videos failed, {key} first ({reason[:80]})",
            "a row holds all videos: run again with --retry-failed",
        )
    found = canonical(result)
    if found is None:
        yield noted(
            f"data {result.data.fingerprint[:12]} are no canonical test set of {result.protocol.id}",
            "the row stands in a table of its own; loopcraft.generate --preset makes a canonical one",
        )
        return
    if len(result.data.keys) != found.num_episodes:
        yield refused(
            f"{len(result.data.keys)} of the {found.num_episodes} videos of {found.name} were scored",
            "leave --max-videos out",
        )
    if result.data.frame_shape != (3, found.resolution, found.resolution):
        yield refused(
            f"frames of {found.name} are {found.resolution} pixels square, not {result.data.frame_shape[1:]}",
            "score on the set as it is",
        )
