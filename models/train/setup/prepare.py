"""From flags to all that a run needs, with every mistake found before any work is done."""

from typing import cast

from models.train.flags import AutoencoderFlags, Flags, VideoFlags
from models.train.processes import Processes
from models.train.setup.autoencoder import prepare_autoencoder
from models.train.setup.common import Setup
from models.train.setup.video import prepare_video


def prepare(flags: Flags, processes: Processes) -> Setup:
    """Read the data's description, the autoencoder's and the stored state; raises `UserError` on misfits."""
    flags.check()
    if isinstance(flags, AutoencoderFlags):
        setup = prepare_autoencoder(flags, processes)
    else:
        setup = prepare_video(cast(VideoFlags, flags), processes)
    flags.out.mkdir(parents=True, exist_ok=True)
    return setup
