"""Train a model: `python -m models.train autoencoder|video --preset gpu-hour --data voxel-v1 --out DIR`.

--data is a world (episodes are simulated on the fly), the folder of a data set or, for video models, a folder
of latents. Run the same command again to resume. Use torchrun for multiple GPUs.
"""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from functools import partial
from typing import Annotated, cast

import tyro

from loopcraft.core.cli import run
from loopcraft.core.writing import writing_to
from models.train.data.pool import EpisodePool
from models.train.flags import AnyFlags, AutoencoderFlags, VideoFlags
from models.train.loop import Loop, describe_start, load_state
from models.train.processes import Processes, join_processes
from models.train.setup.build import build_run
from models.train.trainer import Trainer
from models.zoo.presets import MODELS

Command = (
    Annotated[AutoencoderFlags, tyro.conf.subcommand("autoencoder")]
    | Annotated[VideoFlags, tyro.conf.subcommand("video")]
)


def train(flags: AnyFlags) -> None:
    """Set up the run and train."""
    with join_processes(flags.compute.device) as processes, _claim(flags, processes):
        run = build_run(flags, processes)
        first_step = 0 if run.state is None else int(run.state["step"])
        if processes.rank == 0:
            print(describe_start(flags.out, run.config.model, first_step), flush=True)
        is_cuda = processes.device.type == "cuda"
        is_compiled = is_cuda if flags.compute.compile is None else flags.compute.compile
        trainer = Trainer(run.config, run.objective, processes, compiled=is_compiled)
        if run.state is not None:
            load_state(trainer, run.state, flags.out)
        pool = EpisodePool(
            run.source,
            run.config.pool,
            convert=run.convert,
            first_step=first_step,
            workers=flags.episodes.workers,
            rank=processes.rank,
            processes=processes.count,
        )
        with closing(pool):
            Loop(
                flags.loop,
                trainer,
                pool,
                out=flags.out,
                first_step=first_step,
                steps=run.steps,
                draw=run.draw,
            ).run()


@contextmanager
def _claim(flags: AnyFlags, processes: Processes) -> Iterator[None]:
    """Lock --out against a second run of the same model; other models can be trained there meanwhile."""
    is_unknown = isinstance(flags, VideoFlags) and flags.model not in MODELS
    if processes.rank > 0 or is_unknown:
        yield  # another process holds the lock, or `build_run` will reject the name
        return
    with writing_to(flags.out, part=flags.model, swept=("", f"{flags.model}-pictures")):
        yield


main = partial(run, cast("type[AnyFlags]", Command), train)

if __name__ == "__main__":
    raise SystemExit(main())
