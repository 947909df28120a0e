"""Check on made-up videos that a model keeps the benchmark's contract, before hours go into real ones.

Frames have the promised shape, type, range and number. The model changes neither its inputs, nor frames that
it has yielded, nor the state of the process, and does not end it. Equal seeds give equal frames; batch size
and place in the batch make no difference; nor do true frames of the future. Later actions may make one (the
protocol gives all of them at once): this is reported, and fails with --causal.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

import rich
import tyro
from rich.markup import escape

from benchmark.conformance.checks import TrialSize, check_model, process_state
from benchmark.contract.compute import Compute
from benchmark.contract.precision import Precision
from benchmark.sources.loading import load_model, parse_model_args
from loopcraft.core.cli import EXIT_FAILED, EXIT_OK, printable, run
from loopcraft.core.device import find_device
from loopcraft.core.errors import UserError

_STYLES = {"ok": "green", "note": "yellow", "FAILED": "bold red"}


@dataclass(frozen=True, kw_only=True)
class Flags:
    """Which model is checked, and on how much."""

    model: str
    """A registered model, package.module:factory, or the http://HOST:PORT of benchmark.serve."""
    model_args: str = "{}"
    """A JSON object of arguments for the model's factory."""
    context: int = 64
    """Frames of context."""
    horizon: int = 48
    """Frames to generate; choose more than one chunk of the model."""
    resolution: Annotated[int, tyro.conf.arg(aliases=("--side",))] = 64
    """Height and width of the frames in pixels, for a model that takes any."""
    tolerance: int = 1
    """Largest difference, in 8-bit levels, of frames that should be equal (rounding depends on the batch)."""
    causal: bool = False
    """Fail a model whose frames depend on the actions after them."""
    device: str = "cpu"
    """Device of the model's context: cpu, cuda, cuda:1 ..."""
    precision: Precision = "float32"
    """Run the model under torch's autocast to this type; float32 means no autocast."""


def check(flags: Flags) -> int:
    """Print a line a check; fail if one failed."""
    if flags.context < 1 or flags.horizon < 2 or flags.resolution < 1:
        raise UserError("--context and --resolution must be at least 1, and --horizon at least 2")
    size = TrialSize(
        context=flags.context,
        horizon=flags.horizon,
        side=flags.resolution,
        tolerance=flags.tolerance,
        causal=flags.causal,
    )
    before = process_state()
    model = load_model(flags.model, parse_model_args(flags.model_args))
    compute = Compute(device=find_device(flags.device), precision=flags.precision)
    outcomes = check_model(model, size, compute, before)
    for name, (status, message) in outcomes.items():
        rich.print(f"[{_STYLES[status]}]{status:7}[/] {name}: {escape(printable(message))}")
    failed = sum(status == "FAILED" for status, _ in outcomes.values())
    verdict = f"{failed} of {len(outcomes)} checks failed" if failed else "keeps the contract"
    rich.print(f"{escape(printable(model.name))}: {verdict}")
    return EXIT_FAILED if failed else EXIT_OK


def main(argv: Sequence[str] | None = None) -> int:
    """The command."""
    return run(Flags, check, argv)


if __name__ == "__main__":
    raise SystemExit(main())
