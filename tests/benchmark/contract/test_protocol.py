"""The protocols' numbers and hashes: neither may change under the same id."""

import dataclasses

import pytest

from benchmark.contract.protocol import (
    LOOPCRAFT_MINI,
    LOOPCRAFT_RECALL_MINI,
    LOOPCRAFT_RECALL_V1,
    LOOPCRAFT_V1,
    PROTOCOLS,
    Window,
    get_protocol,
)
from loopcraft.core.errors import UserError


def test_the_protocol_of_the_paper() -> None:
    protocol = get_protocol("loopcraft-v1")
    assert (protocol.context, protocol.horizon, protocol.num_frames) == (256, 768, 1024)
    spans = {window.name: (window.first, window.last) for window in protocol.windows}
    assert spans == {"short": (1, 64), "medium": (65, 256), "long": (257, 768)}


def test_the_mini_protocol_is_a_quarter_of_it() -> None:
    assert (LOOPCRAFT_MINI.context * 4, LOOPCRAFT_MINI.horizon * 4) == (256, 768)
    for quarter, whole in zip(LOOPCRAFT_MINI.windows, LOOPCRAFT_V1.windows, strict=True):
        assert quarter.last * 4 == whole.last


@pytest.mark.parametrize("protocol", PROTOCOLS.values(), ids=lambda protocol: protocol.id)
def test_windows_cover_every_frame_of_the_horizon_once(protocol) -> None:
    frames = list(range(protocol.horizon))
    assert [frame for window in protocol.windows for frame in frames[window.frames]] == frames


@pytest.mark.parametrize("change", [
    {"id": "x"}, {"context": 1}, {"horizon": 1}, {"metrics": ("psnr",)},
    {"windows": (Window(name="short", first=1, last=768),)},
])  # fmt: skip
def test_every_field_is_in_the_hash(change) -> None:
    assert dataclasses.replace(LOOPCRAFT_V1, **change).hash != LOOPCRAFT_V1.hash


def test_the_hash_is_pinned() -> None:
    assert LOOPCRAFT_V1.hash.startswith("2970cca70d500534")
    assert LOOPCRAFT_MINI.hash.startswith("5c80995b36608718")
    assert LOOPCRAFT_RECALL_V1.hash.startswith("6ae0b0fd91c85b7e")
    assert LOOPCRAFT_RECALL_MINI.hash.startswith("6a23cc248bc94b6c")


def test_recall_protocols_keep_the_frames_and_put_their_metrics_first() -> None:
    for recall, plain in ((LOOPCRAFT_RECALL_V1, LOOPCRAFT_V1), (LOOPCRAFT_RECALL_MINI, LOOPCRAFT_MINI)):
        assert recall == dataclasses.replace(plain, id=recall.id, metrics=recall.metrics)
    assert LOOPCRAFT_RECALL_V1.metrics[:4] == ("psnr", "ssim", "lpips", "sift")


def test_an_unknown_protocol_lists_the_known_ones() -> None:
    with pytest.raises(UserError, match="'loopcraft-v2': choose one of loopcraft-v1, loopcraft-mini"):
        get_protocol("loopcraft-v2")
