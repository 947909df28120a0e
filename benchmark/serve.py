"""Serve a model over HTTP, so that the benchmark can score it from another environment or machine.

    python -m benchmark.serve --model my_package:MyModel          # in the model's environment
    python -m benchmark.run --model http://127.0.0.1:8000 ...     # in the benchmark's environment

Rollouts run one at a time; other requests wait. There is no encryption or authentication: the default address
can be reached only from this machine. `sources/http_protocol.py` describes the messages.
"""

import hashlib
import json
from dataclasses import dataclass
from functools import partial

from benchmark.contract.compute import Compute
from benchmark.contract.model import RolloutModel
from benchmark.contract.precision import Precision
from benchmark.sources.http_server import ModelServer
from benchmark.sources.loading import factory_module, load_model, module_sha256, parse_model_args
from loopcraft.core.cli import require_at_least, run
from loopcraft.core.device import find_device
from loopcraft.core.errors import UserError


@dataclass(frozen=True, kw_only=True)
class Flags:
    """The flags of `python -m benchmark.serve`."""

    model: str
    """A registered model, or package.module:factory."""
    model_args: str = "{}"
    """Arguments for the model's factory, as a JSON object."""
    host: str = "127.0.0.1"
    """Address to listen on; 0.0.0.0 admits other machines."""
    port: int = 8000
    """Port to listen on; 0 chooses a free one."""
    device: str = "cpu"
    """Device of the model's inputs: cpu, cuda, cuda:1 ..."""
    precision: Precision = "float32"
    """Dtype of torch's autocast for the model; float32 disables autocast."""
    max_request_mib: int = 1024
    """Largest accepted request in MiB; 256 frames of 256x256 are 48 MiB per video."""


def serve(flags: Flags) -> None:
    """Serve until interrupted."""
    require_at_least(flags, max_request_mib=1)
    model = load_model(flags.model, parse_model_args(flags.model_args))
    if not isinstance(model, RolloutModel):
        raise UserError(f"{flags.model} looks up recorded frames and generates none: it cannot be served")
    compute = Compute(device=find_device(flags.device), precision=flags.precision)
    limit, tag = flags.max_request_mib << 20, tag_of(flags)
    with ModelServer(model, compute, flags.host, flags.port, limit, tag=tag) as server:
        host, port = server.server_address[:2]
        print(f"serving {model.name} on http://{host!s}:{port}", flush=True)
        server.serve_forever()


def tag_of(flags: Flags) -> str:
    """Return a SHA-256 that identifies the model: its name, its arguments and its code."""
    served = [flags.model, parse_model_args(flags.model_args), module_sha256(factory_module(flags.model))]
    return hashlib.sha256(json.dumps(served, sort_keys=True).encode()).hexdigest()


main = partial(run, Flags, serve, when_interrupted="stopped: the model is no longer served")

if __name__ == "__main__":
    raise SystemExit(main())
