"""Check that a result uses a known protocol on all videos of a known test set."""

from collections.abc import Iterator

from benchmark.contract.protocol import PROTOCOLS
from benchmark.results.result_file import Result
from leaderboard.checks.findings import Finding, noted, refused
from loopcraft.test_sets.known import TestSet, find_test_set


def canonical_test_set(result: Result) -> TestSet | None:
    """Return the canonical test set of a result, or None if its data or protocol are not those of one."""
    test_set = find_test_set(result.data.fingerprint)
    return test_set if test_set is not None and test_set.protocol_id == result.protocol.id else None


def check_test_set(result: Result) -> Iterator[Finding]:
    """Yield problems with a result's protocol, data and videos."""
    known = PROTOCOLS.get(result.protocol.id)
    if known is None or known.hash != result.protocol_hash:
        yield refused(
            f"protocol {result.protocol.id} {result.protocol_hash[:12]} is not one of this version",
            f"score with one of {', '.join(PROTOCOLS)}",
        )
    for key, reason in list(result.failed.items())[:1]:
        yield refused(
            f"{len(result.failed)} videos failed, the first being {key} ({reason[:80]})",
            "a row needs all videos: run again with --retry-failed",
        )
    test_set = canonical_test_set(result)
    if test_set is None:
        yield noted(
            f"data {result.data.fingerprint[:12]} is not a canonical test set of {result.protocol.id}",
            "the row gets its own table; loopcraft.generate --preset makes a canonical test set",
        )
        return
    if len(result.data.keys) != test_set.num_episodes:
        yield refused(
            f"{len(result.data.keys)} of the {test_set.num_episodes} videos of {test_set.name} were scored",
            "leave --max-videos out",
        )
    side = test_set.resolution
    if result.data.frame_shape != (3, side, side):
        yield refused(
            f"frames of {test_set.name} are {side} x {side} pixels, not {result.data.frame_shape[1:]}",
            "score on the unchanged test set",
        )
