"""Make the scenes of a test set for the site's player: truth, recall, walk and map of a few videos."""

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
    """Which videos of which data set."""

    data: tyro.conf.Positional[Path]
    """Folder of the data set; with recall masks the player shows them."""
    protocol: str
    """By which its videos are scored: how much of them is context."""
    keys: str
    """The videos, like 000/001,000/003."""
    out: Path
    """Folder for the scenes, one folder each."""


def run(flags: Flags) -> None:
    """Write the scenes."""
    dataset, protocol = open_dataset(flags.data), get_protocol(flags.protocol)
    keys = cli.names_in(flags.keys)
    with writing_to(flags.out, swept=[scene_name(key) for key in keys]):
        for key in keys:
            if key not in dataset.keys:
                raise UserError(
                    f"--keys {key}: no video of {flags.data}; they are called like {dataset.keys[0]}"
                )
            write_scene(flags.out / scene_name(key), dataset, key, protocol.context, protocol.num_frames)
            print(f"wrote {flags.out / scene_name(key)}")


main = partial(cli.run, Flags, run)

if __name__ == "__main__":
    raise SystemExit(main())
