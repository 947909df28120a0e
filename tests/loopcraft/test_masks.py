"""Recall masks against their definition, and the command that adds them to a data set."""

import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from loopcraft import generate, masks, verify
from loopcraft.core.checksums import add_sums, sums_of
from loopcraft.dataset import open_dataset
from loopcraft.dataset.mask_files import encode_masks
from loopcraft.generation.recall_masks import SKY, recall_masks
from loopcraft.generation.replay import play_again
from loopcraft.worlds import make_surface_world, make_world
from tests.fakes.folder_content import content
from tests.fakes.world import FakeWorld
from tests.fakes.world import recipe as fake_recipe


def masks_by_definition(surfaces: np.ndarray, num_context: int) -> dict[str, np.ndarray]:
    """Compute the masks pixel by pixel, searching all earlier frames for the surface that a pixel shows."""
    seen, age = np.zeros(surfaces.shape, bool), np.zeros(surfaces.shape, np.uint16)
    for index, surface in np.ndenumerate(surfaces):
        shown = [t for t in range(index[0] + 1) if surface in surfaces[t]]
        in_context = [t for t in shown if t < num_context]
        if surface == SKY or not in_context:
            continue
        seen[index] = True
        sights = "".join("." if t in shown else "x" for t in range(index[0] + 1))
        absences = [
            run for run in re.finditer("x+", sights) if shown[0] < run.start() and num_context <= run.end()
        ]
        if any(len(run[0]) >= 20 for run in absences):
            age[index] = index[0] - in_context[-1]
    return {"seen": seen, "age": age, "sky": surfaces == SKY}


@st.composite
def walks_past(draw) -> np.ndarray:
    """Frames that show a few surfaces for stretches of lengths around the longest blink."""
    lengths = draw(st.lists(st.sampled_from([1, 5, 19, 20, 21, 40]), min_size=1, max_size=8))
    views = draw(st.lists(st.lists(st.integers(0, 4), min_size=4, max_size=4), min_size=8, max_size=8))
    stretches = [
        np.tile(np.reshape(view, (1, 2, 2)), (n, 1, 1)) for view, n in zip(views, lengths, strict=False)
    ]
    return np.concatenate(stretches).astype(np.uint64) * np.uint64(1 << 40)


@settings(max_examples=30, deadline=None)
@given(walks_past(), st.integers(1, 60))
def test_masks_match_the_definition(surfaces: np.ndarray, num_context: int) -> None:
    computed, expected = recall_masks(surfaces, num_context), masks_by_definition(surfaces, num_context)
    assert list(computed) == list(expected)
    for name, array in expected.items():
        assert computed[name].dtype == array.dtype
        np.testing.assert_array_equal(computed[name], array)


@pytest.mark.parametrize(("gap", "age"), [(1, 0), (20, 0), (21, 22)])
def test_a_blink_is_no_absence(gap: int, age: int) -> None:
    """Surface 7 fills frames 0-2, the whole context, and returns `gap` frames later: hidden for one less."""
    surfaces = np.full((40, 1, 1), 9, np.uint64)
    surfaces[:3] = surfaces[2 + gap :] = 7
    computed = recall_masks(surfaces, num_context=3)
    assert computed["age"][2 + gap, 0, 0] == (gap if age else 0)
    assert computed["age"][-1, 0, 0] == (37 if age else 0)
    assert not computed["seen"][3, 0, 0] or gap == 1


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two episodes of the voxel world without masks."""
    root = tmp_path_factory.mktemp("voxel") / "val"
    flags = "--split val --num-episodes 2 --candidates 2 --num-frames 200 --resolution 32 --workers 1"
    assert generate.main(["--out", str(root), *flags.split()]) == 0
    return root


@pytest.fixture
def root(original: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(original, tmp_path / "val"))


def test_the_command_adds_masks_and_nothing_else(root: Path, original: Path, capsys) -> None:
    before = open_dataset(original)
    assert masks.main([str(root), "--workers", "1"]) == 0
    after = open_dataset(root)
    assert after.fingerprint == before.fingerprint
    files = content(root)
    added = set(files) - set(content(original))
    assert added == {f"{key}.seen.npz" for key in before.keys}
    key = before.keys[1]
    world = make_world("voxel-v1", resolution=32)
    seed = int(before.metadata["world_seed"].loc[key])
    play = world.play(seed, before.actions(key), surfaces=True)
    surfaces = np.stack([observation.surface for observation in play])
    assert files[f"{key}.seen.npz"] == encode_masks(recall_masks(surfaces, before.num_context))
    loaded = after.masks(key)
    shares = masks.horizon_shares(loaded, before.num_context)
    assert shares.sum() == pytest.approx(1)
    assert (loaded["age"][before.num_context :] > 0).mean() == shares[3] > 0.05
    assert "of the horizon's pixels: shown, and out of sight in between" in capsys.readouterr().out
    assert verify.main([str(root)]) == 0
    assert set(after.sums) >= added


def test_cells_can_be_coarser_and_a_rerun_keeps_their_size(root: Path, original: Path) -> None:
    """A cell holds what a pixel of a coarser frame shows; masks added later have the same cells."""
    assert masks.main([str(root), "--workers", "1", "--cell", "2"]) == 0
    data = open_dataset(root)
    key = data.keys[0]
    world = make_surface_world("voxel-v1", resolution=16)
    expected = recall_masks(play_again(world, data, key), data.num_context)
    for name, array in expected.items():
        np.testing.assert_array_equal(data.masks(key)[name], array)
    files = content(root)
    (root / "000/001.seen.npz").unlink()
    assert masks.main([str(root), "--workers", "1"]) == 0
    assert content(root) == files
    assert [masks.usual_cell(open_dataset(original), side) for side in (32, 64, 128, 200, 256)] == [
        1,
        1,
        2,
        1,
        2,
    ]


@pytest.mark.parametrize(
    ("cell", "message"),
    [("3", "--cell 3: must divide the frames' 32 pixels"), ("-1", "--cell -1: choose 0 (the default size)")],
)
def test_a_cell_that_does_not_fit_is_refused(root: Path, capsys, cell: str, message: str) -> None:
    assert masks.main([str(root), "--cell", cell]) == 2
    assert message in " ".join(capsys.readouterr().err.split())


def test_a_rerun_gives_the_same_bytes_with_any_number_of_workers(root: Path) -> None:
    assert masks.main([str(root), "--workers", "2"]) == 0
    files = content(root)
    (root / "000/000.seen.npz").unlink()
    modified_ns = (root / "000/001.seen.npz").stat().st_mtime_ns
    assert masks.main([str(root), "--workers", "1"]) == 0
    assert content(root) == files
    assert (root / "000/001.seen.npz").stat().st_mtime_ns == modified_ns
    for removed in (["SHA256SUMS"], ["SHA256SUMS", "000/001.seen.npz"]):  # an older version, a killed run
        for name in removed:
            (root / name).unlink()
        assert masks.main([str(root), "--workers", "1"]) == 0
        masked = {name for name in files if name.endswith(".npz")}
        assert set(open_dataset(root).sums) == masked
    add_sums(root, {"000/000.seen.npz": "0" * 64})  # as after another version of NumPy
    (root / "000/000.seen.npz").unlink()
    assert masks.main([str(root), "--workers", "1"]) == 0
    assert open_dataset(root).masks("000/000") is not None


def test_a_walk_that_replays_differently_gets_no_masks(root: Path, capsys) -> None:
    path = root / "000/000.npy"
    states = np.load(path)
    states[150, 1] += 0.5
    np.save(path, states)
    add_sums(root, sums_of(root, ["000/000.npy"]))
    assert masks.main([str(root), "--workers", "1"]) == 2
    error = capsys.readouterr().err.splitlines()[-1]
    assert f"{path}: the replayed walk differs from frame 150 on" in error
    assert not list(root.rglob("*.seen.npz"))
    assert not list(root.rglob("*.partial"))


def test_sets_that_cannot_be_replayed_are_refused(root: Path, tmp_path: Path, capsys) -> None:
    generate.generate(tmp_path / "fake", fake_recipe("val"), make_world=FakeWorld)
    for name in ("dataset.json", "SHA256SUMS"):
        (root / name).unlink()
    for path, message in [
        (tmp_path / "fake", "unknown world 'fake-v1': choose one of voxel-v1, plaza-v1, minerl"),
        (root, "does not record the worlds it was played in"),
        (tmp_path / "nowhere", "nowhere"),
    ]:
        capsys.readouterr()
        assert masks.main([str(path)]) == 2
        error = capsys.readouterr().err
        assert message in error
        assert error.count("\n") == 1
    assert masks.main([str(root), "--workers", "-1"]) == 2


def test_minecraft_cannot_have_masks(root: Path, capsys) -> None:
    manifest = root / "dataset.json"
    manifest.write_text(manifest.read_text().replace('"voxel-v1"', '"minerl"'))
    add_sums(root, {"dataset.json": None})
    assert masks.main([str(root)]) == 2
    assert (
        "world 'minerl' cannot tell which block face a pixel shows; these can: voxel-v1, plaza-v1"
        in capsys.readouterr().err
    )
