"""The training loop: updates, logs, pictures and checkpoints, until the last step or a stop request."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from loopcraft.core.errors import UserError
from loopcraft.core.progress import Meter
from models.checkpoints.training_log import Journal
from models.train.checkpoint import describe_last, is_shipped, save_state, ship, shipped_file, state_file
from models.train.config import LoopConfig
from models.train.data.pool import EpisodePool
from models.train.pictures import Frames, save_picture
from models.train.processes import StopRequest
from models.train.trainer import Trainer

Draw = Callable[[Trainer, EpisodePool], Frames]
"""Makes the frames of a picture from the trainer and its pool."""


class Loop:
    """Runs a trainer from `first_step` up to `steps` and writes all files to `out`."""

    def __init__(
        self,
        config: LoopConfig,
        trainer: Trainer,
        pool: EpisodePool,
        *,
        out: Path,
        first_step: int,
        steps: int,
        draw: Draw | None,
    ) -> None:
        self.config, self.trainer, self.pool, self.draw = config, trainer, pool, draw
        self.out, self.steps = out, steps
        self.model = trainer.config.model
        self.is_first = trainer.processes.rank == 0
        self._first_step = first_step
        self._pending: list[tuple[int, Tensor]] = []
        self._since = time.perf_counter()
        self._meter = Meter(steps, "steps", first_step)

    def run(self) -> None:
        """Train; raise `UserError` if a loss is not finite or a checkpoint cannot be saved."""
        journal = None
        if self.is_first:
            path = self.out / f"{self.model}.jsonl"
            journal = Journal(path, first_step=self._first_step, tensorboard=self.config.tensorboard)
        try:
            with StopRequest() as stop:
                self._run(journal, stop)
        finally:
            if journal is not None:
                journal.close()

    def _run(self, journal: Journal | None, stop: StopRequest) -> None:
        config, processes = self.config, self.trainer.processes
        step = self._first_step
        self._repair_shipped(step)
        while step < self.steps:
            self._advance(step, stop, journal)
            if processes.any(stop()):
                self._flush(journal)
                self._save(step)
                self._print(f"stopped on request: saved step {step}; run the same command again to resume")
                return
            if step == self._first_step:
                self._start_clock()
            self._pending.append((step, self.trainer.update(step, self.pool)))
            step += 1
            is_last = step == self.steps
            if step % config.log_every == 0 or step % config.save_every == 0 or is_last:
                self._flush(journal)
            if step % config.save_every == 0 or is_last:
                self._save(step)
            if config.picture_every and (step % config.picture_every == 0 or is_last):
                self._picture(step)
        self._print(f"trained {step} steps: {shipped_file(self.out, self.model)}")

    def _advance(self, step: int, stop: StopRequest, journal: Journal | None) -> None:
        """Load the episodes that `step` needs; if loading fails, save the training so far and re-raise."""
        try:
            self.pool.advance(step, stop)
        except UserError:
            if step > self._first_step:
                self._flush(journal)
                self._save(step)
            raise

    def _repair_shipped(self, step: int) -> None:
        """Rewrite the shipped file if it does not match the state that the run resumes from."""
        if self.is_first and step and not is_shipped(self.out, self.trainer, step):
            ship(self.out, self.trainer, step)
            self._print(f"rewrote {shipped_file(self.out, self.model)} from the state of step {step}")

    def _start_clock(self) -> None:
        self._since, self.pool.seconds_waited = time.perf_counter(), 0.0

    def _flush(self, journal: Journal | None) -> None:
        """Log the steps since the last flush; only here does the CPU wait for the GPU."""
        if not self._pending:
            return
        values = self.trainer.processes.average(torch.stack([value for _, value in self._pending])).tolist()
        seconds = time.perf_counter() - self._since
        config = self.trainer.config
        records: list[dict[str, Any]] = [
            {
                "step": step,
                "loss": loss,
                "gradient_norm": norm,
                "learning_rate": config.optimizer.rate_at(step),
            }
            for (step, _), (loss, norm) in zip(self._pending, values, strict=True)
        ]
        trained = len(records) * config.batch_size / seconds
        loaded = self.pool.episodes_per_second / config.pool.fresh * config.batch_size
        records[-1] |= {"trained_per_second": trained, "loaded_per_second": loaded}
        if journal is not None:
            journal.write(records)
        self._require_finite(records)
        self._meter.count(len(records))
        self._print(
            f"training: {self._meter}; loss {records[-1]['loss']:.5g}; "
            f"trains {trained:.3g} samples/s, could load {loaded:.3g} samples/s, "
            f"waited {self.pool.seconds_waited / seconds:.0%} of the time"
        )
        self._pending = []
        self._start_clock()

    def _require_finite(self, records: list[dict[str, Any]]) -> None:
        for record in records:
            if not torch.tensor([record["loss"], record["gradient_norm"]]).isfinite().all():
                raise UserError(
                    f"{self.out}: step {record['step']} has loss {record['loss']:g} and gradient norm "
                    f"{record['gradient_norm']:g}; {describe_last(self.out, self.model)}; "
                    "start over in another folder with a lower --learning-rate"
                )

    def _save(self, step: int) -> None:
        if self.is_first:
            save_state(self.out, self.trainer, step)

    def _picture(self, step: int) -> None:
        if self.is_first and self.draw is not None:
            path = self.out / f"{self.model}-pictures" / f"{step:07d}.png"
            try:
                save_picture(path, self.draw(self.trainer, self.pool))
            except ImportError as error:
                self._print(f"no pictures are drawn: {error}")
                self.draw = None

    def _print(self, line: str) -> None:
        if self.is_first:
            print(line, flush=True)


def load_state(trainer: Trainer, state: dict[str, Any], out: Path) -> None:
    """Load a state into the trainer; raise `UserError` if it does not fit."""
    try:
        trainer.load(state)
    except (RuntimeError, KeyError, ValueError, TypeError, AttributeError, IndexError) as error:
        path = state_file(out, trainer.config.model)
        reason = " ".join(str(error).split())[:200]
        raise UserError(f"{path}: does not fit its own configuration ({reason}); remove it") from error


def describe_start(out: Path, model: str, first_step: int) -> str:
    """Describe in one line where a run starts."""
    if first_step:
        return f"resuming from step {first_step} of {state_file(out, model)}"
    return f"starting {model} in {out}"
