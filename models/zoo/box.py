"""The weights that come with the project: a set of models for each of the built-in worlds.

`pretrained` is the set that fits the world of the data; `pretrained/WORLD` names one.
"""

from pathlib import Path

from loopcraft.core.errors import UserError

PRETRAINED = "pretrained"
"""The name of the checkpoints that come with the project."""
PRETRAINED_FOLDER = Path(__file__).parents[1] / PRETRAINED
NATURAL = "voxel-v1"
"""The set for data of any other world, or of none that is known: hills and woods, as in Minecraft."""


def boxed_worlds() -> tuple[str, ...]:
    """The worlds that have a set."""
    return tuple(sorted(path.name for path in PRETRAINED_FOLDER.iterdir() if path.is_dir()))


def is_boxed(checkpoint: str) -> bool:
    """Whether the name of a checkpoint means one that comes with the project."""
    return checkpoint == PRETRAINED or checkpoint.startswith(f"{PRETRAINED}/")


def choose_set(checkpoint: str, world_id: str | None) -> Path:
    """The folder of the set that `checkpoint` and the data's world mean; raises `UserError` for no set."""
    named = checkpoint.removeprefix(PRETRAINED).removeprefix("/")
    worlds = boxed_worlds()
    if named and named not in worlds:
        raise UserError(f"no models for world {named!r} come with the project, only for {', '.join(worlds)}")
    return PRETRAINED_FOLDER / (named or (world_id if world_id in worlds else NATURAL))


def misfit(checkpoint: str, world_id: str | None) -> str | None:
    """What a result should say of a boxed set that is of another world than the data; None if it fits."""
    if world_id is None or not is_boxed(checkpoint):
        return None
    chosen = choose_set(checkpoint, world_id).name
    if chosen == world_id:
        return None
    return f"the weights were trained on world {chosen!r}, and the data is of {world_id!r}"
