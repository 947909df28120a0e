"""Golden checks of the autoencoder: latents, decoding from every level, and the reconstruction loss."""

import re

import torch

from models.networks.autoencoder import Autoencoder, AutoencoderConfig, join_patches, mean_pool, patch_pyramid
from models.networks.tokens import FRAME, LEVEL, Grid
from models.train.losses import reconstruction_loss
from tests.golden.folder import Folder, fill

FORWARD = 2e-5
LATENTS = 4e-5
LOSS = 1e-6


def check_patches(folder: Folder) -> None:
    """Check the patch pyramid of a small image and the order of its tokens."""
    golden = folder.tensors("embeddings.npz")
    image, expected = golden["patchify_image"], golden["patchify_patches"]
    patch = expected.shape[-1]
    side = image.shape[-1] // patch
    levels = len(golden["patchify_indices_lhw"][0, :, 0].unique())
    folder.close("patch pyramid", patch_pyramid(image, patch, levels), expected.flatten(2), 1e-6)
    address = Grid(side=side, levels=levels).frame_addresses()[:, LEVEL:]
    folder.close("patch addresses", address, golden["patchify_indices_lhw"][0], 0)


def check_autoencoder(folder: Folder) -> None:
    """Encode and decode one image at every level under both weight rules."""
    manifest = folder.json("forward_manifest.json")
    golden = folder.tensors("autoencoder.npz")
    size, num_levels = golden["image_uint8_hwc"].shape[0], manifest["tests"]["autoencoder"]["levels"]
    image = golden["image_uint8_hwc"].movedim(-1, 0)[None] / 255
    cascaded = Autoencoder(AutoencoderConfig(frame_size=size, levels=num_levels, cascaded=True))
    model = Autoencoder(AutoencoderConfig(frame_size=size, levels=num_levels))
    for rule in "B" if folder.fast else "AB":
        fill(model, rule, manifest["salt"])
        levels = model.encode(image)
        latents = torch.cat(levels, dim=1)
        folder.close(f"{rule} latents", latents, golden[f"{rule}/f32/latents"], LATENTS)
        rounded = torch.cat(model.encode(image.bfloat16().float()), dim=1)
        expected = golden[f"{rule}/f32/latents_from_bf16_rounded_image"]
        folder.close(f"{rule} latents of the rounded image", rounded, expected, LATENTS)
        cascaded.encoder = model.encoder
        # If fast, skip a second run: tests/models/test_evaluate.py runs a cascaded encoder.
        cascade = mean_pool(levels[0], model.grid) if folder.fast else cascaded.encode(image)
        pooled = torch.cat(cascade, dim=1).detach()
        folder.close(f"{rule} cascaded latents", pooled, golden[f"{rule}/f32/latents_cascaded"], LATENTS)
        stored = golden[f"{rule}/f32/latents"].split(model.grid.tokens_per_level, dim=1)
        for level in [0, num_levels - 1] if folder.fast else range(num_levels):
            check_decoding(folder, golden, f"{rule}/f32/decode_level{level}", model, list(stored), level)
        if rule == "B":
            check_video(folder, golden, model)
            if not folder.fast:
                check_loss(folder, golden, model, image)


def check_decoding(
    folder: Folder, golden: dict, prefix: str, model: Autoencoder, stored: list, level: int
) -> None:
    """Check all stored images decoded from one level."""
    patches = model.decode_patches(stored, torch.tensor([level]))
    images = [
        join_patches(part, model.config.patch) for part in patches.split(model.grid.tokens_per_level, 1)
    ]
    if not folder.fast:  # `check_video` and `check_autoencoder_in_bfloat16` also call `decode`
        folder.close(f"{prefix}: decode", model.decode(stored[level], level), images[0], 1e-6)
    for key in [key for key in golden if key.startswith(prefix)]:
        index = int(key.split("_image")[1][0])
        stride = int(key.split("_stride")[1]) if "_stride" in key else 1
        folder.close(key, images[index][0, :, ::stride, ::stride], golden[key], FORWARD)


def check_video(folder: Folder, golden: dict, model: Autoencoder) -> None:
    """Check video frames decoded from one level of unordered tokens with addresses."""
    address = golden["decode_video/indices_flhw"][0]
    for key in [key for key in golden if key.startswith("decode_video/level")]:
        level, frame = (int(number) for number in re.findall(r"level(\d+)_frame(\d+)", key)[0])
        mask = (address[:, LEVEL] == level) & (address[:, FRAME] == frame)
        raster = address[mask] @ torch.tensor([0, 0, model.grid.side_at(level), 1])
        latents = torch.zeros(1, model.grid.tokens_at(level), model.grid.channels)
        latents[:, raster] = golden["decode_video/tokens"][:, mask]
        image = model.decode(latents, level)[0]
        stride = int(key.split("_stride")[1])
        folder.close(key, image[:, ::stride, ::stride], golden[key], FORWARD)


def check_loss(folder: Folder, golden: dict, model: Autoencoder, image: torch.Tensor) -> None:
    """Check the reconstruction part of the training loss on three variants of the image."""
    images = torch.cat([image, image.flip(-1), 1 - image])
    loss, predicted = reconstruction_loss(model, images, golden["train/levels"])
    expected = golden["train/loss_mse_ruleB"].item()
    folder.record("reconstruction loss, relative", abs(loss.item() / expected - 1), LOSS)
    target = patch_pyramid(images, model.config.patch, model.config.levels)
    error = (predicted - target).square().split(model.grid.tokens_per_level, dim=1)
    per_level = torch.stack([part.mean() for part in error]).double()
    expected = golden["train/unweighted_mse_per_level_ruleB"]
    folder.record("loss per level, relative", (per_level / expected - 1).abs().max().item(), LOSS)


CHECKS = [check_patches, check_autoencoder]
