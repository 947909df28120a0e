import pytest
import torch
from torch import nn
from torch._subclasses.fake_tensor import FakeTensorMode

from models.zoo.presets import PRESETS
from perf import causal, cost
from perf.cost import count_cost, main, video_cost


def test_the_cost_of_two_linear_layers_matches_arithmetic():
    with FakeTensorMode():
        network = nn.Sequential(nn.Linear(8, 32), nn.Linear(32, 4))
        x = torch.zeros(10, 8)
        measured = count_cost(network, lambda: network(x))
    forward = 2 * 10 * (8 * 32 + 32 * 4)
    backward = forward + 2 * 10 * 32 * 4  # gradients of both weights, and of the second layer's input
    assert measured.parameters == 8 * 32 + 32 + 32 * 4 + 4
    assert measured.operations == forward + backward
    # Both inputs in bfloat16, and the cast of the second weight for the gradient of its input.
    assert measured.activation_bytes == 2 * (10 * 8 + 10 * 32 + 32 * 4)


def test_the_published_model_costs_six_operations_per_weight_and_token_plus_attention():
    with FakeTensorMode():
        measured = video_cost(PRESETS["paper"].model("millivid", 256))
    assert measured.parameters == 129_566_240
    tokens, width, depth = 3840, 768, 12
    linear = 6 * 12 * width**2 * tokens * depth
    attention = 3 * 4 * tokens**2 * width * depth  # two products forwards, four backwards
    assert measured.operations == pytest.approx(linear + attention, rel=0.1)


def test_the_table_has_every_model_of_every_preset(capsys, monkeypatch):
    """Two small presets are traced; the others differ only in size."""
    assert set(cost.SHOWN) == {"paper", "paper-ablation", "gpu-hour", "gpu-minutes", "cpu-evening"}
    presets = ("gpu-hour", "cpu-evening")
    monkeypatch.setattr(cost, "SHOWN", presets)
    assert main([]) == 0
    rows = [[cell.strip() for cell in line.split("│")[1:-1]] for line in capsys.readouterr().out.splitlines()]
    (row,) = (row for row in rows if row[:2] == ["gpu-hour", "millivid"])
    with FakeTensorMode():
        measured = video_cost(PRESETS["gpu-hour"].model("millivid", 64))
    assert (row[2], row[5]) == (f"{measured.parameters / 1e6:.2f} M", f"{measured.operations / 1e9:.3g}")
    assert {tuple(row[:2]) for row in rows if len(row) == 10} == {
        (preset, model)
        for preset in presets
        for model in ("autoencoder", "millivid", "framepack", "full-resolution")
    }


@pytest.mark.parametrize("flag", ["--videos", "--frames"])
def test_counts_of_zero_are_refused(flag, capsys):
    assert causal.main([flag, "0"]) == 2
    assert f"error: {flag} 0: choose 1 or more" in capsys.readouterr().err


def test_invalid_rates_are_refused(capsys):
    assert main(["--utilisation", "1.5"]) == 2
    assert "--utilisation in (0, 1]" in capsys.readouterr().err
