"""The recipe of a data set, which determines all of its bytes, and its record in dataset.json."""

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
    """The settings that determine every episode; nothing else (workers, shards, time) has an effect.

    A val or test split draws `candidates` walks and keeps those that go furthest (`select` "planned") or
    those that see again what they saw ("realised", see realised.py). Train has no candidates.
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
            raise UserError(f"--quality {UNDRAWN}: renders no frames; choose fast, default or best")
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
                raise UserError(f"--select {self.select} is for val and test; leave it out for train")
            if self.candidates is not None:
                raise UserError("--candidates is for val and test; leave it out for train")
        elif self.candidates is None:
            object.__setattr__(self, "candidates", 10 * self.num_episodes)
        elif self.candidates < self.num_episodes:
            raise UserError(
                f"--candidates {self.candidates}: must be at least --num-episodes ({self.num_episodes})"
            )

    @property
    def num_context(self) -> int:
        """Number of context frames, which a model is given."""
        return default_context(self.num_frames)


def world_versions(world: str) -> dict[str, str]:
    """Return the versions of a world's further dependencies, from its spec; empty for an unknown world."""
    spec = world_spec(world) if world in world_ids() else None
    if spec is None or spec.versions is None:
        return {}
    return dict(spec.load(spec.versions)())


def as_recorded(recipe: Recipe) -> dict[str, Any]:
    """Return the recipe as stored in dataset.json, without the default selection, as in older data sets."""
    fields = dataclasses.asdict(recipe)
    if recipe.select == "planned":
        del fields["select"]
    return fields


def manifest(recipe: Recipe) -> dict[str, Any]:
    """Return the content of dataset.json."""
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
    """Write this recipe's manifest into `root`, or check the one that it already has.

    Raises `UserError` if `root` is a file, holds other files or was begun with another recipe.
    """
    if not (root / MANIFEST).exists():
        others = sorted(path.name for path in root.iterdir() if not is_passing(path))
        if others and not (root / MANIFEST).exists():  # another shard may have written it meanwhile
            raise UserError(f"{root}: holds {others[0]!r} but no {MANIFEST}; choose an empty or a new folder")
        write_json(root / MANIFEST, manifest(recipe))
    recorded = read_manifest(root)
    begun = {
        "select": "planned",
        **recorded["generator"],
        **{name: recorded[name] for name in ("world", "split", "num_context")},
    }
    for name, wanted in {**dataclasses.asdict(recipe), "num_context": recipe.num_context}.items():
        if begun.get(name) != wanted:
            raise UserError(
                f"{root}: was begun with {name} = {begun.get(name)}, not {wanted}; "
                "use the same flags or another folder"
            )


def check_versions(root: AnyPath) -> None:
    """Raise `UserError` if a folder was begun with other versions, which could give other bytes.

    Java is not compared: any Java 8 runs the same game.
    """
    begun = read_manifest(root)
    installed = versions() | world_versions(begun["world"])
    for name, version in begun["versions"].items():
        if installed.get(name) != version and name != "java":
            raise UserError(
                f"{root}: was begun with {name} {version}, but this is {installed.get(name)}; "
                "continue with the same version or use another folder"
            )
