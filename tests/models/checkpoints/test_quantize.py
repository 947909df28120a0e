"""Weights in eight bits: how far they move, what stays unchanged, how a packed file is read and counted."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from models.checkpoints.format import describe_checkpoint, read_checkpoint, save_checkpoint
from models.checkpoints.quantize import from_int8, to_int8
from models.zoo.presets import PRESETS


@given(seed=st.integers(0, 10**6), power=st.integers(-3, 3), shape=st.tuples(*2 * [st.integers(1, 9)]))
@settings(deadline=None, max_examples=50)
def test_a_weight_moves_by_at_most_half_a_step_of_its_row(seed, power, shape):
    weight = 10.0**power * torch.randn(shape, generator=torch.Generator().manual_seed(seed))
    moved = (from_int8(to_int8({"w": weight}))["w"] - weight).abs()
    step = weight.abs().amax(dim=1, keepdim=True) / 127
    assert (moved <= step * 0.5 + weight.abs() * 1e-6).all()


def test_rows_keep_their_own_scale():
    weight = torch.tensor([[1000.0, 500.0], [0.001, -0.0005], [0.0, 0.0]])
    assert torch.allclose(from_int8(to_int8({"w": weight}))["w"], weight, rtol=0.01)


def test_vectors_are_kept_in_half_precision():
    bias = torch.randn(5)
    stored = to_int8({"b": bias})
    assert stored.keys() == {"b"}
    assert torch.equal(from_int8(stored)["b"], bias.half())


def test_quantising_again_moves_nothing():
    once = from_int8(to_int8({"w": torch.randn(20, 30)}))
    twice = from_int8(to_int8(once))
    assert torch.allclose(twice["w"], once["w"], rtol=1e-5, atol=1e-6)


def test_a_file_of_int8_reads_as_float_and_counts_no_scales(tmp_path):
    weights = {"w": torch.randn(20, 30), "b": torch.randn(20)}
    path = tmp_path / "autoencoder.safetensors"
    save_checkpoint(path, to_int8(weights), PRESETS["trial"].model("millivid", 32).autoencoder)
    _, loaded = read_checkpoint(path)
    assert loaded.keys() == weights.keys()
    assert loaded["w"].dtype == torch.float32
    assert loaded["w"] == pytest.approx(weights["w"], abs=weights["w"].abs().max().item() / 200)
    assert describe_checkpoint(path)[1] == 20 * 30 + 20
