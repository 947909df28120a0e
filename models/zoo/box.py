"""The weights that come with the project: one set of models for each built-in world.

`pretrained` means the set for the world of the data; `pretrained/WORLD` names a set.
"""

from pathlib import Path

from loopcraft.core.errors import UserError

PRETRAINED = "pretrained"
"""The name of the checkpoints that come with the project."""
PRETRAINED_FOLDER = Path(__file__).parents[1] / PRETRAINED
NATURAL = "voxel-v1"
"""The set for data from any other world, or from an unknown one: hills and woods, as in Minecraft."""


def boxed_worlds() -> tuple[str, ...]:
    """Return the worlds that have a set, sorted."""
    return tuple(sorted(path.name for path in PRETRAINED_FOLDER.iterdir() if path.is_dir()))


def is_boxed(checkpoint: str) -> bool:
    """Return whether `checkpoint` names a set that comes with the project."""
    return checkpoint == PRETRAINED or checkpoint.startswith(f"{PRETRAINED}/")


def choose_set(checkpoint: str, world_id: str | None) -> Path:
    """Return the folder of the set for a checkpoint name and the data's world.

    Raises `UserError` if `checkpoint` names a world without a set.
    """
    name = checkpoint.removeprefix(PRETRAINED).removeprefix("/")
    worlds = boxed_worlds()
    if name and name not in worlds:
        raise UserError(f"no models for world {name!r} come with the project, only for {', '.join(worlds)}")
    return PRETRAINED_FOLDER / (name or (world_id if world_id in worlds else NATURAL))


def world_mismatch(checkpoint: str, world_id: str | None) -> str | None:
    """Return a note for the result if a set was trained on a world other than the data's, else None."""
    if world_id is None or not is_boxed(checkpoint):
        return None
    trained_on = choose_set(checkpoint, world_id).name
    if trained_on == world_id:
        return None
    return f"the weights were trained on world {trained_on!r}, and the data is of {world_id!r}"
