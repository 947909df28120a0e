"""I3D's layers on random weights: equal to a second implementation at any length and size."""

import numpy as np
import pytest
import torch

from benchmark.metrics.i3d_network import Network, pad_same
from tests.fakes.tiny_networks import fill, scenes
from tests.references.i3d import i3d_logits


@pytest.fixture(scope="module")
def network() -> Network:
    network = fill(Network(), gain=1.5)
    rng = np.random.default_rng(1)
    with torch.no_grad():
        for name, values in network.state_dict().items():
            if values.ndim == 1:
                drawn = rng.uniform(0.5, 2.0, len(values)) if name.endswith("variance") else None
                drawn = rng.normal(0.0, 0.1, len(values)) if drawn is None else drawn
                values.copy_(torch.from_numpy(drawn))
    return network


@pytest.mark.parametrize(("num_frames", "height", "width"), [(9, 64, 64), (18, 90, 41)])
def test_logits_match_a_second_implementation(network, num_frames, height, width) -> None:
    clips = scenes(0, num_frames, 90)[None, :, :height, :width]
    expected = i3d_logits({name: values.numpy() for name, values in network.state_dict().items()}, clips)
    inputs = torch.from_numpy(np.ascontiguousarray(clips)).permute(0, 4, 1, 2, 3) / 127.5 - 1
    with torch.inference_mode():
        logits = network(inputs).numpy()
    assert np.abs(expected).max() > 0.1
    np.testing.assert_allclose(logits, expected, rtol=0, atol=2e-4 * np.abs(expected).max())


def test_padding_matches_tensorflow_same() -> None:
    clip = torch.ones(1, 1, 5, 6, 7)
    assert pad_same(clip, (3, 3, 3), (2, 2, 2)).shape[2:] == (7, 7, 9)
    padded = pad_same(clip, (1, 1, 3), (2, 2, 2))[0, 0, 0, 0]
    assert padded.tolist() == [0, 1, 1, 1, 1, 1, 1, 1, 0]
    even = pad_same(clip, (1, 3, 1), (2, 2, 2))[0, 0, 0, :, 0]
    assert even.tolist() == [1, 1, 1, 1, 1, 1, 0]
