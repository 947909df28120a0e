"""Golden checks under bfloat16 autocast: closer to the reference's autocast than that is to float32.

Two implementations that round to bfloat16 at different points agree only statistically. So the root mean
square of the difference is compared with the manifest's between autocast and float32. That detects a rounded
residual stream, but not a rounded norm.
"""

import torch
from torch import Tensor

from models.networks.autoencoder import Autoencoder, AutoencoderConfig
from models.networks.denoiser import TokenDenoiser, mask_actions
from models.networks.framepack import FramePackDenoiser, FramePackWindow
from models.networks.layers import SIZES
from models.networks.precision import autocast
from models.networks.tokens import LEVEL, Grid
from tests.golden.folder import Folder, fill, root_mean_square
from tests.references.conditions import per_frame, per_token

CPU = torch.device("cpu")


def rules_with(golden: dict[str, Tensor], key: str, fast: bool) -> list[str]:
    """The weight rules with a result `key` under autocast; if `fast`, only the last."""
    rules = [rule for rule in "AB" if f"{rule}/autocast/{key}" in golden]
    return rules[-1:] if fast else rules


def compare(folder: Folder, noise: dict, name: str, actual: Tensor, expected: Tensor) -> None:
    """Record the root mean square of the difference."""
    tolerance = noise[name]["autocast_vs_f32"]["rms_diff"]
    folder.record(f"{name.removeprefix('public/')}, bfloat16", root_mean_square(actual, expected), tolerance)


def check_token_denoiser_in_bfloat16(folder: Folder) -> None:
    """Check forward passes of the token denoiser."""
    manifest, key = folder.json("forward_manifest.json"), "v_t_any_mask_first_false"
    for file in folder.names("universal_forward_*.npz"):
        name = file.removesuffix(".npz")
        test, golden = manifest["tests"][name], folder.tensors(file)
        address, action = golden["indices_flhw"], golden["actions"][..., 0].long()
        action = mask_actions(action, golden["mask_first_false"])
        condition = per_token(golden["t_any"], address[..., LEVEL], action)
        for rule in rules_with(golden, key, folder.fast):
            size = SIZES[test["model_size"]]
            network = TokenDenoiser(size, channels=test["latent_channels"], num_levels=test["num_levels"])
            fill(network, rule, manifest["salt"])
            with autocast(CPU, bfloat16=True):
                v = network(golden["x"], network.positions(address), condition)
            noise = manifest["numerical_noise"]
            compare(folder, noise, f"public/{name}/{rule}", v, golden[f"{rule}/autocast/{key}"])


def check_framepack_in_bfloat16(folder: Folder) -> None:
    """Check the first channels, which are stored, of forward passes of the FramePack denoiser."""
    manifest, key = folder.json("forward_manifest.json"), "v_ch0to3"
    for file in folder.names("framepack_forward_*.npz"):
        name = file.removesuffix(".npz")
        test, golden = manifest["tests"][name], folder.tensors(file)
        frames = tuple(test["num_context_frames"])
        window = FramePackWindow(context_frames=frames, denoised_frames=test["num_denoised_frames"])
        grid = Grid(side=test["latent_hw"][0], levels=len(frames), channels=test["latent_channels"])
        for rule in rules_with(golden, key, folder.fast):
            network = FramePackDenoiser(
                SIZES[test["model_size"]], window, grid, bottleneck=test["bottleneck"]
            )
            fill(network, rule, manifest["salt"])
            with autocast(CPU, bfloat16=True):
                condition = per_frame(network, golden["t"], golden["actions"][..., 0].long())
                v = network(golden["x"], condition)
            expected = golden[f"{rule}/autocast/{key}"]
            actual = v[:, :, : expected.shape[2]]
            compare(folder, manifest["numerical_noise"], f"public/{name}/{rule}", actual, expected)


def check_autoencoder_in_bfloat16(folder: Folder) -> None:
    """Check the latents of an image, and the image decoded from every level."""
    manifest, golden = folder.json("forward_manifest.json"), folder.tensors("autoencoder.npz")
    size, levels = golden["image_uint8_hwc"].shape[0], manifest["tests"]["autoencoder"]["levels"]
    image = golden["image_uint8_hwc"].movedim(-1, 0)[None] / 255
    noise = manifest["numerical_noise"]
    model = Autoencoder(AutoencoderConfig(frame_size=size, levels=levels))
    for rule in rules_with(golden, "latents", folder.fast):
        fill(model, rule, manifest["salt"])
        name, prefix = f"public/autoencoder/{rule}", f"{rule}/autocast"
        with autocast(CPU, bfloat16=True):
            latents = torch.cat(model.encode(image), dim=1)
        compare(folder, noise, f"{name}/latents", latents, golden[f"{prefix}/latents"])
        stored = golden[f"{rule}/f32/latents"].split(model.grid.tokens_per_level, dim=1)
        for level in [0] if folder.fast else range(levels):
            with autocast(CPU, bfloat16=True):
                decoded = model.decode(stored[level], level)[0]
            expected = golden[f"{prefix}/decode_level{level}_image0_stride4"]
            compare(folder, noise, f"{name}/decode{level}", decoded[:, ::4, ::4], expected)


CHECKS = [check_token_denoiser_in_bfloat16, check_framepack_in_bfloat16, check_autoencoder_in_bfloat16]
