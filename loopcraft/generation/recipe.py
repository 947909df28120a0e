"""What decides every byte of a data set: its recipe, as the manifest (dataset.json) records it."""

import dataclasses
from dataclasses import dataclass
from typing import Any, Literal, get_args

from loopcraft.core.errors import UserError
from loopcraft.core.files import is_passing, write_json
from loopcraft.core.urls import AnyPath
from loopcraft.dataset.layout import FORMAT, FORMAT_VERSION, MANIFEST
from loopcraft.dataset.manifest import MOST_PIXELS, Split, default_context, read_manifest, versions
from loopcraft.worlds import world_ids, world_spec
from loopcraft.worlds.base import UNDRAWN

Select = Literal["planned", "realised"]


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """The choices from which every episode follows; nothing else (workers, shards, time) leaves a trace.

    `candidates` counts the walks of which a val or test split keeps those that went furthest ("planned"), or
    those that really see again what they saw ("realised", see realised.py). Train has none.
    """

    world: str
    split: Split
    num_episodes: int
    num_frames: int = 1024
    resolution: int = 256
    quality: str = "default"
    seed: int = 0
    candidates: int | None = None
    lossless: bool = False
    select: Select = "planned"

    def __post_init__(self) -> None:
        if self.split not in get_args(Split):
            raise UserError(f"unknown split {self.split!r}: choose one of {', '.join(get_args(Split))}")
        if not 1 <= self.num_episodes <= 1_000_000:
            raise UserError(f"--num-episodes {self.num_episodes}: choose 1 to 1000000")
        if self.num_frames < 8:
            raise UserError(f"--num-frames {self.num_frames}: an episode needs at least 8 frames")
        if self.quality == UNDRAWN:
            raise UserError(f"--quality {UNDRAWN}: makes no pictures; choose fast, default or best")
        if self.seed < 0:
            raise UserError(f"--seed {self.seed}: choose 0 or more")
        self._check_resolution()
        self._check_candidates()

    def _check_resolution(self) -> None:
        if not 8 <= self.resolution <= MOST_PIXELS:
            raise UserError(f"--resolution {self.resolution}: choose 8 to {MOST_PIXELS} pixels")
        if self.resolution % 2 and not self.lossless:
            next_multiple = -(-self.resolution // 8) * 8
            raise UserError(
                f"--resolution {self.resolution}: must be even for yuv420p, and a multiple of 8 "
                f"for block worlds; choose {next_multiple}"
            )

    def _check_candidates(self) -> None:
        if self.select not in get_args(Select):
            raise UserError(f"--select {self.select}: choose one of {', '.join(get_args(Select))}")
        if self.split == "train":
            if self.select != "planned":
                raise UserError(
                    f"--select {self.select} is for val and test; train chooses no walks: leave it out"
                )
            if self.candidates is not None:
                raise UserError("--candidates is for val and test; a train split draws none: leave it out")
        elif self.candidates is None:
            object.__setattr__(self, "candidates", 10 * self.num_episodes)
        elif self.candidates < self.num_episodes:
            raise UserError(
                f"--candidates {self.candidates}: must be at least --num-episodes ({self.num_episodes})"
            )

    @property
    def num_context(self) -> int:
        """Frames that a model is given."""
        return default_context(self.num_frames)


def world_versions(world: str) -> dict[str, str]:
    """The versions of what a world runs on beyond our own packages, as its spec tells them."""
    spec = world_spec(world) if world in world_ids() else None
    if spec is None or spec.versions is None:
        return {}
    found: dict[str, str] = spec.load(spec.versions)()
    return found


def as_recorded(recipe: Recipe) -> dict[str, Any]:
    """The recipe as dataset.json has it; the usual selection is left out, as sets of old do not name it."""
    fields = dataclasses.asdict(recipe)
    if recipe.select == "planned":
        del fields["select"]
    return fields


def manifest(recipe: Recipe) -> dict[str, Any]:
    """The content of dataset.json."""
    return {
        "format": FORMAT,
        "version": FORMAT_VERSION,
        "world": recipe.world,
        "split": recipe.split,
        "num_context": recipe.num_context,
        "generator": as_recorded(recipe),
        "versions": versions() | world_versions(recipe.world),
    }


def claim_folder(root: AnyPath, recipe: Recipe) -> None:
    """Make `root` this recipe's folder, or check that it already is.

    Raises `UserError` when it is a file, holds other things or was begun with another recipe.
    """
    if not (root / MANIFEST).exists():
        strangers = sorted(path.name for path in root.iterdir() if not is_passing(path))
        if strangers and not (root / MANIFEST).exists():  # another shard may have written it since
            raise UserError(
                f"{root}: holds {strangers[0]!r} but no {MANIFEST}; choose an empty or a new folder"
            )
        write_json(root / MANIFEST, manifest(recipe))
    found = read_manifest(root)
    begun = {
        "select": "planned",
        **found["generator"],
        **{name: found[name] for name in ("world", "split", "num_context")},
    }
    for name, wanted in {**dataclasses.asdict(recipe), "num_context": recipe.num_context}.items():
        if begun.get(name) != wanted:
            raise UserError(
                f"{root}: was begun with {name} = {begun.get(name)}, not {wanted}; "
                "use the same flags or another folder"
            )


def check_versions(root: AnyPath) -> None:
    """Refuse to add files to a folder begun with other versions: they could differ in their bytes.

    Java may be updated on the way: any Java 8 runs the same game.
    """
    begun = read_manifest(root)
    here = versions() | world_versions(begun["world"])
    for name, begun_with in begun["versions"].items():
        if here.get(name) != begun_with and name != "java":
            raise UserError(
                f"{root}: was begun with {name} {begun_with}, and this is {here.get(name)}; "
                "go on with the same version or use another folder"
            )
