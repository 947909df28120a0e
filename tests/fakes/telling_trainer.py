"""Training that prints each step with the process ids of its loaders, for tests that kill one."""

import os
import resource
from pathlib import Path

from models.train.trainer import Trainer
from tests.fakes.forked_spawn import use_forks
from tests.fakes.training_runs import train


def main(arguments: list[str]) -> int:
    """Train; the arguments are the folders of latents and output, then flags.

    The environment may set OWN_GROUP, MOST_BYTES, and FRESH_LOADERS for loaders that are not forks.
    """
    if "FRESH_LOADERS" not in os.environ:
        use_forks()
    if "OWN_GROUP" in os.environ:
        os.setsid()
    if most := os.environ.get("MOST_BYTES"):
        resource.setrlimit(resource.RLIMIT_FSIZE, (int(most), int(most)))
    update = Trainer.update

    def print_and_update(self, step, pool):
        print("step", step, [loader._process.pid for loader in pool._arriving._loaders], flush=True)
        return update(self, step, pool)

    Trainer.update = print_and_update
    latents, out, *flags = arguments
    return train("millivid", Path(latents), Path(out), "--workers", "1", *flags)
