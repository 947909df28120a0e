"""Draw an episode: a sheet of its frames, a map of its walk, and a preview video with action and position.

Writes KEY-frames.png, KEY-map.png and KEY-preview.mp4 ("-" replaces the "/" of the key). If the episode has
recall masks, also writes KEY-memory.png: what the context showed of its frames.
"""

from dataclasses import dataclass
from functools import partial
from pathlib import Path

import tyro

from loopcraft.core import cli, errors
from loopcraft.core.writing import writing_to
from loopcraft.dataset.manifest import default_context
from loopcraft.dataset.mask_files import DTYPES
from loopcraft.dataset.reader import LoopcraftDataset, open_dataset
from loopcraft.views.contact_sheet import write_memory_sheet, write_sheet
from loopcraft.views.map import draw_map, ground_of
from loopcraft.views.preview import write_preview


@dataclass(frozen=True, kw_only=True)
class Flags:
    """The flags of `python -m loopcraft.view`."""

    data: tyro.conf.Positional[Path]
    """Folder of the data set."""
    key: tyro.conf.Positional[str | None] = None
    """Episode to draw, such as 000/003; the first by default."""
    out: Path
    """Folder for the pictures."""
    context: int | None = None
    """Number of context frames; by default 256, or a quarter of a video shorter than 1024 frames."""


def view(dataset: LoopcraftDataset, key: str, out: Path, *, num_context: int | None = None) -> list[Path]:
    """Write the views of one episode; return their paths.

    Raises `UserError` for a context that is empty or leaves no frame after it.
    """
    states = dataset.states(key)
    num_frames = dataset.num_frames(key)
    context = default_context(num_frames) if num_context is None else num_context
    if not 0 < context < num_frames:
        raise errors.UserError(
            f"--context {context}: choose 1 to {num_frames - 1}; episode {key} has {num_frames} frames"
        )
    name = key.replace("/", "-")
    title = " · ".join(part for part in (f"episode {key}", dataset.world_id) if part)
    sheet, walk, preview = (out / f"{name}-{end}" for end in ("frames.png", "map.png", "preview.mp4"))
    write_sheet(sheet, dataset.iterate_frames(key), num_frames, context, title=title)
    ground = ground_of(dataset, key, states[:, 1:])
    draw_map(walk, states[:, 1:], context, title=title, background=ground)
    write_preview(preview, dataset.iterate_frames(key), states, context, title=title)
    masks = dataset.masks(key) if context == dataset.num_context else None  # they assume that context
    if masks is None or set(masks) != set(DTYPES):
        return [sheet, walk, preview]
    memory = out / f"{name}-memory.png"
    write_memory_sheet(memory, dataset.iterate_frames(key), masks, context, title=title)
    return [sheet, walk, preview, memory]


def run(flags: Flags) -> None:
    """Write the views and print their paths."""
    dataset = open_dataset(flags.data)
    with writing_to(flags.out, together=True):
        paths = view(dataset, flags.key or dataset.keys[0], flags.out, num_context=flags.context)
    print(*paths, sep="\n")


main = partial(cli.run, Flags, run)

if __name__ == "__main__":
    raise SystemExit(main())
