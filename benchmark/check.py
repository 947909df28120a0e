"""Check that a model keeps the contract of the benchmark, on made-up videos, before hours go into real ones.

Frames have the promised shape, type, range and number. Inputs are left as they were, and so are frames that
are out and what the process shares; nothing ends it. The same seeds give the same frames, and neither the
batch size nor the place in the batch matters. The true frames to come make no difference. Later actions may
(the protocol gives them all at once): that is said, and fails with --causal.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import rich
from rich.markup import escape

from benchmark.conformance.checks import TrialSize, check_model, process_state
from benchmark.contract.compute import Compute
from benchmark.contract.precision import Precision
from benchmark.sources.loading import load_model
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
    """Frames to generate; more than one chunk of the model tells more."""
    side: int = 64
    """Height and width of the frames in pixels, for a model that takes any."""
    tolerance: int = 1
    """Levels of 255 by which frames that should be equal may differ (sums round otherwise in a batch)."""
    causal: bool = False
    """Fail a model whose frames depend on the actions after them."""
    device: str = "cpu"
    """Where the model gets its context."""
    precision: Precision = "float32"
    """Run the model under torch's autocast to this type; float32 is without."""


def check(flags: Flags) -> int:
    """Print a line a check; fail if one failed."""
    if flags.context < 1 or flags.horizon < 2 or flags.side < 1:
        raise UserError("--context and --side must be at least 1, and --horizon at least 2")
    size = TrialSize(
        context=flags.context,
        horizon=flags.horizon,
        side=flags.side,
        tolerance=flags.tolerance,
        causal=flags.causal,
    )
    before = process_state()
    model = load_model(flags.model, flags.model_args)
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
