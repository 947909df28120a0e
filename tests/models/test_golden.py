"""Models compared with golden vectors, fast subset; the whole set is `python -m tests.golden DIR`."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from models.networks.layers import AdaLNZeroBlock
from tests.golden import precision
from tests.golden.__main__ import GROUPS, main
from tests.golden.folder import Folder, golden_weight, undrawn

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def golden() -> Iterator[Path]:
    torch.set_num_threads(1)
    for location in (os.environ.get("LOOPCRAFT_GOLDEN"), ROOT.parent / "shared" / "golden"):
        if location and Path(location).is_dir():
            yield Path(location)
            golden_weight.cache_clear()  # frees most of a gigabyte
            return
    pytest.skip("no golden vectors here; LOOPCRAFT_GOLDEN names their folder")


@pytest.mark.parametrize("group", GROUPS, ids=lambda group: group.__name__)
def test_group(golden, group):
    folder = Folder(golden, fast=True)
    with undrawn():
        group(folder)
    assert folder.checks
    assert [check for check in folder.checks if not check.passed] == []


def test_a_rounded_residual_stream_is_caught(golden, monkeypatch):
    forward = AdaLNZeroBlock.forward

    def rounding(self, x, *inputs):
        return forward(self, x.bfloat16().float(), *inputs)

    monkeypatch.setattr(AdaLNZeroBlock, "forward", rounding)
    folder = Folder(golden, fast=True)
    precision.check_token_denoiser_in_bfloat16(folder)
    assert folder.checks
    assert not any(check.passed for check in folder.checks)


@pytest.fixture
def small_copy(golden, tmp_path) -> Path:
    for name in ("noise_schedule.npz", "plans.npz", "plans.json"):
        shutil.copy(golden / name, tmp_path)
        (tmp_path / name).chmod(0o644)
    return tmp_path


def test_checker_accepts_unchanged_files(small_copy, capsys):
    assert main([str(small_copy)]) == 0
    assert "0 failed, 0 files not checked" in capsys.readouterr().out


def test_checker_names_a_wrong_value(small_copy, capsys):
    arrays = dict(np.load(small_copy / "noise_schedule.npz"))
    arrays["alpha_shift_1.0"][7] += 1e-3
    np.savez(small_copy / "noise_schedule.npz", **arrays)
    assert main([str(small_copy)]) == 1
    assert "alpha, shift 1.0: 0.001 > 3e-07" in capsys.readouterr().out


def test_checker_names_a_wrong_plan(small_copy, capsys):
    arrays = dict(np.load(small_copy / "plans.npz"))
    arrays["millivid_main/selections"][3, 0, 9] ^= 1
    np.savez(small_copy / "plans.npz", **arrays)
    assert main([str(small_copy)]) == 1
    assert "plan millivid_main: steps" in capsys.readouterr().out


def test_checker_names_an_unknown_file(small_copy, capsys):
    np.savez(small_copy / "e2e_surprise.npz", x=np.zeros(1))
    assert main([str(small_copy)]) == 1
    assert "FAIL e2e_surprise.npz was not checked" in capsys.readouterr().out


@pytest.mark.parametrize("name", ["files/999.pyramid", "other.frames", "files/000/007.npz"])
def test_checker_names_a_file_of_every_known_kind(small_copy, capsys, name):
    (small_copy / name).parent.mkdir(parents=True, exist_ok=True)
    (small_copy / name).write_bytes(b"?")
    assert main([str(small_copy)]) == 1
    assert f"FAIL {name} was not checked" in capsys.readouterr().out


@pytest.mark.parametrize("damage", ["cut", "array missing"])
def test_checker_continues_after_an_unreadable_file(small_copy, capsys, damage):
    path = small_copy / "noise_schedule.npz"
    if damage == "cut":
        path.write_bytes(path.read_bytes()[:-100])
    else:
        arrays = dict(np.load(path))
        arrays.pop("t")
        np.savez(path, **arrays)
    assert main([str(small_copy)]) == 1
    out = capsys.readouterr().out
    assert "stopped by " + ("BadZipFile" if damage == "cut" else "KeyError: 't'") in out
    assert "1 failed, 0 files not checked" in out


def test_checker_counts_nan_as_failure():
    folder = Folder(Path())
    folder.close("nan", torch.tensor([float("nan")]), torch.zeros(1), 1.0)
    folder.close("shape", torch.zeros(2), torch.zeros(1), 1.0)
    folder.record("nan", float("nan"), 1.0)
    assert not any(check.passed for check in folder.checks)
