"""Draw the README's animation, and a still of it: `python docs/moving.py`.

The still of the other world: `--world voxel-v1 --candidate 9 --out None --still docs/models-voxel.jpg`.

The animation shows an episode that no model was trained on: the truth, what MilliVid and its baselines, with
the weights in this repository, generate from the same 64 frames and actions, and the agent's position. It
begins with the context; the line below states how long ago the context showed the place.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import tyro
from jaxtyping import Float, Int64, UInt8
from PIL import Image

from loopcraft.drawing.canvas import CONTEXT_COLOR, HORIZON_COLOR, REVISIT_COLOR, Canvas
from loopcraft.drawing.grid import Grid, Row, draw_rows
from loopcraft.drawing.walk import headings
from loopcraft.generation.plan import plan_candidate
from loopcraft.generation.recipe import Recipe
from loopcraft.views.map import ground_below
from loopcraft.walks.revisits import revisit_ages
from loopcraft.worlds import make_world
from loopcraft.worlds.base import GroundPicture
from models.zoo.world_models import build_rollout

CONTEXT, FRAMES, SIZE = 64, 256, 64
SCALE, GAP, HEADER = 3, 6, 22
MODELS = {"MilliVid": "millivid", "FramePack": "framepack", "full-resolution rollout": "full-resolution"}
STEP, MILLISECONDS = 2, 110
"""Every second frame is shown, each for 110 ms: close to real time."""


@dataclass(frozen=True, kw_only=True)
class Flags:
    """The episode and the output files."""

    world: str = "plaza-v1"
    candidate: int = 7
    """Candidate of the world's split val."""
    out: Path | None = Path(__file__).resolve().parent / "memory.webp"
    still: Path = Path(__file__).resolve().parent / "models.jpg"
    quality: int = 80
    checkpoint: str = "pretrained"


@dataclass(frozen=True, kw_only=True)
class Episode:
    """An episode's poses, its true video and the video of every model."""

    seed: int
    poses: Float[np.ndarray, "T 5"]
    videos: dict[str, UInt8[np.ndarray, "T H W 3"]]
    ages: Int64[np.ndarray, " horizon"]
    """Frames since the context last showed the view; 0 if it never did, or if the agent was never away."""


def play(flags: Flags) -> Episode:
    """Play the episode and generate its horizon with every model."""
    recipe = Recipe(
        world=flags.world, split="val", num_episodes=24, num_frames=FRAMES, resolution=SIZE, seed=0
    )
    world = make_world(recipe.world, resolution=SIZE)
    plan = plan_candidate(recipe, flags.candidate)
    observations = list(world.play(plan.world_seed, plan.actions))
    truth = np.stack([observation.frame for observation in observations])
    poses = np.array([observation.pose for observation in observations])
    videos = {"truth": truth}
    actions = torch.from_numpy(plan.actions.astype(np.int64))[None]
    for title, name in MODELS.items():
        model = build_rollout(name, checkpoint=flags.checkpoint, world=recipe.world)
        first = CONTEXT - model.max_context
        context = torch.from_numpy(truth[first:CONTEXT]).movedim(-1, 1)[None]
        chunks = torch.cat(list(model.rollout(context, actions[:, first:], seeds=[0])), dim=1)[0]
        generated = (chunks * 255).round().byte().movedim(1, -1).numpy()
        videos[title] = np.concatenate([truth[:CONTEXT], generated])
    return Episode(seed=plan.world_seed, poses=poses, videos=videos, ages=revisit_ages(poses, CONTEXT))


def draw_frame(episode: Episode, ground: GroundPicture, frame: int) -> Canvas:
    """Draw all panels at one frame."""
    grid = Grid(tile=SCALE * SIZE, columns=len(episode.videos) + 1, gap=GAP, above=HEADER, below=HEADER)
    canvas = Canvas(*grid.size(1))
    panels = {title: video[frame] for title, video in episode.videos.items()}
    panels["from above"] = draw_position(episode, ground, frame)
    for index, (title, panel) in enumerate(panels.items()):
        left, top = grid.corner(index)
        canvas.write(left + 2, top - HEADER + 2, title, 14)
        canvas.place(left, top, panel, grid.tile)
    color, text = state(episode, frame)
    top += grid.tile
    canvas.write(2, top, f"frame {frame}: {text}", 14, color)
    canvas.box(0, top + 17, canvas.width * (frame + 1) / FRAMES, 5, color)
    return canvas


def state(episode: Episode, frame: int) -> tuple[str, str]:
    """Return the colour and text of the status line: given context, a return with its age, or generated."""
    if frame < CONTEXT:
        return CONTEXT_COLOR, "all models are shown this"
    if age := episode.ages[frame - CONTEXT]:
        return REVISIT_COLOR, f"back at a place last seen {age} frames ago"
    return HORIZON_COLOR, "generated from the actions alone"


def draw_position(episode: Episode, ground: GroundPicture, frame: int) -> UInt8[np.ndarray, "height width 3"]:
    """Draw the ground with the path so far and the agent's heading."""
    corner = np.array([ground.west, ground.north])
    points = (episode.poses[: frame + 1, [0, 2]] - corner) / ground.blocks_per_pixel
    canvas = Canvas.of(ground.image)
    canvas.line(points[: CONTEXT + 1], CONTEXT_COLOR, 5)
    canvas.line(points[CONTEXT:], HORIZON_COLOR, 5)
    ahead = headings(episode.poses[frame : frame + 1, 3])[0]
    across = np.array([-ahead[1], ahead[0]])
    arrow = np.stack([26 * ahead, 14 * across - 12 * ahead, -14 * across - 12 * ahead])
    canvas.shape(points[-1] + 1.3 * arrow, "black")
    canvas.shape(points[-1] + arrow, "white")
    return canvas.pixels


def draw_still(episode: Episode, columns: int = 8) -> Canvas:
    """Draw a row for the truth and each model, with a column for each of some returns."""
    returns = CONTEXT + np.flatnonzero(episode.ages)
    chosen = returns[np.linspace(0, len(returns) - 1, columns).round().astype(int)]
    rows = [Row(label=title, frames=list(video[chosen])) for title, video in episode.videos.items()]
    titles = [f"{frame}, seen {episode.ages[frame - CONTEXT]} ago" for frame in chosen]
    return draw_rows(rows, titles, tile=2 * SIZE, title_color=REVISIT_COLOR)


def main() -> None:
    """Write the pictures."""
    flags = tyro.cli(Flags)
    episode = play(flags)
    draw_still(episode).save(flags.still, quality=90)
    if flags.out is not None:
        save_moving(episode, flags)


def save_moving(episode: Episode, flags: Flags) -> None:
    """Write the animation and print its size."""
    ground = ground_below(flags.world, episode.seed, episode.poses)
    assert ground is not None
    assert flags.out is not None
    pictures = [draw_frame(episode, ground, frame).pixels for frame in range(0, FRAMES, STEP)]
    frames = [Image.fromarray(picture) for picture in pictures]
    frames[0].save(
        flags.out,
        save_all=True,
        append_images=frames[1:],
        duration=MILLISECONDS,
        loop=0,
        quality=flags.quality,
        method=6,
    )
    print(f"{flags.out}: {flags.out.stat().st_size / 1e6:.2f} MB, {len(frames)} frames")


if __name__ == "__main__":
    main()
