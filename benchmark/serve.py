"""Serve a model over HTTP, so that the benchmark can score it from another environment or machine.

    python -m benchmark.serve --model my_package:MyModel          # where the model's own packages are
    python -m benchmark.run --model http://127.0.0.1:8000 ...     # where the benchmark is

Rollouts run one at a time; other requests wait. There is no encryption and no password: the default address
can only be reached from this machine. `sources/http_protocol.py` describes the messages.
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
    limit, tag = flags.max_request_mib << 20, tag_of(flags)
    with ModelServer(model, compute, flags.host, flags.port, limit, tag=tag) as server:
        host, port = server.server_address[:2]
        print(f"serving {model.name} on http://{host!s}:{port}", flush=True)
        server.serve_forever()


def tag_of(flags: Flags) -> str:
    """What stands for the model that is loaded: where it comes from, its file and its arguments."""
    served = [flags.model, parse_model_args(flags.model_args), module_sha256(factory_module(flags.model))]
    return hashlib.sha256(json.dumps(served, sort_keys=True).encode()).hexdigest()


main = partial(run, Flags, serve, when_interrupted="stopped: no model is served any longer")

if __name__ == "__main__":
    raise SystemExit(main())
