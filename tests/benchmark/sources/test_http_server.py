"""Clients that idle, trickle bytes, crowd or leave; models that exit; servers that trickle or redirect."""

import http.client
import socket
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import pytest
import torch

from benchmark.contract.compute import Compute
from benchmark.contract.model import ContractError
from benchmark.sources import http_server as model_server
from benchmark.sources import timed_socket
from benchmark.sources.http_client import HttpModel
from benchmark.sources.http_protocol import RolloutRequest, encode_request
from benchmark.sources.http_server import ModelServer
from benchmark.sources.machine import MachineError
from loopcraft.core.errors import UserError

LIMIT = 1 << 22
SIDE = 16


class Grey:
    """A model of grey frames that records its calls."""

    name, frame_shape, max_context = "grey", (3, SIDE, SIDE), 4

    def __init__(self) -> None:
        self.threads: list[int] = []

    def rollout(self, context, actions, *, seeds):
        self.threads.append(threading.get_ident())
        yield torch.full((len(seeds), actions.shape[1] - context.shape[1], 3, SIDE, SIDE), 0.5)


class Exits(Grey):
    def rollout(self, context, actions, *, seeds):
        self.threads.append(0)
        yield torch.zeros(len(seeds), 1, 3, SIDE, SIDE)
        raise SystemExit(0)


class NoDevice(Grey):
    def rollout(self, context, actions, *, seeds):
        raise RuntimeError("Found no NVIDIA driver on your system")


@contextmanager
def serving(model: Grey) -> Iterator[tuple[str, int]]:
    with ModelServer(model, Compute(), "127.0.0.1", 0, LIMIT) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server.server_address[:2]
        server.shutdown()
        thread.join()


def request(horizon: int = 4) -> RolloutRequest:
    return RolloutRequest(
        context=torch.zeros(1, 4, 3, SIDE, SIDE, dtype=torch.uint8),
        actions=torch.zeros(1, 4 + horizon, dtype=torch.int64),
        seeds=[1],
    )


def roll_out(address: tuple[str, int], **options) -> int:
    """Roll out once and count the frames the server sends."""
    rollout_request = request()
    model = HttpModel(f"http://{address[0]}:{address[1]}", **options)
    return sum(
        chunk.shape[1]
        for chunk in model.rollout(
            rollout_request.context, rollout_request.actions, seeds=rollout_request.seeds
        )
    )


def start_trickling_client(address: tuple[str, int], start: bytes, stop: threading.Event) -> threading.Thread:
    """Start a client that sends a byte now and then until the server drops it."""

    def trickle() -> None:
        with socket.create_connection(address) as connection:
            connection.sendall(start)
            try:
                while not stop.wait(0.05):
                    connection.sendall(b"x")
            except OSError:
                return

    thread = threading.Thread(target=trickle)
    thread.start()
    return thread


@pytest.mark.parametrize("number", [1, 100])
def test_idle_clients_do_not_delay_others(number: int) -> None:
    with serving(Grey()) as address:
        idle = [socket.create_connection(address) for _ in range(number)]
        begin = time.monotonic()
        assert roll_out(address) == 4
        assert time.monotonic() < begin + model_server.HEADER_S / 2
        for connection in idle:
            connection.close()


START_OF_BODY = b"POST /rollout HTTP/1.0\r\nContent-Length: 1000000\r\n\r\n"


@pytest.mark.parametrize("start", [b"", b"GET /model HTTP/1.0\r\nX-Slow: ", START_OF_BODY])
def test_who_drips_is_let_go(start: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(model_server, "HEADER_S", 0.5)
    monkeypatch.setattr(model_server, "SILENCE_S", 0.5)
    monkeypatch.setattr(timed_socket, "SLOWEST", 1 << 22)
    stop = threading.Event()
    with serving(Grey()) as address:
        clients = [start_trickling_client(address, start, stop) for _ in range(4)]
        assert roll_out(address) == 4
        for client in clients:
            client.join(10)
            assert not client.is_alive()
    stop.set()


def test_fifty_clients_at_once_are_served_by_one_thread() -> None:
    model = Grey()
    with serving(model) as address, ThreadPoolExecutor(50) as clients:
        assert list(clients.map(lambda _: roll_out(address), range(50))) == [4] * 50
    assert len(model.threads) == 50
    assert len(set(model.threads)) == 1


def test_more_than_there_is_room_for_are_told_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(model_server, "CONNECTIONS", 3)
    with serving(Grey()) as address:
        idle = [socket.create_connection(address) for _ in range(3)]
        time.sleep(0.5)
        with pytest.raises(MachineError, match=r"is busy .* run the same command again later"):
            roll_out(address)
        for connection in idle:
            connection.close()
        time.sleep(0.5)
        assert roll_out(address) == 4


def test_bodies_in_memory_are_few(monkeypatch: pytest.MonkeyPatch) -> None:
    """While two clients send, the body of a third is not read, so its sending blocks."""
    with serving(Grey()) as address:
        sending = [socket.create_connection(address) for _ in range(model_server.BODIES)]
        for connection in sending:
            connection.sendall(START_OF_BODY)
        time.sleep(0.3)
        with pytest.raises(UserError, match=r"no model server answers .timed out"):
            roll_out(address, timeout_s=0.5)
        for connection in sending:
            connection.close()
        assert roll_out(address) == 4


def test_nothing_is_rolled_out_for_a_departed_client() -> None:
    model = Grey()
    with serving(model) as address:
        sending = [socket.create_connection(address) for _ in range(model_server.BODIES)]
        for connection in sending:
            connection.sendall(START_OF_BODY)
        time.sleep(0.3)
        body = encode_request(request())
        with socket.create_connection(address) as departed:
            departed.sendall(b"POST /rollout HTTP/1.0\r\nContent-Length: %d\r\n\r\n" % len(body))
            time.sleep(0.3)
        for connection in sending:
            connection.close()
        assert roll_out(address) == 4
    assert len(model.threads) == 1


def test_an_exit_of_the_model_is_reported_and_the_server_survives() -> None:
    with serving(Exits()) as address:
        for _ in range(2):
            with pytest.raises(
                ContractError, match=r"grey: sys.exit\(0\) was called: raise an exception instead"
            ):
                roll_out(address)


def test_a_machine_failure_arrives_as_one() -> None:
    with serving(NoDevice()) as address, pytest.raises(MachineError, match="Found no NVIDIA driver"):
        roll_out(address)


@pytest.mark.parametrize("length", ["9" * 5000, "00", "1e3", "\u0661"])
def test_strange_lengths_are_answered(length: str) -> None:
    with serving(Grey()) as address:
        connection = http.client.HTTPConnection(*address, timeout=10)
        connection.putrequest("POST", "/rollout")
        connection.putheader("Content-Length", length.encode())
        connection.endheaders()
        assert connection.getresponse().status in (400, 411, 413)
        assert roll_out(address) == 4


# The client.


@contextmanager
def reply_once(reply: Callable[[socket.socket], None]) -> Iterator[str]:
    """Run a server that answers one request with `reply`."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def answer() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.recv(1 << 16)
                try:
                    reply(connection)
                except OSError:
                    return

        thread = threading.Thread(target=answer)
        thread.start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        thread.join()


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_the_client_goes_nowhere_else(status: int) -> None:
    with serving(Grey()) as address:
        target = f"http://{address[0]}:{address[1]}/model"
        answer = f"HTTP/1.0 {status} Moved\r\nLocation: {target}\r\n\r\n".encode()
        with (
            reply_once(lambda connection: connection.sendall(answer)) as url,
            pytest.raises(UserError, match=f"/model: redirects .{status}.; give the address"),
        ):
            HttpModel(url)


@pytest.mark.parametrize("start", [b"", b"HTTP/1.0 200 OK\r\nX-Slow: ", b"HTTP/1.0 200 OK\r\n\r\n{"])
def test_a_server_that_drips_has_a_time_by_which_to_end(start: bytes) -> None:
    def trickle(connection: socket.socket) -> None:
        connection.sendall(start)
        for _ in range(1000):
            connection.sendall(b" ")
            time.sleep(0.02)

    begin = time.monotonic()
    with (
        reply_once(trickle) as url,
        pytest.raises(UserError, match=r"(no model server answers|not a model server) .*timed out"),
    ):
        HttpModel(url, timeout_s=0.5)
    assert time.monotonic() < begin + 5


class Slow(Grey):
    def rollout(self, context, actions, *, seeds):
        for _ in range(actions.shape[1] - context.shape[1]):
            yield torch.zeros(len(seeds), 1, 3, SIDE, SIDE)
            time.sleep(0.2)


def test_a_long_rollout_times_out() -> None:
    with serving(Slow()) as address:
        assert roll_out(address, timeout_s=5.0, total_s=5.0) == 4
        with pytest.raises(UserError, match=r"the rollout broke off .timed out"):
            roll_out(address, timeout_s=5.0, total_s=0.5)


def test_deep_json_is_not_accepted_as_a_card() -> None:
    deep = b"HTTP/1.0 200 OK\r\n\r\n" + b"[" * 50_000
    with (
        reply_once(lambda connection: connection.sendall(deep)) as url,
        pytest.raises(UserError, match="not a model server of this protocol"),
    ):
        HttpModel(url)
