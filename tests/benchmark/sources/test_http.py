"""A model behind HTTP scores as in process; broken requests, servers and streams are distinguished."""

import http.client
import json
import re
import signal
import socket
import struct
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import pytest
import torch
from safetensors.torch import save

from benchmark import run, serve
from benchmark.contract.compute import Compute
from benchmark.contract.model import ContractError
from benchmark.results.result_file import read_result
from benchmark.sources.http_client import HttpModel
from benchmark.sources.http_protocol import (
    BrokenStreamError,
    RequestError,
    RolloutRequest,
    decode_request,
    describe,
    encode_request,
    read_records,
)
from benchmark.sources.http_server import ModelServer
from benchmark.sources.loading import load_model
from benchmark.sources.references import CopyLast
from loopcraft.core.errors import UserError
from tests.fakes.benchmark_data import write_dataset

LIMIT = 1 << 20


class Noise:
    """A model that yields noise from each video's seed, in chunks of five."""

    name, frame_shape, max_context, checkpoint_sha256 = "noise", (3, 16, 16), 4, "c" * 64

    def rollout(self, context, actions, *, seeds):
        noise = [torch.Generator().manual_seed(seed) for seed in seeds]
        for start in range(0, actions.shape[1] - context.shape[1], 5):
            count = min(5, actions.shape[1] - context.shape[1] - start)
            yield torch.stack([torch.rand(count, 3, 16, 16, generator=g) for g in noise])


class Breaks(Noise):
    def rollout(self, context, actions, *, seeds):
        yield torch.zeros(len(seeds), 2, 3, 16, 16)
        raise ValueError("out of memory")


@contextmanager
def serving(model, port: int = 0, tag: str | None = None) -> Iterator[str]:
    with ModelServer(model, Compute(), "127.0.0.1", port, LIMIT, tag=tag) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        thread.join()


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with serving(Noise()) as address:
        yield address


def make_request(batch: int = 2, num_context: int = 4, horizon: int = 12) -> RolloutRequest:
    return RolloutRequest(
        context=torch.zeros(batch, num_context, 3, 16, 16, dtype=torch.uint8),
        actions=torch.zeros(batch, num_context + horizon, dtype=torch.int64),
        seeds=[2**62 + video for video in range(batch)],
    )


def test_a_served_model_scores_like_a_local_one(url, tmp_path) -> None:
    data = write_dataset(tmp_path / "data")
    flags = ["--data", str(data), "--protocol", "loopcraft-mini", "--batch-size", "2"]
    assert run.main(["--model", url, "--out", str(tmp_path / "far"), *flags]) == 0
    flags += ["--no-isolate", "--out", str(tmp_path / "near")]
    assert run.main(["--model", f"{__name__}:Noise", *flags]) == 0
    far, near = (read_result(tmp_path / name / "result.json") for name in ("far", "near"))
    assert far.metrics == near.metrics
    assert (far.model.name, far.model.spec, far.model.checkpoint_sha256) == ("noise", url, "c" * 64)


def test_a_server_of_another_model_cannot_continue_a_run(tmp_path, capsys) -> None:
    data, request = write_dataset(tmp_path / "data"), make_request()
    flags = ["--data", str(data), "--protocol", "loopcraft-mini", "--out", str(tmp_path / "run"), "--model"]
    with serving(Noise(), tag="one") as address:
        model, port = HttpModel(address), int(address.rpartition(":")[2])
        assert run.main([*flags, address, "--max-videos", "1"]) == 0
    with serving(Noise(), port, tag="two"):
        assert run.main([*flags, address]) == 2
        output = capsys.readouterr().err
        assert (
            f"the model served at {address} has changed since the scores were made; choose another" in output
        )
        with pytest.raises(
            UserError, match="no longer serves the model that this run began with; start that one"
        ):
            next(model.rollout(request.context, request.actions, seeds=request.seeds))
    with serving(Noise(), port, tag="one"):
        assert run.main([*flags, address]) == 0


def test_a_server_tag_depends_on_file_and_arguments() -> None:
    tags = {
        serve.tag_of(serve.Flags(model=model, model_args=arguments))
        for model in (f"{__name__}:Noise", "copy-last")
        for arguments in ("{}", '{"size": 2}')
    }
    assert len(tags) == 4
    plain = serve.Flags(model="copy-last", model_args='{"a": 1, "b": 2}')
    other = serve.Flags(model="copy-last", model_args='{ "b": 2, "a": 1 }', port=1)
    assert serve.tag_of(plain) == serve.tag_of(other)


def test_chunks_arrive_as_they_are_made() -> None:
    next_requested, chunk_numbers = threading.Event(), []

    class Slow(Noise):
        def rollout(self, context, actions, *, seeds):
            for chunk in super().rollout(context, actions, seeds=seeds):
                chunk_numbers.append(len(chunk_numbers))
                yield chunk
                assert next_requested.wait(20)

    request = make_request()
    with serving(Slow()) as address:
        chunks = HttpModel(address).rollout(request.context, request.actions, seeds=request.seeds)
        assert next(chunks).shape == (2, 5, 3, 16, 16)
        assert chunk_numbers == [0]
        next_requested.set()
        assert [chunk.shape[1] for chunk in chunks] == [5, 2]


def test_a_served_bound_stays_a_bound_of_any_frame_size() -> None:
    with serving(CopyLast()) as address:
        model = load_model(address)
        assert (model.name, model.frame_shape, model.role) == ("copy-last", None, "bound")


def test_an_error_in_the_model_comes_back(tmp_path) -> None:
    request = make_request()
    with serving(Breaks()) as address:
        chunks = HttpModel(address).rollout(request.context, request.actions, seeds=request.seeds)
        assert next(chunks).shape[1] == 2
        with pytest.raises(ContractError, match="noise raised ValueError: out of memory"):
            next(chunks)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda t: t.pop("seeds"),
            r"expected the tensors context, actions and seeds, got \['actions', 'context'\]",
        ),
        (lambda t: t.update(extra=t["seeds"] + 1), "expected the tensors"),
        (lambda t: t.update(context=t["context"].float()), r"must be uint8 \(B, C, 3, H, W\), got float32"),
        (lambda t: t.update(context=t["context"][0]), "context must be uint8"),
        (lambda t: t.update(context=t["context"][:, :0]), "2 x 0 frames, the model takes 1 to 4"),
        (
            lambda t: t.update(context=t["context"].repeat(1, 2, 1, 1, 1)),
            "2 x 8 frames, the model takes 1 to 4",
        ),
        (lambda t: t.update(context=t["context"][..., :8]), r"\[3, 16, 8\], the model's have \[3, 16, 16\]"),
        (lambda t: t.update(actions=t["actions"].int()), "actions must be int64"),
        (
            lambda t: t.update(actions=t["actions"][:1]),
            r"actions must be int64 \(2, C \+ horizon\), got int64",
        ),
        (lambda t: t.update(actions=t["actions"][:, :4]), "actions end with the context: 4 for 4"),
        (lambda t: t.update(actions=t["actions"] + 3), "actions must be 0 to 2"),
        (lambda t: t.update(actions=t["actions"] - 1), "actions must be 0 to 2"),
        (lambda t: t.update(seeds=t["seeds"][:1]), r"seeds must be int64 \(2,\), got int64 \(1,\)"),
        (lambda t: t.update(seeds=t["seeds"].double()), "seeds must be int64"),
    ],
)
def test_a_wrong_request_is_refused_with_the_reason(change, message: str) -> None:
    request = make_request()
    tensors = {"context": request.context, "actions": request.actions, "seeds": torch.tensor(request.seeds)}
    change(tensors)
    with pytest.raises(RequestError, match=message):
        decode_request(
            save({name: t.contiguous() for name, t in tensors.items()}), describe(Noise(), Compute())
        )


@pytest.mark.parametrize("body", [b"", b"{}", b"\xff" * 64, (8).to_bytes(8, "little") + b'{"a": 1}'])
def test_other_documents_are_refused(body: bytes) -> None:
    with pytest.raises(RequestError, match="not a safetensors document"):
        decode_request(body, describe(Noise(), Compute()))


def test_a_request_survives_the_wire() -> None:
    request = make_request()
    decoded = decode_request(encode_request(request), describe(Noise(), Compute()))
    assert torch.equal(decoded.context, request.context)
    assert torch.equal(decoded.actions, request.actions)
    assert decoded.seeds == request.seeds


def ask(url: str, method: str, path: str, body: bytes | None = None, **headers: str) -> tuple[int, dict]:
    connection = http.client.HTTPConnection(url.removeprefix("http://"), timeout=10)
    connection.putrequest(method, path)
    for name, value in headers.items():
        connection.putheader(name.replace("_", "-"), value)
    connection.endheaders(body)
    response = connection.getresponse()
    return response.status, json.loads(response.read())


def test_every_mistake_has_a_status_and_the_server_survives(url) -> None:
    assert ask(url, "GET", "/")[0] == 404
    assert ask(url, "POST", "/model", Content_Length="0")[0] == 404
    assert ask(url, "POST", "/rollout")[0] == 411
    assert ask(url, "POST", "/rollout", Content_Length="-5")[0] == 411
    status, answer = ask(url, "POST", "/rollout", Content_Length=str(LIMIT + 1))
    assert (status, answer["error"]) == (
        413,
        f"{LIMIT + 1} bytes are more than this server's limit of {LIMIT}",
    )
    status, answer = ask(url, "POST", "/rollout", b"nonsense", Content_Length="8")
    assert (status, answer["error"][:29]) == (400, "not a safetensors document: E")
    assert ask(url, "GET", "/model")[1] == {
        "format": "loopcraft-rollout-1",
        "name": "noise",
        "frame_shape": [3, 16, 16],
        "max_context": 4,
        "role": "model",
        "checkpoint_sha256": "c" * 64,
        "precision": "float32",
    }


@pytest.mark.parametrize("own", [None, "bfloat16", "half"])
def test_a_served_model_states_its_precision(own: str | None) -> None:
    model = Noise()
    model.precision_on = lambda device: own
    if own == "half":
        with pytest.raises(ContractError, match="precision_on gave 'half'"):
            describe(model, Compute())
    else:
        precision = describe(model, Compute(precision="float16")).precision
        assert precision == (own or "float16")


def test_a_refused_rollout_is_the_models_failure(url) -> None:
    request = make_request(num_context=8)
    with pytest.raises(
        ContractError, match=r"/rollout refused: context holds 2 x 8 frames, the model takes 1 to 4"
    ):
        next(HttpModel(url).rollout(request.context, request.actions, seeds=request.seeds))


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.mark.parametrize("address", ["http://127.0.0.1:{free_port}", "http://127.0.0.1:no", "http://"])
def test_a_missing_server_error_names_the_remedy(address: str) -> None:
    address = address.format(free_port=free_port())
    with pytest.raises(UserError, match=r"no model server answers .*python -m benchmark.serve"):
        load_model(address)


@contextmanager
def serve_canned(answer: bytes) -> Iterator[str]:
    """Run a server that gives the same answer to every request."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def reply() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.recv(1 << 16)
                connection.sendall(answer)

        thread = threading.Thread(target=reply)
        thread.start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        thread.join()


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (b"HTTP/1.0 200 OK\r\n\r\n<html>", "not a model server of this protocol"),
        (b'HTTP/1.0 200 OK\r\n\r\n{"format": "loopcraft-rollout-2"}', "not a model server of this protocol"),
        (b"HTTP/1.0 500 Oops\r\n\r\n", "refused: 500 Oops"),
        (b"SSH-2.0-OpenSSH\r\n", "no model server answers"),
    ],
)  # fmt: skip
def test_a_foreign_server_is_recognised(answer: bytes, message: str) -> None:
    with serve_canned(answer) as address, pytest.raises(UserError, match=message):
        HttpModel(address)


FRAME = bytes(3 * 4 * 4)


@pytest.mark.parametrize(
    ("stream", "message"),
    [
        (b"", "it ended early"),
        (struct.pack("<cI", b"F", 2) + FRAME, "it ended early"),
        (struct.pack("<cI", b"F", 1) + FRAME, "it ended early"),
        (struct.pack("<cI", b"F", 0), "a record b'F' of 0 with 3 frames to go"),
        (struct.pack("<cI", b"F", 4), "a record b'F' of 4 with 3 frames to go"),
        (struct.pack("<cI", b"Q", 1), "a record b'Q'"),
        (struct.pack("<cI", b"X", 1 << 31), "a record b'X'"),
    ],
)
def test_a_broken_stream_is_not_the_models_fault(stream: bytes, message: str) -> None:
    with pytest.raises(BrokenStreamError, match=message):
        list(read_records(reader(stream), (1, 3, 3, 4, 4)))


def test_frames_and_failures_are_read_back() -> None:
    pixels = np.arange(3 * 48, dtype=np.uint8)
    stream = struct.pack("<cI", b"F", 3) + pixels.tobytes()
    (chunk,) = read_records(reader(stream + struct.pack("<cI", b"E", 0)), (1, 3, 3, 4, 4))
    np.testing.assert_array_equal(chunk.numpy(), pixels.reshape(1, 3, 3, 4, 4))
    with pytest.raises(ContractError, match="it hurts"):
        list(read_records(reader(stream + struct.pack("<cI", b"X", 8) + b"it hurts"), (1, 3, 3, 4, 4)))


def reader(stream: bytes):
    left = memoryview(stream)

    def read(size: int) -> bytes:
        nonlocal left
        data, left = bytes(left[:size]), left[size:]
        return data

    return read


def test_a_server_that_dies_ends_the_run_with_one_sentence(tmp_path) -> None:
    request = make_request()
    with serving(Noise()) as address:
        model = HttpModel(address)
    with pytest.raises(UserError, match="no model server answers"):
        next(model.rollout(request.context, request.actions, seeds=request.seeds))


def test_the_command_serves_and_says_where() -> None:
    command = [sys.executable, "-m", "benchmark.serve", "--model", "copy-last", "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        assert server.stderr is not None
        try:
            message = server.stdout.readline().strip()
            assert message.startswith("serving copy-last on http://127.0.0.1:")
            assert HttpModel(message.split()[-1]).max_context == 1
        finally:
            server.terminate()
        assert server.stderr.read().splitlines()[-1] == "stopped: the model is no longer served"
    assert server.returncode == 128 + signal.SIGTERM


def test_bounds_that_look_frames_up_are_not_served(capsys) -> None:
    assert serve.main(["--model", "ground-truth"]) == 2
    assert "ground-truth looks up recorded frames and generates none" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (["--port", "99999"], r"cannot listen at --host 127\.0\.0\.1 --port 99999 \(.*0-65535.*: choose"),
        (
            ["--port", "0", "--host", "203.0.113.1"],
            r"cannot listen at --host 203\.0\.113\.1 --port 0 \(.*: choose",
        ),
        (["--port", "0", "--host", "\u00fc" * 64], r"cannot listen at --host \u00fc+ --port 0 \(.*: choose"),
        (["--port", "0", "--max-request-mib", "-1"], r"--max-request-mib -1: choose 1 or more"),
    ],
)
def test_a_server_that_cannot_start_says_why(flags: list[str], said: str, capsys) -> None:
    assert serve.main(["--model", "copy-last", *flags]) == 2
    error = capsys.readouterr().err
    assert re.match(f"error: {said}", error), error
    assert error.count("\n") == 1
