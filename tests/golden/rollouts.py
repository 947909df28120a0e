"""Golden checks of whole rollouts with given noise, from context latents to generated latents."""

import itertools
from pathlib import Path

import torch

from models.networks.denoiser import TokenDenoiser
from models.networks.framepack import FramePackDenoiser, FramePackWindow
from models.networks.layers import SIZES
from models.networks.tokens import FRAME, LEVEL, Grid, Pyramid
from models.sampling.diffusion import NoiseSchedule, Sampling
from models.sampling.frame_sampler import FrameSampler
from models.sampling.token_sampler import TokenSampler
from tests.golden.folder import Folder, fill
from tests.golden.plans import plan_from

END_TO_END = 5e-5
ROUNDED_RMS = 2e-2
"""For latents in bfloat16: the rms difference that rounding alone explains."""
FAST_STEPS = 1


def check_token_rollouts(folder: Folder) -> None:
    """Check rollouts of the token denoiser under every plan, with and without guidance."""
    manifest = folder.json("e2e_manifest.json")
    for name in folder.names("e2e_*.npz"):
        test = manifest["tests"][Path(name).stem]
        if "strategy" in test:
            golden = folder.tensors(name)
            for variant, options in test["variants"].items():
                if folder.fast and variant != "B_gs1.0_f32":
                    continue
                check_one_rollout(
                    folder, f"{name} {variant}", test, options, golden, variant, manifest["salt"]
                )


def check_one_rollout(
    folder: Folder, name: str, test: dict, options: dict, golden: dict, variant: str, salt: str
) -> None:
    """Check one rollout; if fast, only its first step, unless later steps redo drafts."""
    sampler, grid = sampler_of(test, options, salt)
    rounded = options["token_dtype"] == "bf16tokens"
    eps = golden["step_eps_bf16tokens" if rounded else "step_eps"]
    tokens = golden["tokens"].bfloat16() if rounded else golden["tokens"]

    def noise(step: int, shape: tuple[int, ...]) -> torch.Tensor:
        order = (golden["step_roles"][step] == 2).to(torch.int8).argsort(stable=True)  # our targets come last
        return eps[step][:, order]

    expected = torch.zeros_like(golden["tokens"])
    expected[:, golden["generated_mask"]] = golden[f"out/{variant}/generated_tokens"]
    known, target = (
        split_levels(values, golden["indices_flhw"], grid, test["levels_in_batch"])
        for values in (tokens, expected)
    )
    start = test["first_denoised_frame"]
    actions = golden["frame_actions"][..., 0].long()
    rollout = sampler.rollout([latents[:, :start] for latents in known], actions, noise)
    steps = FAST_STEPS if folder.fast and sampler.plan.num_drafts == 0 else None
    written = {
        (generated.level, generated.first_frame + offset): latents
        for generated in itertools.islice(rollout, steps)
        for offset, latents in enumerate(generated.latents.float().unbind(1))
    }
    all_frames = [(level, f) for level, latents in enumerate(target) for f in range(start, latents.shape[1])]
    compared = all_frames if steps is None else list(written)
    difference = torch.cat(
        [(target[level][:, f] - written.get((level, f), 0)).flatten().double() for level, f in compared]
    )
    if rounded:
        folder.record(f"{name}, rms", difference.square().mean().sqrt().item(), ROUNDED_RMS)
    else:
        folder.record(name, difference.abs().max().item(), END_TO_END)


def sampler_of(test: dict, options: dict, salt: str) -> tuple[TokenSampler, Grid]:
    """The sampler that a manifest describes."""
    levels = test["available_num_levels"]
    grid = Grid(side=test["latent_hw"][0], levels=levels, channels=test["latent_channels"])
    plan = plan_from(test["strategy"], grid.tokens_at(0))
    network = TokenDenoiser(SIZES[test["model_size"]], channels=grid.channels, num_levels=levels)
    fill(network, options["weight_rule"], salt)
    sampling = Sampling(
        steps=test["sampling_steps"],
        guidance=options["guidance_scale"],
        schedule=NoiseSchedule(shift=test["shift"]),
    )
    return TokenSampler(network, plan, grid, sampling), grid


def split_levels(tokens: torch.Tensor, address: torch.Tensor, grid: Grid, num_levels: int) -> Pyramid:
    """Arrange tokens in any order, with their addresses, into a pyramid."""
    pyramid = []
    for level in range(num_levels):
        rows = torch.nonzero(address[:, LEVEL] == level)[:, 0]
        side, frames = grid.side_at(level), int(address[:, FRAME].max()) + 1
        position = address[rows] @ torch.tensor([side * side, 0, side, 1])
        flat = torch.zeros(len(tokens), frames * side * side, grid.channels, dtype=tokens.dtype)
        flat[:, position] = tokens[:, rows]
        pyramid.append(flat.unflatten(1, (frames, side * side)))
    return pyramid


def check_frame_rollout(folder: Folder) -> None:
    """Check a rollout of the FramePack denoiser."""
    manifest = folder.json("e2e_manifest.json")
    for name in folder.names("e2e_framepack*.npz"):
        test = manifest["tests"][Path(name).stem]
        golden = folder.tensors(name)
        window = FramePackWindow(
            context_frames=tuple(test["num_context_frames"]), denoised_frames=test["num_denoised_frames"]
        )
        grid = Grid(
            side=test["latent_hw"][0], levels=len(window.context_frames), channels=test["latent_channels"]
        )
        start, eps, count = test["first_denoised_frame"], golden["eps"], window.denoised_frames

        def noise(
            step: int, shape: tuple[int, ...], eps=eps, start=start, count=count, window=window
        ) -> torch.Tensor:
            first = start + (step - 1) * count if step else start - window.num_context
            return eps[:, first : first + shape[0]]

        for rule in "B" if folder.fast else test["variants"]:
            size, bottleneck = SIZES[test["model_size"]], test.get("bottleneck")
            network = FramePackDenoiser(size, window, grid, bottleneck=bottleneck)
            fill(network, rule, manifest["salt"])
            context = golden["latents"][:, :start].movedim(2, -1).flatten(2, 3)
            schedule = NoiseSchedule(shift=test.get("shift", 1.0))
            sampler = FrameSampler(network, Sampling(steps=test["sampling_steps"], schedule=schedule))
            rollout = sampler.rollout([context], golden["actions"][..., 0].long(), noise)
            parts = [generated.latents for generated in itertools.islice(rollout, 1 if folder.fast else None)]
            latents = torch.cat(parts, dim=1).unflatten(2, (grid.side, grid.side)).movedim(-1, 2)
            expected = golden[f"out/{rule}/generated_latents"]
            padding = expected.shape[1] if not folder.fast else count
            folder.close(f"{name} {rule}", latents, expected[:, :padding][:, : latents.shape[1]], END_TO_END)


CHECKS = [check_token_rollouts, check_frame_rollout]
