"""Connecting to a Ray cluster: errors, the default address and signal handlers."""

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
"""What Ray 2.60 raises, shortened, if `ray start` found a token that the command does not send."""


@pytest.mark.parametrize(
    ("cause", "message"),
    [
        (WANTS_A_TOKEN, r"--address 127.0.0.1:\d+: the cluster requires a token; set RAY_AUTH_MODE=token"),
        (None, r"--address 127.0.0.1:\d+: no Ray cluster answers \(Failed to connect\); start one with"),
    ],
)
def test_an_unreachable_cluster_is_reported(
    cause: Exception | None, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from loopcraft.executors.ray_cluster import connect

    def refuse(**_: object) -> None:
        raise ConnectionError("Failed to connect\nto it") from cause

    monkeypatch.setattr(ray, "is_initialized", lambda: False)
    monkeypatch.setattr(ray, "init", refuse)
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"127.0.0.1:{server.getsockname()[1]}"
        with pytest.raises(UserError, match=message), connect(address):
            pass


def test_an_address_that_refuses_connections_fails_at_once() -> None:
    from loopcraft.executors.ray_cluster import connect

    with (
        pytest.raises(UserError, match=r"--address 127.0.0.1:1: no Ray cluster answers \(.*refused\); start"),
        connect("127.0.0.1:1"),
    ):
        pass


@pytest.mark.parametrize(
    ("address", "environment", "expected"),
    [(None, None, "local"), (None, "auto", "auto"), ("auto", "local", "auto")],
)
def test_a_cluster_is_joined_only_if_it_is_named(
    address: str | None, environment: str | None, expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ray itself would join any cluster that runs on the machine."""
    from loopcraft.executors.ray_cluster import connect

    addresses: list[object] = []
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    if environment is not None:
        monkeypatch.setenv("RAY_ADDRESS", environment)
    monkeypatch.setattr(ray, "is_initialized", lambda: False)
    monkeypatch.setattr(ray, "init", lambda **options: addresses.append(options["address"]))
    monkeypatch.setattr(ray, "shutdown", lambda: None)
    with connect(address):
        assert addresses == [expected]


def test_rays_signal_handler_does_not_replace_the_commands(monkeypatch: pytest.MonkeyPatch) -> None:
    from loopcraft.executors.ray_cluster import connect

    handler = signal.getsignal(signal.SIGTERM)
    monkeypatch.setattr(ray, "is_initialized", lambda: False)
    monkeypatch.setattr(ray, "init", lambda **_: signal.signal(signal.SIGTERM, lambda *_: sys.exit(15)))
    monkeypatch.setattr(ray, "shutdown", lambda: None)
    try:
        with connect("auto"):
            assert signal.getsignal(signal.SIGTERM) is handler
    finally:
        signal.signal(signal.SIGTERM, handler)
