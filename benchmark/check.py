"""Check on synthetic videos that a model keeps the benchmark's contract, before hours of real evaluation.

Frames must have the right shape, type, range and number. The model must not change its inputs, frames that it
has yielded, or the state of the process, and must not exit. Equal seeds must give equal frames; batch size,
position in the batch and the true frames after the context must make no difference. Later actions may, as the
protocol gives all of them at once: this is reported, and fails with --causal.

With --isolate the model runs in its own process: a crash, a hang or an exit fails a check and ends only that
process; what the model does to its inputs, its memory and its process cannot do harm and is not checked. Each
traceback of the model is printed once, to standard error.
"""

import sys
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from typing import Annotated

import rich
import tyro
from rich.markup import escape

from benchmark.conformance.checks import TrialSize, check_model, process_state
from benchmark.contract.compute import Compute
from benchmark.contract.model import ContractError
from benchmark.contract.precision import Precision
from benchmark.sources.loading import parse_model_args
from benchmark.sources.machine import failure_details
from benchmark.sources.source import IsolationFlags, ScoredSource, load
from loopcraft.core.cli import EXIT_FAILED, EXIT_OK, printable, require_at_least, run
from loopcraft.core.device import find_device

_STYLES = {"ok": "green", "note": "yellow", "FAILED": "bold red"}


@dataclass(frozen=True, kw_only=True)
class Flags:
    """The flags of `python -m benchmark.check`."""

    model: str
    """A registered model, package.module:factory, or the http://HOST:PORT of benchmark.serve."""
    model_args: str = "{}"
    """Arguments for the model's factory, as a JSON object."""
    context: int = 64
    """Number of context frames."""
    horizon: int = 48
    """Number of frames to generate; choose more than one chunk of the model."""
    resolution: Annotated[int, tyro.conf.arg(aliases=("--side",))] = 64
    """Height and width of the frames in pixels, if the model takes any."""
    tolerance: int = 1
    """Allowed difference, in 8-bit levels, of frames that should be equal (rounding depends on the batch)."""
    causal: bool = False
    """Fail a model whose frames depend on later actions."""
    device: str = "cpu"
    """Device of the model's inputs: cpu, cuda, cuda:1 ..."""
    precision: Precision = "float32"
    """Dtype of torch's autocast for the model; float32 disables autocast."""
    isolate: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False
    """Run the model in its own process, as benchmark.run does with package.module:factory."""
    timeout: float | None = None
    """Time limit for each chunk in seconds; runs the model in its own process."""
    memory_limit: float | None = None
    """Memory limit in GB, without GPU memory; runs the model in its own process. Linux only."""

    @property
    def isolation(self) -> IsolationFlags:
        """The isolation that was requested; none by default."""
        flags = IsolationFlags(isolate=self.isolate, timeout=self.timeout, memory_limit=self.memory_limit)
        return flags if flags.wanted else IsolationFlags(no_isolate=True)


def check(flags: Flags) -> int:
    """Run the checks and print one line for each; return `EXIT_FAILED` if any failed."""
    require_at_least(flags, context=1, horizon=2, resolution=1)
    size = TrialSize(
        context=flags.context,
        horizon=flags.horizon,
        side=flags.resolution,
        tolerance=flags.tolerance,
        causal=flags.causal,
    )
    before = process_state()
    compute = Compute(device=find_device(flags.device), precision=flags.precision)
    arguments = parse_model_args(flags.model_args)
    model = load(flags.model, arguments, world=None, compute=compute, isolation=flags.isolation)
    with closing(ScoredSource(model=model, spec=flags.model, arguments=flags.model_args)):
        outcomes = check_model(model, size, compute, before, _Tracebacks().show)
    for name, (status, message) in outcomes.items():
        rich.print(f"[{_STYLES[status]}]{status:7}[/] {name}: {escape(printable(message))}")
    failed = sum(status == "FAILED" for status, _ in outcomes.values())
    verdict = f"{failed} of {len(outcomes)} checks failed" if failed else "keeps the contract"
    rich.print(f"{escape(printable(model.name))}: {verdict}")
    return EXIT_FAILED if failed else EXIT_OK


class _Tracebacks:
    """Prints the traceback of each failed rollout, without repeating identical ones."""

    def __init__(self) -> None:
        self._shown: set[str] = set()

    def show(self, error: ContractError) -> None:
        if error.__cause__ is None:  # wrong frames, which the message describes
            return
        text = failure_details(error)
        if text not in self._shown:
            self._shown.add(text)
            print(printable(text.rstrip()), file=sys.stderr, flush=True)


main = partial(run, Flags, check)

if __name__ == "__main__":
    raise SystemExit(main())
