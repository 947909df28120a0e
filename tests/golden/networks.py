"""Golden checks of single network calls: features, blocks, denoisers, autoencoder."""

import torch
from torch import Tensor

from models.networks.denoiser import Condition, TimeEmbedding, TokenDenoiser, mask_actions
from models.networks.framepack import FramePackDenoiser, FramePackWindow
from models.networks.layers import (
    SIZES,
    AdaLNZeroBlock,
    HeadNorm,
    image_position_features,
    layer_norm,
    time_features,
    video_position_features,
)
from models.networks.tokens import LEVEL, Grid
from models.sampling.diffusion import NoiseSchedule
from tests.golden.folder import Folder, fill
from tests.references.conditions import per_frame, per_token

FORWARD = 2e-5


def check_embeddings(folder: Folder) -> None:
    """Check position and time features: fixed functions, which must agree almost to the bit."""
    golden = folder.tensors("embeddings.npz")
    for key in golden:
        if key.startswith("posemb_flhw_"):
            width = int(key.rsplit("_", 1)[1])
            folder.close(key, video_position_features(golden["flhw"], width), golden[key], 1e-6)
        elif key.startswith("posemb_2d_"):
            width = int(key.rsplit("_", 1)[1])
            folder.close(key, image_position_features(golden["flhw"], width), golden[key], 1e-6)
        elif key.startswith("time_features"):
            folder.close(key, time_features(golden["t"]), golden[key], 1e-6)
        elif key.startswith("time_embedding_"):
            width, rule, _, salt = key.removeprefix("time_embedding_").split("_")
            embedding = fill(TimeEmbedding(int(width)), rule[-1], f"{salt}/", "time_embedding.")
            folder.close(key, embedding(golden["t"]), golden[key], FORWARD)


def check_block(folder: Folder) -> None:
    """Check one small block on tiny activations, where the epsilons of both norms matter."""
    golden = folder.tensors("block.npz")
    width = golden["x"].shape[-1]
    block = AdaLNZeroBlock(width, int(golden["num_heads"])).requires_grad_(False)
    state = {
        key.removeprefix("weights/"): value for key, value in golden.items() if key.startswith("weights/")
    }
    block.load_state_dict(
        {key.replace("adaLN_modulation.1", "modulation.linear"): state[key] for key in state}
    )
    x, c = golden["x"], golden["c"]
    row = torch.arange(x.shape[0] * x.shape[1]).view(x.shape[:2])
    tolerance = 2e-5 * max(1.0, golden["out"].abs().max().item())
    folder.close("block out", block(x, c.flatten(0, 1), row), golden["out"], tolerance)
    attended = block.attn(1000 * x)
    folder.close("block attention", attended, golden["attention_on_x_times_1000"], 2e-5)
    folder.close("layer norm", layer_norm(x), golden["layernorm_eps1e-6_of_x"], 2e-5)
    norm = HeadNorm(golden["rms_in"].shape[-1]).requires_grad_(False)
    norm.weight.copy_(golden["weights/attn.q_norm.weight"])
    folder.close("head norm", norm(golden["rms_in"]), golden["rms_out_with_q_gain"], 2e-5)


def rules_of(golden: dict, fast: bool) -> list[str]:
    """The weight rules for which a file has results; if `fast`, only the last (B is the sensitive one)."""
    rules = sorted({key[0] for key in golden if key[1:2] == "/"})
    return rules[-1:] if fast else rules


def check_universal_forward(folder: Folder) -> None:
    """Check forward passes of the token denoiser for arbitrary noise levels, masks and guidance."""
    manifest = folder.json("forward_manifest.json")
    for name in folder.names("universal_forward_*.npz"):
        test = manifest["tests"][name.removesuffix(".npz")]
        golden = folder.tensors(name)
        for rule in rules_of(golden, folder.fast):
            network = TokenDenoiser(
                SIZES[test["model_size"]], channels=test["latent_channels"], num_levels=test["num_levels"]
            )
            fill(network, rule, manifest["salt"])
            schedule = NoiseSchedule(shift=test.get("shift", 1.0))
            check_one_universal(folder, f"{name} {rule}", network, golden, rule, schedule)


def check_one_universal(
    folder: Folder, name: str, network: TokenDenoiser, golden: dict, rule: str, schedule: NoiseSchedule
) -> None:
    """Check all outputs of one file of forward passes under one weight rule."""
    address, action = golden["indices_flhw"], golden["actions"][..., 0].long()
    level = address[..., LEVEL]

    def predict(x, time, conditioned):
        condition = per_token(time, level, mask_actions(action, conditioned))
        return network(x, network.positions(address), condition)

    out = f"{rule}/f32"
    after_blocks: list[Tensor] = []
    hook = network.trunk.register_forward_hook(lambda _, inputs, output: after_blocks.append(output))
    for mask in ("all", "first_false"):
        v = predict(golden["x"], golden["t_any"], golden[f"mask_{mask}"])
        folder.close(f"{name} v, mask {mask}", v, golden[f"{out}/v_t_any_mask_{mask}"], FORWARD)
    hook.remove()
    if f"{out}/inter_first6tokens/c" in golden:
        condition = per_token(golden["t_any"], level, action)
        check_inside(folder, name, network, golden, f"{out}/inter_first6tokens", condition, after_blocks[0])

    x, eps, time, target = golden["x"], golden["eps"], golden["t_role"], golden["roles"][..., None] == 2
    all_conditioned = torch.ones(len(x), dtype=torch.bool)
    alpha, sigma = (w[..., None] for w in schedule.alpha_sigma(time))
    noisy = alpha * x + sigma * eps
    v = predict(noisy, time, all_conditioned)
    blind_time = torch.where(target[..., 0], time, torch.ones(()))
    blind_alpha, blind_sigma = (w[..., None] for w in schedule.alpha_sigma(blind_time))
    blind = predict(blind_alpha * x + blind_sigma * eps, blind_time, ~all_conditioned)
    for key in [key for key in golden if key.startswith(f"{out}/denoise_gs") and key.endswith("_x")]:
        scale = float(key.removeprefix(f"{out}/denoise_gs").removesuffix("_x"))
        guided = v if scale == 1 else blind + scale * (v - blind)
        for suffix, kept, predicted in (
            ("x", x, alpha * noisy - sigma * guided),
            ("eps", eps, alpha * guided + sigma * noisy),
        ):
            result = torch.where(target, predicted, kept)
            label = f"{name} denoise {suffix}, guidance {scale:g}"
            folder.close(label, result, golden[f"{key[:-1]}{suffix}"], FORWARD)


def check_inside(
    folder: Folder,
    name: str,
    network: TokenDenoiser,
    golden: dict,
    prefix: str,
    condition: Condition,
    last_block_out: Tensor,
) -> None:
    """Check condition vectors, and the residual stream around the first and after the last block."""
    trunk = network.trunk
    rows = trunk.embed(condition)
    x = network.patchify(golden["x"]) + network.positions(golden["indices_flhw"])
    activations = {
        "c": rows[condition.row],
        "block0_in": x,
        "block0_out": trunk.blocks[0](x, rows, condition.row),
        "last_block_out": last_block_out,
    }
    for key, values in activations.items():
        expected = golden[f"{prefix}/{key}"]
        tolerance = FORWARD * max(1.0, expected.abs().max().item())
        folder.close(f"{name} {key}", values[:, : expected.shape[1]], expected, tolerance)


def check_framepack_forward(folder: Folder) -> None:
    """Check patchify layers and forward passes of the FramePack denoiser."""
    manifest = folder.json("forward_manifest.json")
    for name in folder.names("framepack_forward_*.npz"):
        test = manifest["tests"][name.removesuffix(".npz")]
        golden = folder.tensors(name)
        window = FramePackWindow(
            context_frames=tuple(test["num_context_frames"]), denoised_frames=test["num_denoised_frames"]
        )
        grid = Grid(
            side=test["latent_hw"][0], levels=len(window.context_frames), channels=test["latent_channels"]
        )
        for rule in rules_of(golden, folder.fast):
            network = FramePackDenoiser(
                SIZES[test["model_size"]], window, grid, bottleneck=test["bottleneck"]
            )
            fill(network, rule, manifest["salt"])
            folder.close(f"{name} addresses", network.address, golden["token_indices_flhw"], 0)
            tokens = network.tokenize(golden["x"])[:, ::37]
            folder.close(
                f"{name} {rule} patches", tokens, golden[f"{rule}/patchified_every_37th_token"], FORWARD
            )
            action = golden["actions"][..., 0].long()
            v = network(golden["x"], per_frame(network, golden["t"], action))
            folder.close(f"{name} {rule} v", v, golden[f"{rule}/f32/v"], FORWARD)


CHECKS = [check_embeddings, check_block, check_universal_forward, check_framepack_forward]
