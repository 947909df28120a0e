"""What a world needs of a machine, as findings that each name what mends them."""

from dataclasses import dataclass

from loopcraft.core.errors import UserError
from loopcraft.worlds.registry import world_spec


@dataclass(frozen=True, kw_only=True)
class Check:
    """What was looked at, what was found, and, if that will not do, the command that mends it."""

    name: str
    found: str
    remedy: str | None = None


def require_world(world_id: str) -> None:
    """Raise `UserError` at the first thing that a world lacks here, with the command that mends it."""
    spec = world_spec(world_id)
    for check in () if spec.checks is None else spec.load(spec.checks)():
        if check.remedy:
            raise UserError(
                f"world {world_id!r} cannot run here: {check.name}: {check.found}; mend it with: "
                f"{check.remedy} (all checks: python -m loopcraft.doctor --world {world_id})"
            )
