"""What a user is told of a Ray cluster that cannot be reached."""

import signal
import sys

import pytest

from loopcraft.core.errors import UserError

ray = pytest.importorskip("ray", reason="Ray is not installed: .[cluster]")

WANTS_A_TOKEN = RuntimeError(
    "Failed to connect to GCS. Last connection error: ray.exceptions.AuthenticationError: RPC error: "
    "InvalidAuthToken: Authentication token is missing or incorrect."
)
"""What Ray 2.60 raises, shortened, where `ray start` found a token and the command does not send it."""


@pytest.mark.parametrize(
    ("cause", "told"),
    [
        (WANTS_A_TOKEN, r"--address head:6379: the cluster wants a token; set RAY_AUTH_MODE=token"),
        (None, r"--address head:6379: no Ray cluster answers \(Failed to connect\); start one with"),
    ],
)
def test_a_cluster_out_of_reach_is_one_sentence(
    cause: Exception | None, told: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from loopcraft.executors.ray_cluster import connected

    def refuse(**_: object) -> None:
        raise ConnectionError("Failed to connect\nto it") from cause

    monkeypatch.setattr(ray, "is_initialized", lambda: False)
    monkeypatch.setattr(ray, "init", refuse)
    with pytest.raises(UserError, match=told), connected("head:6379"):
        pass


def test_what_ends_the_command_is_ours_and_not_rays(monkeypatch: pytest.MonkeyPatch) -> None:
    from loopcraft.executors.ray_cluster import connected

    ours = signal.getsignal(signal.SIGTERM)
    monkeypatch.setattr(ray, "is_initialized", lambda: False)
    monkeypatch.setattr(ray, "init", lambda **_: signal.signal(signal.SIGTERM, lambda *_: sys.exit(15)))
    monkeypatch.setattr(ray, "shutdown", lambda: None)
    try:
        with connected("head:6379"):
            assert signal.getsignal(signal.SIGTERM) is ours
    finally:
        signal.signal(signal.SIGTERM, ours)
