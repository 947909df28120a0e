"""The models on a real GPU: golden vectors in float32 and bfloat16, and rollouts that match the CPU's."""

import os
from pathlib import Path

import pytest
import torch

from models.networks.denoiser import Condition, TokenDenoiser, mask_actions
from models.networks.layers import SIZES
from models.networks.tokens import LEVEL
from models.zoo.presets import PRESETS
from models.zoo.world_models import build_rollout
from tests.golden.folder import Folder, fill, root_mean_square
from tests.references.conditions import per_token

ROOT = Path(__file__).resolve().parents[2]
pytestmark = [
    pytest.mark.cuda,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA GPU"),
]


@pytest.fixture
def folder() -> Folder:
    for location in (os.environ.get("LOOPCRAFT_GOLDEN"), ROOT.parent / "shared" / "golden"):
        if location and Path(location).is_dir():
            return Folder(Path(location))
    pytest.skip("no golden vectors here; LOOPCRAFT_GOLDEN names their folder")


@pytest.fixture(autouse=True)
def exact_float32():
    torch.backends.cuda.matmul.allow_tf32 = False


def forward(folder: Folder, rule: str, *, bfloat16: bool, to_one_hot: bool) -> tuple[torch.Tensor, dict]:
    """Run the golden forward pass of the token denoiser on the GPU; return v and the golden arrays."""
    manifest, golden = folder.json("forward_manifest.json"), folder.tensors("universal_forward_S.npz")
    test = manifest["tests"]["universal_forward_S"]
    size = SIZES[test["model_size"]]
    network = TokenDenoiser(size, channels=test["latent_channels"], num_levels=test["num_levels"])
    fill(network, rule, manifest["salt"])
    network.cuda()
    inputs = ("x", "indices_flhw", "actions", "t_any", "mask_first_false")
    on_gpu = {key: golden[key].cuda() for key in inputs}
    address = on_gpu["indices_flhw"]
    action = mask_actions(on_gpu["actions"][..., 0].long(), on_gpu["mask_first_false"])
    condition = per_token(on_gpu["t_any"], address[..., LEVEL], action)
    if to_one_hot:
        condition = condition.to_one_hot()
    with torch.autocast("cuda", torch.bfloat16, enabled=bfloat16):
        v = network(on_gpu["x"], network.positions(address), condition)
    return v.float().cpu(), golden


@pytest.mark.parametrize("to_one_hot", [False, True])
@pytest.mark.parametrize("rule", ["A", "B"])
@torch.no_grad()
def test_float32_matches_the_golden_vectors(folder, rule, to_one_hot):
    v, golden = forward(folder, rule, bfloat16=False, to_one_hot=to_one_hot)
    torch.testing.assert_close(v, golden[f"{rule}/f32/v_t_any_mask_first_false"], atol=2e-5, rtol=0)


@pytest.mark.parametrize("rule", ["A", "B"])
@torch.no_grad()
def test_bfloat16_is_about_as_close_as_the_reference(folder, rule):
    v, golden = forward(folder, rule, bfloat16=True, to_one_hot=False)
    noise = folder.json("forward_manifest.json")["numerical_noise"][f"public/universal_forward_S/{rule}"]
    error = root_mean_square(v, golden[f"{rule}/f32/v_t_any_mask_first_false"])
    assert error <= 2 * noise["autocast_vs_f32"]["rms_diff"]


@pytest.mark.parametrize("name", ["millivid", "millivid-causal", "framepack", "full-resolution"])
@pytest.mark.parametrize("preset", ["trial", "gpu-minutes"])
def test_a_rollout_matches_the_cpu(preset, name):
    size = 32 if preset == "trial" else 64
    model = build_rollout(name, preset=preset, frame_size=size, precision="float32")
    draws = torch.Generator().manual_seed(0)
    context = torch.randint(0, 256, (2, model.max_context, *model.frame_shape), generator=draws).byte()
    actions = torch.randint(0, 3, (2, model.max_context + 5), generator=draws)
    frames = [
        torch.cat(list(model.rollout(context.to(device), actions.to(device), seeds=[3, 4])), dim=1).cpu()
        for device in ("cpu", "cuda")
    ]
    torch.testing.assert_close(*frames, atol=2e-3, rtol=0)


@pytest.mark.parametrize("name", ["millivid", "framepack"])
def test_one_hot_selection_has_the_gradients_of_indexing(name):
    settings = PRESETS["gpu-minutes"].model(name, 64)
    network = settings.video.network(settings.autoencoder.grid).cuda()
    rows = network.trunk.num_levels * 4 * 2
    draws = torch.Generator("cuda").manual_seed(0)
    x = torch.randn(2, 40, 144, generator=draws, device="cuda")
    row = torch.randint(0, rows, (2, 40), generator=draws, device="cuda")
    row[1] += rows
    time = torch.rand(2 * rows, generator=draws, device="cuda")
    zeros = torch.zeros(2 * rows, dtype=torch.int64, device="cuda")
    condition = Condition(time=time, level=zeros, action=zeros, row=row)
    gradients = []
    for chosen in (condition, condition.to_one_hot()):
        network.zero_grad()
        network.trunk(x, network.trunk.embed(chosen), chosen.row).square().sum().backward()
        gradients.append(network.trunk.blocks[0].modulation.linear.weight.grad.clone())
    torch.testing.assert_close(*gradients, atol=1e-3, rtol=1e-3)
