"""Clients that idle, drip, crowd and leave; models that exit; servers that drip and redirect."""

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
    """Grey frames, and how often it was asked."""

    name, frame_shape, max_context = "grey", (3, SIDE, SIDE), 4

    def __init__(self) -> None:
        self.asked: list[int] = []

    def rollout(self, context, actions, *, seeds):
        self.asked.append(threading.get_ident())
        yield torch.full((len(seeds), actions.shape[1] - context.shape[1], 3, SIDE, SIDE), 0.5)


class Exits(Grey):
    def rollout(self, context, actions, *, seeds):
        self.asked.append(0)
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
    """How many frames the server gives."""
    asked = request()
    model = HttpModel(f"http://{address[0]}:{address[1]}", **options)
    return sum(chunk.shape[1] for chunk in model.rollout(asked.context, asked.actions, seeds=asked.seeds))


def dripping(address: tuple[str, int], start: bytes, stop: threading.Event) -> threading.Thread:
    """A client that sends a byte now and then, until the server has had enough."""

    def drip() -> None:
        with socket.create_connection(address) as connection:
            connection.sendall(start)
            try:
                while not stop.wait(0.05):
                    connection.sendall(b"x")
            except OSError:
                return

    thread = threading.Thread(target=drip)
    thread.start()
    return thread


@pytest.mark.parametrize("number", [1, 100])
def test_idle_clients_hold_up_nobody(number: int) -> None:
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
        clients = [dripping(address, start, stop) for _ in range(4)]
        assert roll_out(address) == 4
        for client in clients:
            client.join(10)
            assert not client.is_alive()
    stop.set()


def test_fifty_at_once_all_get_their_answer_from_one_thread() -> None:
    model = Grey()
    with serving(model) as address, ThreadPoolExecutor(50) as clients:
        assert list(clients.map(lambda _: roll_out(address), range(50))) == [4] * 50
    assert len(model.asked) == 50
    assert len(set(model.asked)) == 1


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
    """While two clients send, a third one's body is not read: its sending is held up."""
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


def test_who_has_left_is_not_rolled_out_for() -> None:
    model = Grey()
    with serving(model) as address:
        sending = [socket.create_connection(address) for _ in range(model_server.BODIES)]
        for connection in sending:
            connection.sendall(START_OF_BODY)
        time.sleep(0.3)
        body = encode_request(request())
        with socket.create_connection(address) as gone:
            gone.sendall(b"POST /rollout HTTP/1.0\r\nContent-Length: %d\r\n\r\n" % len(body))
            time.sleep(0.3)
        for connection in sending:
            connection.close()
        assert roll_out(address) == 4
    assert len(model.asked) == 1


def test_a_models_exit_is_an_answer_and_not_the_end() -> None:
    with serving(Exits()) as address:
        for _ in range(2):
            with pytest.raises(
                ContractError, match=r"grey: sys.exit\(0\) was called: raise an exception instead"
            ):
                roll_out(address)


def test_the_machines_failure_arrives_as_such() -> None:
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
def answering(reply: Callable[[socket.socket], None]) -> Iterator[str]:
    """A server that does `reply` to whoever asks, once."""
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
        place = f"http://{address[0]}:{address[1]}/model"
        answer = f"HTTP/1.0 {status} Moved\r\nLocation: {place}\r\n\r\n".encode()
        with (
            answering(lambda connection: connection.sendall(answer)) as url,
            pytest.raises(UserError, match=f"/model: redirects .{status}.; give the address"),
        ):
            HttpModel(url)


@pytest.mark.parametrize("start", [b"", b"HTTP/1.0 200 OK\r\nX-Slow: ", b"HTTP/1.0 200 OK\r\n\r\n{"])
def test_a_server_that_drips_has_a_time_by_which_to_end(start: bytes) -> None:
    def drip(connection: socket.socket) -> None:
        connection.sendall(start)
        for _ in range(1000):
            connection.sendall(b" ")
            time.sleep(0.02)

    begin = time.monotonic()
    with (
        answering(drip) as url,
        pytest.raises(UserError, match=r"(no model server answers|not a model server) .*timed out"),
    ):
        HttpModel(url, timeout_s=0.5)
    assert time.monotonic() < begin + 5


class Slow(Grey):
    def rollout(self, context, actions, *, seeds):
        for _ in range(actions.shape[1] - context.shape[1]):
            yield torch.zeros(len(seeds), 1, 3, SIDE, SIDE)
            time.sleep(0.2)


def test_a_rollout_has_a_time_by_which_to_end() -> None:
    with serving(Slow()) as address:
        assert roll_out(address, timeout_s=5.0, total_s=5.0) == 4
        with pytest.raises(UserError, match=r"the rollout broke off .timed out"):
            roll_out(address, timeout_s=5.0, total_s=0.5)


def test_deep_json_is_no_card() -> None:
    deep = b"HTTP/1.0 200 OK\r\n\r\n" + b"[" * 50_000
    with (
        answering(lambda connection: connection.sendall(deep)) as url,
        pytest.raises(UserError, match="not a model server of this protocol"),
    ):
        HttpModel(url)
