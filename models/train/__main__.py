"""Train a model: `python -m models.train autoencoder|video --preset nano --data voxel-v1 --out DIR`.

--data is a world (its episodes are simulated as they are needed), a data set's folder or, for video models, a
folder of latents. The same command goes on where a stopped run was. torchrun starts it on many GPUs.
"""

from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from typing import Annotated, cast

import tyro

from loopcraft.core.cli import run
from loopcraft.core.writing import writing_to
from models.train.data.pool import EpisodePool
from models.train.flags import AutoencoderFlags, Flags, VideoFlags
from models.train.loop import Loop, LoopConfig, describe_start, load_state
from models.train.processes import Processes, join_processes
from models.train.setup.prepare import prepare
from models.train.trainer import Trainer
from models.zoo.presets import MODELS

Command = (
    Annotated[AutoencoderFlags, tyro.conf.subcommand("autoencoder")]
    | Annotated[VideoFlags, tyro.conf.subcommand("video")]
)


def train(flags: Flags) -> None:
    """Check everything, then train."""
    with join_processes(flags.device) as processes, _claimed(flags, processes):
        setup = prepare(flags, processes)
        first_step = 0 if setup.state is None else int(setup.state["step"])
        if processes.rank == 0:
            print(describe_start(flags.out, setup.config.model, first_step), flush=True)
        is_compiled = processes.device.type == "cuda" if flags.compile is None else flags.compile
        trainer = Trainer(setup.config, setup.objective, processes, compiled=is_compiled)
        if setup.state is not None:
            load_state(trainer, setup.state, flags.out)
        pool = EpisodePool(
            setup.source,
            setup.config.pool,
            keep=setup.keep,
            first_step=first_step,
            workers=flags.workers,
            rank=processes.rank,
            processes=processes.count,
        )
        config = LoopConfig(
            out=flags.out,
            steps=setup.steps,
            save_every=flags.save_every,
            picture_every=flags.picture_every,
            log_every=flags.log_every,
            tensorboard=flags.tensorboard,
        )
        with closing(pool):
            Loop(config, trainer, pool, first_step, setup.draw).run()


@contextmanager
def _claimed(flags: Flags, processes: Processes) -> Iterator[None]:
    """Keep a second run of the same model out of --out; other models may be trained there meanwhile."""
    if isinstance(flags, VideoFlags):
        model = flags.model
    else:
        model = "autoencoder-cascaded" if cast(AutoencoderFlags, flags).cascaded else "autoencoder"
    if processes.rank > 0 or (isinstance(flags, VideoFlags) and model not in MODELS):
        yield  # another process has the lock, or `prepare` will refuse the name
        return
    with writing_to(flags.out, part=model, swept=("", f"{model}-pictures")):
        yield


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command."""
    return run(cast("type[Flags]", Command), train, argv)


if __name__ == "__main__":
    raise SystemExit(main())
