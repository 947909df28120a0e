"""Draw the README's moving picture, and a still of it: `python docs/moving.py`.

An episode of plaza-v1 that no model has seen: the truth, what MilliVid and its baselines from the box make of
the same 64 frames and actions, and where the agent is. Frames of the context come first; the line below tells
how long ago the context showed the place.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import tyro
from jaxtyping import Float, Int64, UInt8
from PIL import Image, ImageDraw, ImageFont

from loopcraft.generation.plan import plan_candidate
from loopcraft.generation.recipe import Recipe
from loopcraft.view import ground_below
from loopcraft.views.map import CONTEXT_COLOR, HORIZON_COLOR, REVISIT_COLOR, headings
from loopcraft.walks.revisits import revisit_ages
from loopcraft.worlds import make_world
from models.zoo.world_models import build_rollout

CONTEXT, FRAMES, SIZE = 64, 256, 64
SCALE, GAP, HEADER = 3, 6, 22
MODELS = {"MilliVid": "millivid", "FramePack": "framepack", "full-resolution rollout": "full-resolution"}
STEP, MILLISECONDS = 2, 110
"""Every other frame is shown, for this long: half of real time."""


@dataclass(frozen=True, kw_only=True)
class Flags:
    """Which episode, and where to."""

    candidate: int = 7
    """The candidate of plaza-v1's split val."""
    out: Path = Path(__file__).resolve().parent / "memory.webp"
    still: Path = Path(__file__).resolve().parent / "models.jpg"
    quality: int = 80
    checkpoint: str = "pretrained"


@dataclass(frozen=True, kw_only=True)
class Episode:
    """What was seen, where from, and what every model made of it."""

    seed: int
    poses: Float[np.ndarray, "T 5"]
    videos: dict[str, UInt8[np.ndarray, "T H W 3"]]
    ages: Int64[np.ndarray, " horizon"]
    """Frames since the context last showed the view; 0 where it did not, or never was away."""


def play(flags: Flags) -> Episode:
    """Play the episode and generate its horizon with every model."""
    recipe = Recipe(
        world="plaza-v1", split="val", num_episodes=24, num_frames=FRAMES, resolution=SIZE, seed=0
    )
    world = make_world(recipe.world, resolution=SIZE)
    plan = plan_candidate(recipe, flags.candidate)
    seen = list(world.play(plan.world_seed, plan.actions))
    truth = np.stack([one.frame for one in seen])
    poses = np.array([one.pose for one in seen])
    videos = {"truth": truth}
    actions = torch.from_numpy(plan.actions.astype(np.int64))[None]
    for title, name in MODELS.items():
        model = build_rollout(name, checkpoint=flags.checkpoint, world=recipe.world)
        first = CONTEXT - model.max_context
        context = torch.from_numpy(truth[first:CONTEXT]).movedim(-1, 1)[None]
        chunks = torch.cat(list(model.rollout(context, actions[:, first:], seeds=[0])), dim=1)[0]
        made = (chunks * 255).round().byte().movedim(1, -1).numpy()
        videos[title] = np.concatenate([truth[:CONTEXT], made])
    return Episode(seed=plan.world_seed, poses=poses, videos=videos, ages=revisit_ages(poses, CONTEXT))


def draw_frame(episode: Episode, court: Image.Image, frame: int) -> Image.Image:
    """All panels at one moment."""
    side = SCALE * SIZE
    sheet = Image.new("RGB", ((len(episode.videos) + 1) * (side + GAP) - GAP, side + 2 * HEADER), "white")
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(14)
    age = 0 if frame < CONTEXT else int(episode.ages[frame - CONTEXT])
    for column, (title, video) in enumerate(episode.videos.items()):
        left = column * (side + GAP)
        sheet.paste(
            Image.fromarray(video[frame]).resize((side, side), Image.Resampling.NEAREST), (left, HEADER)
        )
        draw.text((left + 2, 2), title, "#22262b", font=font)
    left = len(episode.videos) * (side + GAP)
    sheet.paste(
        draw_position(episode, court, frame).resize((side, side), Image.Resampling.LANCZOS), (left, HEADER)
    )
    draw.text((left + 2, 2), "the court from above", "#22262b", font=font)
    draw_state(draw, frame, age, sheet.width, HEADER + side)
    return sheet


def draw_state(draw: ImageDraw.ImageDraw, frame: int, age: int, width: int, top: int) -> None:
    """A line below the panels: what the models are given, or for how long the place was out of sight."""
    font = ImageFont.load_default(14)
    if frame < CONTEXT:
        color, text = CONTEXT_COLOR, f"frame {frame}: all models are shown this"
    elif age:
        color, text = REVISIT_COLOR, f"frame {frame}: back at a place last seen {age} frames ago"
    else:
        color, text = HORIZON_COLOR, f"frame {frame}: generated from the actions alone"
    draw.rectangle((0, top + 16, width * (frame + 1) // FRAMES, top + 20), fill=color)
    draw.text((2, top), text, color, font=font)


def draw_position(episode: Episode, court: Image.Image, frame: int) -> Image.Image:
    """The court with the way so far and where the agent looks."""
    ground = ground_below("plaza-v1", episode.seed, episode.poses)
    assert ground is not None
    corner = np.array([ground.west, ground.north])
    places = (episode.poses[: frame + 1][:, [0, 2]] - corner) / ground.blocks_per_pixel
    picture = court.copy()
    draw = ImageDraw.Draw(picture)
    shown = [tuple(place) for place in places[: CONTEXT + 1].tolist()]
    after = [tuple(place) for place in places[CONTEXT:].tolist()]
    for way, color in ((shown, CONTEXT_COLOR), (after, HORIZON_COLOR)):
        if len(way) > 1:
            draw.line(way, fill=color, width=5)
    ahead = headings(episode.poses[frame : frame + 1, 3])[0]
    across = np.array([-ahead[1], ahead[0]])
    here = places[-1]
    tip = [here + 26 * ahead, here - 12 * ahead + 14 * across, here - 12 * ahead - 14 * across]
    draw.polygon([tuple(point) for point in np.array(tip).tolist()], fill="white", outline="black", width=3)
    return picture


def draw_still(episode: Episode, columns: int = 8) -> Image.Image:
    """A row for the truth and for every model, a column for each of some returns."""
    returns = CONTEXT + np.flatnonzero(episode.ages)
    chosen = returns[np.linspace(0, len(returns) - 1, columns).round().astype(int)]
    side, left = 2 * SIZE, 84
    sheet = Image.new(
        "RGB", (left + columns * (side + GAP), HEADER + len(episode.videos) * (side + GAP)), "white"
    )
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(13)
    for column, frame in enumerate(chosen):
        x = left + column * (side + GAP)
        draw.text((x, 3), f"{frame}, seen {episode.ages[frame - CONTEXT]} ago", REVISIT_COLOR, font=font)
        for row, video in enumerate(episode.videos.values()):
            picture = Image.fromarray(video[frame]).resize((side, side), Image.Resampling.NEAREST)
            sheet.paste(picture, (x, HEADER + row * (side + GAP)))
    for row, title in enumerate(episode.videos):
        draw.text(
            (0, HEADER + row * (side + GAP) + side // 2 - 16), title.replace(" ", "\n"), "#22262b", font=font
        )
    return sheet


def main() -> None:
    """Write both pictures."""
    flags = tyro.cli(Flags)
    episode = play(flags)
    ground = ground_below("plaza-v1", episode.seed, episode.poses)
    assert ground is not None
    court = Image.fromarray(ground.image)
    frames = [draw_frame(episode, court, frame) for frame in range(0, FRAMES, STEP)]
    frames[0].save(
        flags.out,
        save_all=True,
        append_images=frames[1:],
        duration=MILLISECONDS,
        loop=0,
        quality=flags.quality,
        method=6,
    )
    draw_still(episode).save(flags.still, quality=90)
    print(f"{flags.out}: {flags.out.stat().st_size / 1e6:.2f} MB, {len(frames)} frames")


if __name__ == "__main__":
    main()
