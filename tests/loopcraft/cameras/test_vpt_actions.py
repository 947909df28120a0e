"""Loopcraft actions as action vectors of the VPT family."""

import torch

from loopcraft.cameras import VPT_ENTRIES, vpt_actions
from loopcraft.walks.actions import Action


def test_there_are_25_entries_in_the_order_of_open_oasis() -> None:
    assert len(VPT_ENTRIES) == len(set(VPT_ENTRIES)) == 25
    entries = {"inventory": 0, "ESC": 1, "hotbar.1": 2, "hotbar.9": 10, "forward": 11, "back": 12, "left": 13,
               "right": 14, "cameraX": 15, "cameraY": 16, "jump": 17, "attack": 21, "drop": 24}  # fmt: skip
    assert {name: VPT_ENTRIES.index(name) for name in entries} == entries


def test_walking_and_turning() -> None:
    walk = torch.tensor([[Action.FORWARD, Action.LEFT], [Action.RIGHT, Action.FORWARD]])
    vectors = vpt_actions(walk)
    assert (vectors.shape, vectors.dtype) == ((2, 2, 25), torch.float32)
    held = [{VPT_ENTRIES[i]: v[i].item() for i in v.nonzero().flatten()} for v in vectors.flatten(0, 1)]
    forward, left, right = (
        {"forward": 1.0, "jump": 1.0},
        {"cameraY": -1.0, "jump": 1.0},
        {"cameraY": 1.0, "jump": 1.0},
    )
    assert held == [forward, left, right, forward]


def test_a_larger_unit_scales_turns_down() -> None:
    (vector,) = vpt_actions(torch.tensor([Action.RIGHT]), unit_deg=20.0)
    assert vector[VPT_ENTRIES.index("cameraY")] == 0.5
