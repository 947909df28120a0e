"""Serve a model over HTTP, so that the benchmark can score it from another environment or machine.

    python -m benchmark.serve --model my_package:MyModel          # where the model's own packages are
    python -m benchmark.run --model http://127.0.0.1:8000 ...     # where the benchmark is

Rollouts run one at a time; other requests wait. There is no encryption and no password: the default address
can only be reached from this machine. `sources/http_protocol.py` describes the messages.
"""

import json
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler

from benchmark.contract.compute import Compute
from benchmark.contract.model import RolloutModel, start_rollout
from benchmark.contract.precision import Precision
from benchmark.sources.chunks import check_chunks, guard_rollout
from benchmark.sources.http_protocol import (
    RequestError,
    RolloutRequest,
    decode_request,
    describe,
    write_records,
)
from benchmark.sources.http_server import ModelServer
from benchmark.sources.loading import load_model, parse_model_args
from benchmark.sources.timed_socket import TimedSocket, time_for
from loopcraft.core.cli import describe_os_error, require_at_least, run
from loopcraft.core.device import find_device
from loopcraft.core.errors import UserError

HEADER_S = 10.0
"""How long a client may take over the header of its request, from its first byte to its last."""
SILENCE_S = 60.0
"""How long a client may take over a message to it or from it, beside the time that its size needs."""


@dataclass(frozen=True, kw_only=True)
class Flags:
    """Which model is served, and where."""

    model: str
    """A registered model, or package.module:factory."""
    model_args: str = "{}"
    """A JSON object of arguments for the model's factory."""
    host: str = "127.0.0.1"
    """The address to listen on; 0.0.0.0 lets other machines in."""
    port: int = 8000
    """The port to listen on; 0 takes a free one."""
    device: str = "cpu"
    """Device of the model's context: cpu, cuda, cuda:1 ..."""
    precision: Precision = "float32"
    """Run the model under torch's autocast to this type; float32 means no autocast."""
    max_request_mib: int = 1024
    """The largest request that is read: 256 frames of 256x256 are 48 MiB a video."""


def serve(flags: Flags) -> None:
    """Serve until interrupted."""
    require_at_least(flags, max_request_mib=1)
    model = load_model(flags.model, parse_model_args(flags.model_args))
    if not isinstance(model, RolloutModel):
        raise UserError(f"{flags.model} looks frames up and generates none: it cannot be served")
    compute = Compute(device=find_device(flags.device), precision=flags.precision)
    with make_server(model, compute, flags.host, flags.port, flags.max_request_mib << 20) as server:
        host, port = server.server_address[:2]
        print(f"serving {model.name} on http://{host!s}:{port}", flush=True)
        server.serve_forever()


def make_server(
    model: RolloutModel, compute: Compute, host: str, port: int, max_request_bytes: int
) -> ModelServer:
    """A server for `model`, listening but not yet serving; raises `UserError` where it cannot listen."""
    card = describe(model, compute)

    class Handler(BaseHTTPRequestHandler):
        server: ModelServer
        connection: TimedSocket

        def setup(self) -> None:
            self.request.allow(HEADER_S)
            super().setup()

        def do_GET(self) -> None:
            if self.path == "/model":
                self.answer(HTTPStatus.OK, card.as_json())
            else:
                self.answer(HTTPStatus.NOT_FOUND, {"error": f"no {self.path}: there is GET /model"})

        def do_POST(self) -> None:
            if self.path != "/rollout":
                self.answer(HTTPStatus.NOT_FOUND, {"error": f"no {self.path}: there is POST /rollout"})
                return
            length = self.headers.get("Content-Length", "")
            if not length.isascii() or not length.isdigit():
                self.answer(HTTPStatus.LENGTH_REQUIRED, {"error": "a Content-Length is required"})
            elif len(length) > 15 or int(length) > max_request_bytes:
                message = f"{length[:20]} bytes are more than the {max_request_bytes} that this server reads"
                self.answer(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, {"error": message})
            else:
                with self.server.bodies:
                    self.take(int(length))

        def take(self, length: int) -> None:
            if self.connection.is_abandoned():
                return
            self.connection.allow(time_for(length, SILENCE_S))
            body = self.rfile.read(length)
            if len(body) == length:
                self.roll_out(body)

        def roll_out(self, body: bytes) -> None:
            try:
                request = decode_request(body, card)
            except RequestError as error:
                self.answer(HTTPStatus.BAD_REQUEST, {"error": str(error)})
                return
            self.server.do(partial(self.stream, request))

        def stream(self, request: RolloutRequest) -> None:
            start = partial(start_rollout, model, request.to(compute.device), request.seeds)
            self.connection.allow(SILENCE_S)
            self.send_response(HTTPStatus.OK)
            self.send_header("Content-Type", "application/octet-stream")
            self.end_headers()
            with closing(guard_rollout(model.name, start, compute)) as chunks:
                write_records(check_chunks(chunks, request.horizon_shape), self.write)

        def answer(self, status: HTTPStatus, content: dict[str, object]) -> None:
            body = json.dumps(content).encode()
            self.connection.allow(SILENCE_S)
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def write(self, data: bytes) -> None:
            self.connection.allow(time_for(len(data), SILENCE_S))
            self.wfile.write(data)

    try:
        return ModelServer((host, port), Handler)
    except (OSError, OverflowError, TypeError) as error:  # no such port; a name that no host can have
        reason = describe_os_error(error) if isinstance(error, OSError) else error
        raise UserError(
            f"--host {host} --port {port}: cannot listen there ({reason}); choose an address of this machine "
            "and a free port from 1 to 65535, or 0, which takes one"
        ) from error


main = partial(run, Flags, serve, when_interrupted="stopped: no model is served any longer")

if __name__ == "__main__":
    raise SystemExit(main())
