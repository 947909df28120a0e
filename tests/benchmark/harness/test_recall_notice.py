"""The notice about recall scores at the start of a run: what is left out and why. Masks must fit."""

import json
from pathlib import Path

import numpy as np
import pytest

from benchmark import run
from benchmark.contract.protocol import LOOPCRAFT_MINI as MINI
from loopcraft.dataset.mask_files import encode_masks
from tests.fakes.benchmark_data import SIDE, write_dataset

KEYS = ("000/000", "000/001", "000/002")


def masks(side: int = SIDE) -> dict[str, np.ndarray]:
    shape = (MINI.num_frames, side, side)
    return {
        "seen": np.ones(shape, bool),
        "age": np.full(shape, 70, np.uint16),
        "sky": np.zeros(shape, bool),
    }


def write_masks(root: Path, keys=KEYS, *, side: int = SIDE, without: str = "") -> None:
    arrays = {name: array for name, array in masks(side).items() if name != without}
    for key in keys:
        (root / f"{key}.seen.npz").write_bytes(encode_masks(arrays))


def write_manifest(
    root: Path, *, world: str = "plaza-v1", num_context: int = MINI.context, **generator
) -> None:
    manifest = {"format": "loopcraft-dataset", "version": 1, "world": world, "num_context": num_context}
    more = {"split": "test", "generator": {"resolution": SIDE, **generator}, "versions": {}}
    (root / "dataset.json").write_text(json.dumps(manifest | more))


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return write_dataset(tmp_path / "data")


def run_notice(root: Path, capsys, code: int = 0, protocol: str = "loopcraft-mini") -> str:
    """Run the command and return what it prints before its first score."""
    out = root.parent / "out"
    flags = ["--model", "copy-last", "--data", str(root), "--out", str(out), "--protocol", protocol]
    assert run.main([*flags, "--metrics", "psnr"]) == code
    assert out.exists() == (code == 0)
    lines = capsys.readouterr().err.splitlines()
    lines = [line for line in lines if not line.startswith("warning:")]  # about the fake walks
    return "\n".join(lines).partition("copy-last on loopcraft")[0]


LEFT_OUT = "recall scores are left out: "


def test_nothing_is_printed_if_nothing_is_missing(root, capsys) -> None:
    write_manifest(root, select="realised")
    write_masks(root)
    assert run_notice(root, capsys, protocol="loopcraft-recall-mini") == ""


NONE = "000/000 has no recall masks; python -m loopcraft.masks adds them if the world knows its surfaces"


@pytest.mark.parametrize("world", [None, "plaza-v1", "unheard-of-v1"])
def test_the_notice_says_how_to_make_masks(root, capsys, world: str | None) -> None:
    if world is not None:
        write_manifest(root, world=world)
    assert run_notice(root, capsys).startswith(f"{LEFT_OUT}{NONE}")


def test_a_world_without_surfaces_cannot_have_masks(root, capsys) -> None:
    write_manifest(root, world="minerl")
    reason = "000/000 has no recall masks, as world 'minerl' cannot tell which surface a pixel shows"
    assert run_notice(root, capsys).strip() == f"{LEFT_OUT}{reason}"


def test_masks_of_another_context_are_named(root, capsys) -> None:
    write_manifest(root, num_context=32)
    write_masks(root)
    reason = "the recall masks are for 32 frames of context but loopcraft-mini has 64"
    assert run_notice(root, capsys).strip() == f"{LEFT_OUT}{reason}"


def test_a_recall_protocol_refuses_masks_of_another_context(root, capsys) -> None:
    write_manifest(root, num_context=32, select="realised")
    write_masks(root)
    text = run_notice(root, capsys, 2, "loopcraft-recall-mini")
    reason = "the recall masks are for 32 frames of context but loopcraft-recall-mini has 64; choose"
    assert f"{root}: {reason}" in text


def test_masks_of_another_resolution_are_refused_by_name(root, capsys) -> None:
    write_manifest(root)
    write_masks(root, side=SIDE * 3 // 4)
    assert "the recall masks of 000/000 have 12x12 pixels, not a fraction of the frames' 16x16" in run_notice(
        root, capsys, 2
    )


@pytest.mark.parametrize("name", ["age", "sky"])
def test_masks_that_lack_something_are_named(root, capsys, name: str) -> None:
    write_manifest(root)
    write_masks(root, without=name)
    assert run_notice(root, capsys).strip() == f"{LEFT_OUT}the recall masks of 000/000 lack {name}"


def test_videos_without_masks_are_counted(root, capsys) -> None:
    write_manifest(root)
    write_masks(root, KEYS[:2])
    assert "cover 2 of 3 videos, as the others have no recall masks" in run_notice(root, capsys)


def test_a_set_not_selected_for_recall_is_reported(root, capsys) -> None:
    write_manifest(root)
    write_masks(root)
    text = run_notice(root, capsys, protocol="loopcraft-recall-mini")
    assert text.startswith("loopcraft-recall-mini is meant for test sets of python -m loopcraft.generate")
