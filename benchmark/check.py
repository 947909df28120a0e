"""Check on made-up videos that a model keeps the benchmark's contract, before hours go into real ones.

Frames have the promised shape, type, range and number. The model changes neither its inputs, nor frames that
it has yielded, nor the state of the process, and does not end it. Equal seeds give equal frames; batch size
and place in the batch make no difference; nor do true frames of the future. Later actions may make one (the
protocol gives all of them at once): this is reported, and fails with --causal. With --isolate the model has a
process of its own: a crash, a hang or an exit of its own fails a check and ends none but that process, and
what it does to its inputs, its memory and its process reaches nobody and is not looked at. Each traceback of
the model is shown once, on standard error.
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
    isolate: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False
    """Run the model in a process of its own, as benchmark.run does with package.module:factory."""
    timeout: float | None = None
    """Seconds that the model may take over a chunk; gives it a process of its own."""
    memory_limit: float | None = None
    """GB of memory (not a GPU's) that the model may take; gives it a process of its own. Linux only."""

    @property
    def isolation(self) -> IsolationFlags:
        """A process of its own where one is asked for, and none otherwise."""
        asked = IsolationFlags(isolate=self.isolate, timeout=self.timeout, memory_limit=self.memory_limit)
        return asked if asked.wanted else IsolationFlags(no_isolate=True)


def check(flags: Flags) -> int:
    """Print a line a check; fail if one failed."""
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
    """Shows what in the model broke off a rollout, once where it is the same again."""

    def __init__(self) -> None:
        self._shown: set[str] = set()

    def show(self, error: ContractError) -> None:
        if error.__cause__ is None:  # the frames are not as promised: the message says all
            return
        text = failure_details(error)
        if text not in self._shown:
            self._shown.add(text)
            print(printable(text.rstrip()), file=sys.stderr, flush=True)


main = partial(run, Flags, check)

if __name__ == "__main__":
    raise SystemExit(main())
