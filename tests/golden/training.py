"""Golden checks of training: losses, gradients, four optimiser steps, parameter names and order."""

import torch
from torch import Tensor, nn

from models.checkpoints.format import published_name
from models.networks.autoencoder import Autoencoder, AutoencoderConfig
from models.networks.denoiser import TokenDenoiser
from models.networks.framepack import FramePackDenoiser, FramePackWindow
from models.networks.layers import SIZES
from models.networks.tokens import Grid
from models.sampling.diffusion import NoiseSchedule
from models.train.losses import frame_loss, token_loss
from models.train.optimizers import OptimizerConfig, build_optimizers, set_learning_rate, split_parameters
from tests.golden.folder import Folder, fill

LOSS = 1e-6
GRADIENT = 1e-5
OPTIMIZED_LOSS = 1e-4
OPTIMIZED_DELTA = 3e-3


def relative(actual: Tensor, expected: Tensor) -> float:
    """The largest difference relative to the expected values, clamped to at least 1e-7."""
    return ((actual.double() - expected).abs() / expected.abs().clamp(min=1e-7)).max().item()


def check_names(folder: Folder) -> None:
    """Check names, shapes and optimiser order of the four published models (without weights)."""
    order = folder.json("optimizer_param_order.json")
    for name, keys in folder.json("state_dict_keys.json").items():
        shapes = {key: value["shape"] for key, value in keys.items()}
        with torch.device("meta"):
            model = model_of(shapes)
        actual = {published_name(key): list(value.shape) for key, value in model.state_dict().items()}
        folder.equal(f"{name}: names and shapes", actual, shapes)
        for half, parameters in zip(("muon", "adamw"), split_parameters(model), strict=True):
            folder.equal(f"{name}: order of {half}", [*map(published_name, parameters)], order[name][half])


def model_of(shapes: dict[str, list[int]]) -> nn.Module:
    """The model with these published names and shapes."""
    if "encoder.patchify.weight" in shapes:
        levels, channels = shapes["encoder.level_embedding.weight"][0], shapes["encoder.bottleneck.weight"][0]
        return Autoencoder(AutoencoderConfig(levels=levels, channels=channels))
    levels, width = shapes["dit.dit.level_embedding.weight"]
    size = next(size for size in SIZES.values() if size.width == width)
    channels = shapes["dit.unpatchify.linear.weight"][0]
    if "dit.patchify.weight" in shapes:
        return TokenDenoiser(size, channels=channels, num_levels=levels)
    window = FramePackWindow(context_frames=(1,) * levels, denoised_frames=1)
    bottleneck = shapes["dit.patchify.0.0.weight"][0] if "dit.patchify.0.0.weight" in shapes else None
    return FramePackDenoiser(size, window, Grid(levels=levels, channels=channels), bottleneck=bottleneck)


def check_token_training(folder: Folder) -> None:
    """Check loss and gradients of the token denoiser, and four optimiser steps."""
    manifest = folder.json("e2e_manifest.json")
    for name in folder.names("train_universal*.npz"):
        test = manifest["tests"][name.removesuffix(".npz")]
        golden = folder.tensors(name)
        network = TokenDenoiser(
            SIZES[test["model_size"]],
            channels=test["latent_channels"],
            num_levels=test["available_num_levels"],
        )

        def loss(prefix: str, golden=golden, network=network, test=test) -> Tensor:
            return token_loss(
                network,
                golden["tokens"],
                golden["indices"],
                golden["actions"][..., 0].long(),
                golden["roles"] == 2,
                eps=golden[f"{prefix}eps"],
                time=golden[f"{prefix}t_uniform"][:, 0],
                conditioned=golden[f"{prefix}u"] > test["guidance_dropout_probability"],
                schedule=NoiseSchedule(shift=test.get("shift", 1.0)),
            )

        for rule in "AB":
            fill(network, rule, manifest["salt"]).requires_grad_(True)
            check_gradients(
                folder, f"{name} {rule}", loss(""), network, golden, rule, test["parameter_names"]
            )
        if not folder.fast:
            check_optimizer(
                folder, name, loss, network, golden, test["optimizer_test"], test["parameter_names"]
            )


def check_frame_training(folder: Folder) -> None:
    """Check loss and gradients of the FramePack denoiser."""
    manifest = folder.json("e2e_manifest.json")
    for name in folder.names("train_framepack*.npz"):
        test = manifest["tests"][name.removesuffix(".npz")]
        golden = folder.tensors(name)
        window = FramePackWindow(
            context_frames=tuple(test["num_context_frames"]), denoised_frames=test["num_denoised_frames"]
        )
        channels, side = golden["latents"].shape[2:4]
        grid = Grid(side=side, levels=len(window.context_frames), channels=channels)
        size, bottleneck = SIZES[test.get("model_size", "S")], test.get("bottleneck")
        network = FramePackDenoiser(size, window, grid, bottleneck=bottleneck)
        for rule in "AB":
            fill(network, rule, manifest["salt"]).requires_grad_(True)
            loss = frame_loss(
                network,
                golden["latents"],
                golden["actions"][..., 0].long(),
                eps=golden["eps"],
                time=golden["t_uniform"],
                conditioned=golden["dropout_u"][:, 0] >= test["guidance_dropout_probability"],
                schedule=NoiseSchedule(shift=test.get("shift", 1.0)),
            )
            check_gradients(folder, f"{name} {rule}", loss, network, golden, rule, test["parameter_names"])


def check_gradients(
    folder: Folder, name: str, loss: Tensor, network: nn.Module, golden: dict, rule: str, names: list[str]
) -> None:
    """Check a loss, and each parameter's gradient: its norm and its first eight entries."""
    folder.record(f"{name} loss, relative", abs(loss.item() / golden[f"{rule}/loss"].item() - 1), LOSS)
    network.zero_grad()
    loss.backward()
    gradients = {published_name(key): value.grad for key, value in network.named_parameters()}
    norms = torch.stack([gradients[key].double().norm() for key in names])
    expected = golden[f"{rule}/grad_l2_norms"]
    folder.record(f"{name} gradient norms, relative", relative(norms, expected), GRADIENT)
    if f"{rule}/grad_first8" in golden:
        first = torch.stack([gradients[key].flatten()[:8] for key in names])
        error = (first - golden[f"{rule}/grad_first8"]).abs().amax(dim=1) / expected.clamp(min=1e-7)
        folder.record(f"{name} gradient entries, relative to the norm", error.max().item(), GRADIENT)


def check_optimizer(
    folder: Folder, name: str, loss, network: nn.Module, golden: dict, test: dict, names: list[str]
) -> None:
    """Check the losses of four steps, and how far every parameter moves."""
    config = OptimizerConfig(
        learning_rate=test["lr"], weight_decay=test["weight_decay"], warmup_steps=test["warmup_steps"]
    )
    optimizers = build_optimizers(network, config)
    before = {key: value.detach().clone() for key, value in network.named_parameters()}
    losses = []
    for step in range(test["steps"]):
        set_learning_rate(optimizers, config.rate_at(step))
        network.zero_grad()
        value = loss(f"opt/step{step}/")
        value.backward()
        for optimizer in optimizers:
            optimizer.step()
        losses.append(value.item())
    rates = torch.tensor([config.rate_at(step) for step in range(test["steps"])], dtype=torch.float64)
    folder.close(f"{name} learning rates", rates, golden["opt/lrs"], 1e-12)
    error = relative(torch.tensor(losses, dtype=torch.float64), golden["opt/losses"])
    folder.record(f"{name} losses of the optimiser run, relative", error, OPTIMIZED_LOSS)
    after = {published_name(key): value.detach() for key, value in network.named_parameters()}
    moved = {
        published_name(key): (value.detach() - before[key]).double().norm()
        for key, value in network.named_parameters()
    }
    for label, values, key in (
        (
            "parameter norms",
            torch.stack([after[key].double().norm() for key in names]),
            "opt/param_l2_norms_after",
        ),
        ("parameter moves", torch.stack([moved[key] for key in names]), "opt/param_delta_l2_norms"),
    ):
        folder.record(f"{name} {label}, relative", relative(values, golden[key]), OPTIMIZED_DELTA)


CHECKS = [check_names, check_token_training, check_frame_training]
