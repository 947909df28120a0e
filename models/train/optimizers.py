"""The optimisers of all models: Muon for weights of linear layers, AdamW for all other parameters."""

from dataclasses import dataclass

import torch
from torch import nn


@dataclass(frozen=True, kw_only=True)
class OptimizerConfig:
    """Learning rate and weight decay, shared by both optimisers; the defaults are the paper's."""

    learning_rate: float = 1e-3
    weight_decay: float = 0.01
    warmup_steps: int = 2000
    """The learning rate grows linearly from 0 at step 0 to its full value at this step."""
    cooldown_steps: int = 0
    """Steps before `last_step` over which the learning rate falls linearly to 0 (not in the paper)."""
    last_step: int | None = None

    def rate_at(self, step: int) -> float:
        """Return the learning rate of update `step`, counted from 0."""
        rate = self.learning_rate * min(step / self.warmup_steps, 1)
        if self.cooldown_steps and self.last_step is not None:
            rate *= min(max((self.last_step - step) / self.cooldown_steps, 0), 1)
        return rate


def split_parameters(model: nn.Module) -> tuple[dict[str, nn.Parameter], dict[str, nn.Parameter]]:
    """Return (weights of linear layers, all other parameters) by name, in the model's order.

    Fused matrices (qkv, adaLN) count as one matrix.
    """
    linear = {
        f"{name}.weight".lstrip(".")
        for name, module in model.named_modules()
        if isinstance(module, nn.Linear)
    }
    parameters = dict(model.named_parameters())
    matrices = {name: value for name, value in parameters.items() if name in linear}
    return matrices, {name: value for name, value in parameters.items() if name not in linear}


def build_optimizers(model: nn.Module, config: OptimizerConfig) -> tuple[torch.optim.Muon, torch.optim.AdamW]:
    """Make both optimisers; Muon's updates are scaled to the RMS of AdamW's.

    Parameters that do not require a gradient get none and do not change.
    """
    matrices, others = split_parameters(model)
    muon = torch.optim.Muon(
        matrices.values(),
        lr=config.learning_rate,
        weight_decay=config.weight_decay,
        momentum=0.95,
        nesterov=True,
        ns_steps=5,
        adjust_lr_fn="match_rms_adamw",
    )
    adamw = torch.optim.AdamW(others.values(), lr=config.learning_rate, weight_decay=config.weight_decay)
    return muon, adamw


def set_learning_rate(optimizers: tuple[torch.optim.Optimizer, ...], rate: float) -> None:
    """Set the learning rate of all parameters."""
    for optimizer in optimizers:
        for group in optimizer.param_groups:
            group["lr"] = rate
