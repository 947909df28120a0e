"""From the flags of `models.train autoencoder` to all that the run needs."""

from typing import cast

import torch
from torch import Tensor

from loopcraft.core.errors import UserError
from models.networks.autoencoder import Autoencoder, AutoencoderConfig
from models.train.checkpoint import read_state
from models.train.data.pool import EpisodePool
from models.train.data.transfer import send
from models.train.detail_loss import Lpips, gradient_difference
from models.train.flags import AutoencoderFlags
from models.train.objectives import AutoencoderObjective
from models.train.pictures import COLUMNS, reconstructions
from models.train.processes import Processes
from models.train.setup.common import Setup, begin_with, config_of, preset_of, schedule_for
from models.train.setup.data import open_frames
from models.train.trainer import Trainer
from models.zoo.loading import seeded


def prepare_autoencoder(flags: AutoencoderFlags, processes: Processes) -> Setup:
    """Check the flags against the data and the stored state; raises `UserError` on misfits."""
    source, size = open_frames(flags, "autoencoder", min_frames=1)
    name = "millivid-cascaded" if flags.cascaded else "millivid"
    network_config = preset_of(flags, name, size).autoencoder
    require_patches(network_config)
    with seeded(flags.seed):
        network = Autoencoder(network_config)
    initial = begin_with(network, flags.begin_with)
    detail = gradient_difference if flags.vgg is None else Lpips(flags.vgg, processes.device)
    config = config_of(
        flags,
        processes,
        model="autoencoder-cascaded" if flags.cascaded else "autoencoder",
        network=network_config,
        grid=network_config.grid,
        data=source.identity,
        initial=initial,
        detail="gradient" if flags.vgg is None else "lpips",
    )

    def draw(trainer: Trainer, pool: EpisodePool) -> Tensor:
        frames = torch.linspace(0, int(pool.lengths[0]) - 1, COLUMNS).long()
        images = pool.values[0, frames].movedim(-1, 1).to(processes.device).float() / 255
        return reconstructions(cast(Autoencoder, trainer.best), images)

    return Setup(
        config=config,
        steps=flags.steps or schedule_for(flags).steps,
        state=read_state(flags.out, config),
        objective=AutoencoderObjective(network, detail, config.detail_weight),
        source=source,
        keep=lambda frames: send(frames, processes.device),
        draw=draw,
    )


def require_patches(config: AutoencoderConfig) -> None:
    """Refuse frames that cannot be cut into patches at every level."""
    coarsest = config.patch * 2 ** (config.levels - 1)
    if config.patch < 1 or config.frame_size % coarsest:
        raise UserError(
            f"frames of {config.frame_size} x {config.frame_size} cannot be cut into patches of "
            f"{config.patch} at {config.levels} levels; choose a resolution that {max(coarsest, 8)} divides"
        )
