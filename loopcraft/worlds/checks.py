"""Checks of a world's requirements on this machine, each with a remedy."""

from dataclasses import dataclass

from loopcraft.core.errors import UserError
from loopcraft.worlds.registry import world_spec


@dataclass(frozen=True, kw_only=True)
class Check:
    """A requirement, what was found, and, if that is not sufficient, a command that fixes it."""

    name: str
    found: str
    remedy: str | None = None


def require_world(world_id: str) -> None:
    """Raise `UserError` at a world's first failed check, with the command that fixes it."""
    spec = world_spec(world_id)
    for check in () if spec.checks is None else spec.load(spec.checks)():
        if check.remedy:
            raise UserError(
                f"world {world_id!r} cannot run here: {check.name}: {check.found}; fix it with: "
                f"{check.remedy} (all checks: python -m loopcraft.doctor --world {world_id})"
            )
