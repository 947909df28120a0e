"""Opens the frames of a training run: a world or a data set."""

from pathlib import Path

from loopcraft.core.errors import UserError
from loopcraft.generation.recipe import Recipe
from models.train.data.episodes import DatasetEpisodes, holds_latents
from models.train.data.played import WorldEpisodes, is_world
from models.train.flags import Flags

WORLD_ONLY = ("resolution", "episode_frames", "episode_cache")


def open_frames(
    flags: Flags, model: str, min_frames: int, size: int | None = None
) -> tuple[WorldEpisodes | DatasetEpisodes, int]:
    """Return the source of frames and their size in pixels.

    Raises `UserError` if the data are latents, or episodes are shorter than a sample.
    """
    if not is_world(flags.data):
        refuse_world_flags(flags)
        if Path(flags.data).is_dir() and holds_latents(Path(flags.data)):
            raise UserError(
                f"--data {flags.data} holds latents, but an autoencoder needs frames; give a data set"
            )
        stored = DatasetEpisodes(flags.data, min_frames=min_frames, seed=flags.seed)
        return stored, stored.frame_size
    num_frames = flags.episodes.episode_frames or flags.schedule.episode_frames
    if num_frames < min_frames:
        raise UserError(
            f"a sample of {model} spans {min_frames} frames, but an episode has {num_frames}; raise "
            "--episode-frames, or choose a preset with a smaller budget"
        )
    resolution = flags.episodes.resolution or size or flags.sizes.frame_size
    recipe = Recipe(
        world=flags.data,
        split="train",
        num_episodes=1,
        num_frames=num_frames,
        resolution=resolution,
        seed=flags.seed,
    )
    return WorldEpisodes(recipe=recipe, cache=flags.episodes.episode_cache), resolution


def refuse_world_flags(flags: Flags) -> None:
    """Raise `UserError` for flags that apply only to worlds."""
    for name in WORLD_ONLY:
        if getattr(flags.episodes, name) is not None:
            raise UserError(
                f"--{name.replace('_', '-')} is only for worlds, not for {flags.data}; leave it out"
            )
