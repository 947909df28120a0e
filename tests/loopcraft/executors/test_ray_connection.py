"""What a user is told of a Ray cluster that cannot be reached."""

import signal
import socket
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
        (WANTS_A_TOKEN, r"--address 127.0.0.1:\d+: the cluster requires a token; set RAY_AUTH_MODE=token"),
        (None, r"--address 127.0.0.1:\d+: no Ray cluster answers \(Failed to connect\); start one with"),
    ],
)
def test_a_cluster_out_of_reach_is_one_sentence(
    cause: Exception | None, told: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from loopcraft.executors.ray_cluster import connect

    def refuse(**_: object) -> None:
        raise ConnectionError("Failed to connect\nto it") from cause

    monkeypatch.setattr(ray, "is_initialized", lambda: False)
    monkeypatch.setattr(ray, "init", refuse)
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"127.0.0.1:{server.getsockname()[1]}"
        with pytest.raises(UserError, match=told), connect(address):
            pass


def test_an_address_where_nobody_listens_is_not_waited_for() -> None:
    from loopcraft.executors.ray_cluster import connect

    with (
        pytest.raises(UserError, match=r"--address 127.0.0.1:1: no Ray cluster answers \(.*refused\); start"),
        connect("127.0.0.1:1"),
    ):
        pass


@pytest.mark.parametrize(
    ("asked", "environment", "told"),
    [(None, None, "local"), (None, "auto", "auto"), ("auto", "local", "auto")],
)
def test_a_cluster_that_nobody_named_is_not_joined(
    asked: str | None, environment: str | None, told: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ray itself would join whatever cluster runs on the machine."""
    from loopcraft.executors.ray_cluster import connect

    found: list[object] = []
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    if environment is not None:
        monkeypatch.setenv("RAY_ADDRESS", environment)
    monkeypatch.setattr(ray, "is_initialized", lambda: False)
    monkeypatch.setattr(ray, "init", lambda **given: found.append(given["address"]))
    monkeypatch.setattr(ray, "shutdown", lambda: None)
    with connect(asked):
        assert found == [told]


def test_what_ends_the_command_is_ours_and_not_rays(monkeypatch: pytest.MonkeyPatch) -> None:
    from loopcraft.executors.ray_cluster import connect

    ours = signal.getsignal(signal.SIGTERM)
    monkeypatch.setattr(ray, "is_initialized", lambda: False)
    monkeypatch.setattr(ray, "init", lambda **_: signal.signal(signal.SIGTERM, lambda *_: sys.exit(15)))
    monkeypatch.setattr(ray, "shutdown", lambda: None)
    try:
        with connect("auto"):
            assert signal.getsignal(signal.SIGTERM) is ours
    finally:
        signal.signal(signal.SIGTERM, ours)
