"""Make the player's scenes for a few videos of a test set: truth, recall mask, walk and map."""

from dataclasses import dataclass
from functools import partial
from pathlib import Path

import tyro

from benchmark.contract.protocol import get_protocol
from leaderboard.film.scene import scene_name, write_scene
from loopcraft.core import cli
from loopcraft.core.errors import UserError
from loopcraft.core.writing import writing_to
from loopcraft.dataset import open_dataset


@dataclass(frozen=True, kw_only=True)
class Flags:
    """The videos and their data set."""

    data: tyro.conf.Positional[Path]
    """Folder of the data set; the player shows its recall masks if it has any."""
    protocol: str
    """Protocol by which the videos are scored; it sets how much of them is context."""
    keys: str
    """Keys of the videos, like 000/001,000/003."""
    out: Path
    """Folder for the scenes, one subfolder each."""


def run(flags: Flags) -> None:
    """Write the scenes."""
    dataset, protocol = open_dataset(flags.data), get_protocol(flags.protocol)
    keys = cli.names_in(flags.keys)
    with writing_to(flags.out, swept=[scene_name(key) for key in keys]):
        for key in keys:
            if key not in dataset.keys:
                raise UserError(f"--keys {key}: not a video of {flags.data}; keys are like {dataset.keys[0]}")
            folder = flags.out / scene_name(key)
            write_scene(folder, dataset, key, protocol.context, protocol.num_frames)
            print(f"wrote {folder}")


main = partial(cli.run, Flags, run)

if __name__ == "__main__":
    raise SystemExit(main())
