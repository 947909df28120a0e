"""Verification finds every kind of damage and names the file; a whole set has none."""

import io
import json
import re
import shutil
import subprocess
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from loopcraft import verify
from loopcraft.core.checksums import add_sums, sums_of
from loopcraft.core.errors import UserError
from loopcraft.dataset.mask_files import read_masks
from loopcraft.generate import generate
from tests.fakes.world import FakeWorld, recipe


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("data") / "set"
    generate(root, recipe(), make_world=FakeWorld)
    return root


@pytest.fixture
def root(original: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(original, tmp_path / "set"))


def edit_states(change: Callable[[np.ndarray], None]) -> Callable[[Path], None]:
    """Change the states and, as a careful forger would, their checksum in the table and the table's own."""

    def damage(root: Path) -> None:
        path = root / "000" / "002.npy"
        states = np.load(path)
        change(states)
        np.save(path, states)
        forge(root, "000/002", npy_sha256=verify.file_sha256(path))

    return damage


def forge(root: Path, key: str, **values: object) -> None:
    table = pd.read_parquet(root / "episodes.parquet")
    for column, value in values.items():
        table.loc[table["key"] == key, column] = value
    table.to_parquet(root / "episodes.parquet")
    add_sums(root, sums_of(root, ["episodes.parquet"]))


def shift_actions(states: np.ndarray) -> None:
    states[1:, 0] = states[:-1, 0].copy()


def lie_about_action(states: np.ndarray) -> None:
    states[5, 0] = 3


def lose_a_number(states: np.ndarray) -> None:
    states[5, 1] = np.nan


def flip_a_byte(root: Path) -> None:
    path = root / "000" / "001.mp4"
    data = bytearray(path.read_bytes())
    data[-200] ^= 1
    path.write_bytes(data)


def truncate(root: Path) -> None:
    path = root / "000" / "001.mp4"
    path.write_bytes(path.read_bytes()[:1500])


def swap_videos(root: Path) -> None:
    for name in ("000.mp4", "000.npy"):
        (root / "000" / name).rename(root / "spare")
        (root / "000" / name.replace("000", "003")).rename(root / "000" / name)
        (root / "spare").rename(root / "000" / name.replace("000", "003"))


def edit_index(**changes: int | None) -> Callable[[Path], None]:
    def damage(root: Path) -> None:
        index = json.loads((root / "index.json").read_text()) | changes
        remaining = {key: frames for key, frames in index.items() if frames is not None}
        (root / "index.json").write_text(json.dumps(remaining))
        add_sums(root, sums_of(root, ["index.json"]))

    return damage


SHA = "does not match its SHA-256"
DAMAGE: dict[str, tuple[Callable[[Path], None], dict[str, str]]] = {
    "none": (lambda root: None, {}),
    "lost video": (lambda root: (root / "000/001.mp4").unlink(), {"000/001.mp4": "missing"}),
    "lost states": (lambda root: (root / "000/001.npy").unlink(), {"000/001.npy": "missing"}),
    "one bit": (flip_a_byte, {"000/001.mp4": SHA}),
    "truncated": (truncate, {"000/001.mp4": "SHA-256|frames can be decoded|not a readable"}),
    "swapped": (swap_videos, {f"000/00{i}.{kind}": SHA for i in (0, 3) for kind in ("mp4", "npy")}),
    "shifted": (edit_states(shift_actions), {"000/002.npy": "shifted or damaged"}),
    "no action": (edit_states(lie_about_action), {"000/002.npy": "actions other than 0, 1 and 2"}),
    "not finite": (edit_states(lose_a_number), {"000/002.npy": "not finite"}),
    "forgotten": (
        edit_index(**{"000/003": None}),
        {
            "episodes.parquet": "names episode 000/003",
            "000/003.mp4": "no episode",
            "000/003.npy": "no episode",
        },
    ),
    "invented": (
        edit_index(**{"000/004": 64}),
        {"episodes.parquet": "lacks episode 000/004", "000/004.mp4": "missing", "000/004.npy": "missing"},
    ),
    "miscounted": (
        edit_index(**{"000/001": 63}),
        {
            "episodes.parquet": "gives 000/001 64 frames",
            "000/001.mp4": "64 frames can be decoded, but the index says 63",
            "000/001.npy": "holds float32 .64, 6.",
        },
    ),
    "stray": (lambda root: (root / "000/009.mp4").touch(), {"000/009.mp4": "belongs to no episode"}),
    "no table": (lambda root: (root / "episodes.parquet").unlink(), {"episodes.parquet": "missing"}),
    "another table": (
        lambda root: pd.read_parquet(root / "episodes.parquet").to_parquet(root / "episodes.parquet"),
        {"episodes.parquet": "does not match its SHA-256 in SHA256SUMS; restore it, or remove its line"},
    ),
    "another manifest": (
        lambda root: (root / "dataset.json").write_text((root / "dataset.json").read_text() + " "),
        {"dataset.json": "does not match its SHA-256 in SHA256SUMS"},
    ),
    "lost masks": (
        lambda root: add_sums(root, {"000/001.seen.npz": "0" * 64}),
        {"000/001.seen.npz": "missing, though SHA256SUMS names it"},
    ),
    "a readme": (lambda root: (root / "README.md").touch(), {}),
    "recall masks": (
        lambda root: (root / "000/001.seen.npz").touch(),
        {"000/001.seen.npz": "not a readable NPZ file"},
    ),
}


@pytest.mark.parametrize("name", DAMAGE)
def test_damage_is_found_and_named(name: str, root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    damage, expected = DAMAGE[name]
    damage(root)
    assert verify.main([str(root)]) == (1 if expected else 0)
    *lines, last = capsys.readouterr().out.splitlines()
    named = {line.split(": ")[0] for line in lines}
    assert named == {str(root / path) for path in expected}
    for path, pattern in expected.items():
        messages = " ".join(line for line in lines if line.startswith(f"{root / path}:"))
        assert re.search(pattern, messages), messages
    assert last.endswith(f"{len(lines) or 'no'} faults")


def test_leftovers_of_a_killed_command_are_named_but_no_fault(root: Path, capsys) -> None:
    leftovers = [root / ".index.json.5.partial", root / "000" / ".000.seen.npz.0a1b.partial"]
    for path in [*leftovers, root / ".lock"]:
        path.touch()
    assert verify.main([str(root)]) == 0
    out = capsys.readouterr().out
    assert all(f"{path}: belongs to a running or killed command: not a fault" in out for path in leftovers)
    assert out.endswith("no faults\n")


def mask_mutants() -> dict[str, bytes]:
    """A valid mask file, and copies with one byte changed, cut, or of another format."""
    rng = np.random.default_rng(0)
    file = io.BytesIO()
    np.savez_compressed(file, seen=rng.random((64, 8, 8)) < 0.5)
    good = file.getvalue()
    mutants = {"whole": good, "cut": good[: len(good) // 2], "nothing": b""}
    for position in range(0, len(good), 5):
        mutants[f"byte {position}"] = good[:position] + bytes([good[position] ^ 0xFF]) + good[position + 1 :]
    array = io.BytesIO()
    np.save(array, np.zeros((64, 8, 8), bool))
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as stored:
        stored.writestr("seen.npy", b"no array")
    return mutants | {"npy": array.getvalue(), "text in a zip": archive.getvalue()}


def is_readable(path: Path) -> bool:
    """Return whether the masks can still be read: not every byte of a ZIP matters."""
    try:
        read_masks(path, 64)
    except UserError:
        return False
    return True


def test_damaged_masks_are_named(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = root / "000/001.seen.npz"
    causes = set()
    for name, content in mask_mutants().items():
        path.write_bytes(content)
        if name == "whole" or (name.startswith("byte ") and is_readable(path)):
            continue
        with pytest.raises(UserError, match=f"^{re.escape(str(path))}: ") as caught:
            read_masks(path, 64)
        causes.add(type(caught.value.__cause__))
    assert {zlib.error, TypeError, EOFError, zipfile.BadZipFile} <= causes
    with pytest.raises(FileNotFoundError):
        read_masks(root / "000/009.seen.npz", 64)
    path.write_bytes(mask_mutants()["npy"])
    assert verify.main([str(root)]) == 1
    assert f"{path}: not a readable NPZ file" in capsys.readouterr().out


def test_faults_do_not_depend_on_the_number_of_workers(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    truncate(root)
    (root / "000/003.npy").unlink()
    outputs = []
    for jobs in ("1", "4"):
        assert verify.main([str(root), "--workers", jobs]) == 1
        outputs.append(capsys.readouterr().out)
    assert outputs[0] == outputs[1]


@pytest.mark.parametrize(
    ("arguments", "message"), [(["nowhere"], "no such folder"), (["--jobs", "0"], "--workers 0")]
)
def test_bad_arguments_are_refused(
    arguments: list[str], message: str, root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = [str(root / arguments[0])] if arguments == ["nowhere"] else [str(root), *arguments]
    assert verify.main(command) == 2
    assert message in capsys.readouterr().err


def test_the_papers_layout_is_checked_without_a_table(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (root / "dataset.json").unlink()
    (root / "episodes.parquet").unlink()
    (root / "SHA256SUMS").unlink()
    assert verify.main([str(root)]) == 0
    last = "4 episodes, 9 files without a checksum (index.json, 4 *.mp4, 4 *.npy), no faults\n"
    assert capsys.readouterr().out.endswith(last)
    truncate(root)
    assert verify.main([str(root)]) == 1
    assert "000/001.mp4" in capsys.readouterr().out


def test_sums_from_sha256sum_cover_any_file(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (root / "dataset.json").unlink()
    (root / "episodes.parquet").unlink()
    names = ["index.json", *(f"000/{n:03d}.{kind}" for n in range(4) for kind in ("mp4", "npy"))]
    result = subprocess.run(["sha256sum", *names], cwd=root, capture_output=True, check=True)
    (root / "SHA256SUMS").write_bytes(result.stdout)
    assert verify.main([str(root)]) == 0
    assert capsys.readouterr().out.endswith("4 episodes, no faults\n")
    flip_a_byte(root)
    assert verify.main([str(root)]) == 1
    assert f"000/001.mp4: {SHA}" in capsys.readouterr().out


def test_sha256sum_accepts_our_sums(root: Path) -> None:
    command = ["sha256sum", "--check", "--strict", "SHA256SUMS"]
    subprocess.run(command, cwd=root, check=True, capture_output=True)


@pytest.mark.parametrize("name", ["index.json", "SHA256SUMS"])
def test_a_folder_whose_own_files_are_damaged_is_not_opened(name: str, root: Path, capsys) -> None:
    path = root / name
    path.write_bytes(path.read_bytes().replace(b"64", b"46").replace(b"a", b"b"))
    assert verify.main([str(root)]) == 2
    assert f"{root}/" in capsys.readouterr().err
