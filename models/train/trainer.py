"""The network, its optimisers and its moving average, and the update on samples from a pool of episodes."""

from contextlib import nullcontext
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel
from torch.optim.swa_utils import AveragedModel

from loopcraft.core.seeding import generator, integer_seed
from models.networks.precision import autocast
from models.train.config import TrainingConfig
from models.train.data.pool import EpisodePool
from models.train.objectives import Objective, compile_networks
from models.train.optimizers import build_optimizers, set_learning_rate
from models.train.processes import Processes


class Trainer:
    """The state of a training run, and the update that advances it."""

    def __init__(
        self, config: TrainingConfig, objective: Objective, processes: Processes, *, compiled: bool
    ) -> None:
        self.config, self.processes = config, processes
        self.objective = objective.to(processes.device)
        self.network: nn.Module = objective.network
        self.optimizers = build_optimizers(self.network, config.optimizer)
        self.average = None if config.ema_decay is None else AveragedModel(self.network)
        self._is_averaged = False  # kept here because reading the average's own counter waits for the GPU
        if compiled:
            compile_networks(self.network)
        self._parallel: nn.Module = self.objective
        if processes.count > 1:
            self._parallel = DistributedDataParallel(self.objective)

    @property
    def best(self) -> nn.Module:
        """The network to show and to ship: the average, if there is one."""
        return self.network if self.average is None else self.average.module

    def load(self, state: dict[str, Any]) -> None:
        """Restore a stored state."""
        self.network.load_state_dict(state["model"])
        if self.average is not None:
            self.average.load_state_dict(state["ema"])
            self._is_averaged = int(self.average.n_averaged) > 0
        for optimizer, stored in zip(self.optimizers, state["optimizers"], strict=True):
            optimizer.load_state_dict(stored)

    def update(self, step: int, pool: EpisodePool) -> Float[Tensor, " 2"]:
        """Make update `step`; return (this process's mean loss, gradient norm before clipping)."""
        config = self.config
        loss = torch.zeros((), device=self.processes.device)
        for micro in range(config.accumulate):
            is_last = micro == config.accumulate - 1
            key = step, self.processes.rank, micro
            noise = torch.Generator(self.processes.device)
            noise.manual_seed(integer_seed(config.seed, "training noise", *key))
            rng = generator(config.seed, "training samples", *key)
            batch = self.objective.draw(pool, config.micro_batch, rng, noise)
            with self._no_sync(not is_last):
                with autocast(self.processes.device, config.bfloat16):
                    part = self._parallel(**batch) / config.accumulate
                part.backward()
            loss += part.detach()
        norm = nn.utils.clip_grad_norm_(self.network.parameters(), config.clip_norm)
        set_learning_rate(self.optimizers, config.optimizer.rate_at(step))
        for optimizer in self.optimizers:
            optimizer.step()  # type: ignore[no-untyped-call]
            optimizer.zero_grad()
        if self.average is not None:
            self._update_average(self.average)
        return torch.stack([loss, norm])

    @torch.no_grad()
    def _update_average(self, average: AveragedModel) -> None:
        """Move the average towards the network's weights; the first time, copy them."""
        assert self.config.ema_decay is not None
        averaged: list[Tensor] = list(average.module.parameters())
        current: list[Tensor] = list(self.network.parameters())
        if self._is_averaged:
            torch._foreach_lerp_(averaged, current, 1 - self.config.ema_decay)
        else:
            torch._foreach_copy_(averaged, current)
        self._is_averaged = True
        average.n_averaged += 1

    def _no_sync(self, is_partial: bool) -> Any:
        """Skip the gradient exchange between processes in all but an update's last backward pass."""
        if is_partial and isinstance(self._parallel, DistributedDataParallel):
            return self._parallel.no_sync()
        return nullcontext()
