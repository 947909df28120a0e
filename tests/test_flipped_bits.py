"""A bit flipped anywhere in any kind of file is named in an error, or does not change what is read.

Files as older versions wrote them, without a checksum, are read as before.
"""

import shutil
from pathlib import Path
from typing import Any

import pytest

from benchmark.contract.protocol import LOOPCRAFT_MINI
from benchmark.harness.score_files import find_damage
from benchmark.metrics import get_metrics
from loopcraft.core.checksums import SUMS
from loopcraft.core.errors import UserError
from loopcraft.core.seeding import generator
from models.latents.store import open_latents
from tests.drills.files import KINDS, Kind, make_scores
from tests.fakes.training_runs import train, write_latents

FLIPS = 150
"""The flips for each kind of file."""


def attempt(kind: Kind, root: Path) -> tuple[Any, str | None]:
    """What is read, or the sentence of the refusal."""
    try:
        return kind.read(root), None
    except UserError as error:
        return None, str(error)
    except FileNotFoundError as error:  # the command line turns it into a sentence
        return None, str(error)


@pytest.mark.parametrize("name", KINDS)
def test_a_flipped_bit_is_named_or_changes_nothing(name: str, tmp_path: Path) -> None:
    kind = KINDS[name]
    kind.make(tmp_path)
    path, expected = tmp_path / kind.path, kind.read(tmp_path)
    content, rng, refused = path.read_bytes(), generator(0, f"flips of {name}"), 0
    for number in range(FLIPS):
        offset = int(rng.integers(len(content) if number % 2 else min(len(content), 500)))
        changed = bytearray(content)
        changed[offset] ^= 1 << int(rng.integers(8))
        path.write_bytes(changed)
        value, sentence = attempt(kind, tmp_path)
        if sentence is None:
            assert value == expected, f"bit {offset} went unnoticed"
            continue
        refused += 1
        assert len(sentence.splitlines()) == 1
        assert str(tmp_path) in sentence
    assert refused > FLIPS // 2


@pytest.mark.parametrize("name", [name for name, kind in KINDS.items() if kind.make_old])
def test_files_of_older_versions_are_read_as_before(name: str, tmp_path: Path) -> None:
    kind = KINDS[name]
    kind.make(tmp_path)
    expected = kind.read(tmp_path)
    content = (tmp_path / kind.path).read_bytes()
    had_sums = (tmp_path / SUMS).exists()
    kind.make_old(tmp_path)
    assert not (tmp_path / SUMS).exists()
    assert kind.read(tmp_path) == expected
    assert had_sums or (tmp_path / kind.path).read_bytes() != content


def test_a_flipped_bit_of_a_training_state_is_named_or_changes_nothing(tmp_path: Path, capsys) -> None:
    latents, out = write_latents(tmp_path / "latents"), tmp_path / "out"
    assert train("millivid", latents, out, "--steps", "2", "--save-every", "2") == 0
    state = out / "millivid.training.pt"
    content, weights, rng = (
        state.read_bytes(),
        (out / "millivid.safetensors").read_bytes(),
        generator(0, "flips"),
    )
    for number in range(12):
        offset = int(rng.integers(len(content) if number % 2 else 500))
        changed = bytearray(content)
        changed[offset] ^= 1 << int(rng.integers(8))
        state.write_bytes(changed)
        code = train("millivid", latents, out, "--steps", "2", "--save-every", "2")
        assert code == 0 or (code == 2 and f"{state}: " in capsys.readouterr().err)
        assert (out / "millivid.safetensors").read_bytes() == weights


def test_a_file_swapped_with_another_of_its_kind_is_refused(tmp_path: Path) -> None:
    """The files are intact but belong to another video or run."""
    write_latents(tmp_path / "latents")
    latents = open_latents(tmp_path / "latents")
    first, second = (tmp_path / f"latents/000/00{number}.safetensors" for number in (0, 1))
    shutil.copy(second, first)
    with pytest.raises(UserError, match=r"000\.safetensors: not a whole file .its frames do not match"):
        latents.read("000/000", 3, 4)
    make_scores(tmp_path)
    path = tmp_path / "scores/000/000.safetensors"
    shutil.copy(path, path.with_name("001.safetensors"))
    metrics = get_metrics(["psnr"])
    assert find_damage(path, metrics, LOOPCRAFT_MINI) is None
    assert "SHA-256" in str(find_damage(path.with_name("001.safetensors"), metrics, LOOPCRAFT_MINI))
