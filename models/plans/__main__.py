"""Draw the rollout plan of a model: `python -m models.plans millivid --out plan.png`."""

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated

import tyro

from loopcraft.core.cli import require_at_least, run
from loopcraft.core.errors import UserError
from models.networks.tokens import Grid
from models.plans.builders import NAMED_PLANS


@dataclass(frozen=True, kw_only=True)
class Flags:
    """The plan to draw and the output file."""

    name: Annotated[str, tyro.conf.Positional]
    """Name of the plan, as in "millivid"."""
    out: Path | None = None
    """The picture to write; default NAME.png."""
    steps: int = 22
    """Maximum number of steps to draw."""


def draw(flags: Flags) -> None:
    """Draw one plan and print its cost."""
    from models.plans.picture import draw_plan  # needs matplotlib, which training does not

    if flags.name not in NAMED_PLANS:
        raise UserError(f"there is no plan {flags.name!r}; choose one of {', '.join(NAMED_PLANS)}")
    require_at_least(flags, steps=1)
    plan = NAMED_PLANS[flags.name].build(Grid())
    out = flags.out or Path(f"{flags.name}.png")
    draw_plan(plan, out, title=flags.name, max_steps=flags.steps)
    tokens = sorted(set(plan.num_tokens(Grid(levels=plan.num_levels)).tolist()))
    print(
        f"{out}: {len(plan.steps)} steps of {tokens} tokens finish {plan.width} frames, "
        f"from {plan.denoising_start} context frames"
    )


main = partial(run, Flags, draw)

if __name__ == "__main__":
    raise SystemExit(main())
