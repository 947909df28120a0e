"""Latents and logs from untrusted sources are read correctly or refused in a sentence."""

import json
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from loopcraft.core.errors import UserError
from models.checkpoints.training_log import Journal, read_log
from models.latents.pyramid_files import read_frames, write_frames
from models.latents.store import open_latents
from tests.fakes.json_mutants import attempt, byte_mutants, mutants
from tests.fakes.training_runs import FRAMES, write_latents


def read_all(root: Path, shapes: list[torch.Size]) -> None:
    latents = open_latents(root)
    for key in latents.num_frames:
        levels, states = latents.read(key)
        assert [part.shape for part in levels] == shapes
        assert states.shape == (FRAMES, 6)


def test_latents_are_read_rightly_or_refused(tmp_path: Path) -> None:
    root = write_latents(tmp_path)
    (root / "SHA256SUMS").unlink()  # otherwise everything is refused
    good = open_latents(root)
    levels, _ = good.read("000/000")
    for name in ("latents.json", "index.json"):
        document = json.loads((root / name).read_text())
        for text in mutants(document, 60):
            (root / name).write_bytes(text)

            with suppress(FileNotFoundError):  # the index names a missing video
                attempt(read_all, root, [part.shape for part in levels])
        (root / name).write_text(json.dumps(document))
    assert torch.equal(open_latents(root).read("000/000")[0][0], levels[0])


@pytest.mark.parametrize("key", ["../outside", "/etc/passwd", "a/../../b", "", "a\x00b"])
def test_no_latents_are_read_from_outside_the_folder(tmp_path: Path, key: str) -> None:
    root = write_latents(tmp_path / "latents")
    (root / "SHA256SUMS").unlink()
    (root / "index.json").write_text(json.dumps({key: FRAMES}))
    with pytest.raises(UserError, match="invalid entry"):
        open_latents(root)


def test_latents_of_another_shape_are_named(tmp_path: Path) -> None:
    root = write_latents(tmp_path)
    latents = open_latents(root)
    levels, states = latents.read("000/001")
    tensors = {f"level{number}": level[:-1].contiguous() for number, level in enumerate(levels)}
    save_file({**tensors, "states": torch.from_numpy(states)}, root / "000/001.safetensors")
    with pytest.raises(UserError, match=r"000/001\.safetensors: not a whole file .level0 is \[119"):
        latents.read("000/001")


def test_frames_files_are_read_rightly_or_refused(tmp_path: Path) -> None:
    path = tmp_path / "000.frames"
    blobs = [bytes([number]) * (number + 1) for number in range(8)]
    write_frames(path, blobs)
    content = path.read_bytes()
    assert read_frames(path, 8) == blobs
    num_accepted = 0
    for text in byte_mutants(content, 600):
        path.write_bytes(text)
        loaded, _ = attempt(read_frames, path, 8)
        if loaded is not None:
            num_accepted += 1
            assert sum(map(len, loaded)) == len(content) - 64
    assert num_accepted < 400
    ends = np.array([1, 3, 2**40, 3, 15, 21, 28, 36], "<u8")
    path.write_bytes(ends.tobytes() + content[64:])
    with pytest.raises(UserError, match="does not hold 8 whole blobs"):
        read_frames(path, 8)


def test_logs_are_read_rightly_or_refused(tmp_path: Path) -> None:
    path = tmp_path / "millivid.jsonl"
    records = [{"step": n, "loss": 0.5, "gradient_norm": 1.0, "learning_rate": 1e-3} for n in range(3)]
    records[-1] |= {"trained_per_second": 20.0, "loaded_per_second": 30.0}
    content = "".join(f"{json.dumps(record)}\n" for record in records).encode()
    texts = [*byte_mutants(content, 400), *(text + b"\n" for text in mutants(records[-1], 50))]
    for text in texts:
        path.write_bytes(text)
        loaded, _ = attempt(read_log, path)
        if loaded is not None:
            assert all(type(record["step"]) is int and record["loss"] * 0 != 1 for record in loaded)
            assert all(record.get("trained_per_second", 1) > 0 for record in loaded)
            Journal(path, first_step=2, tensorboard=False).close()
            assert [record["step"] for record in read_log(path)] == [
                record["step"] for record in loaded if record["step"] < 2
            ]


def test_a_continued_log_keeps_its_bytes(tmp_path: Path) -> None:
    path = tmp_path / "millivid.jsonl"
    line = '{"step": 0, "loss": 0.41616272926330566, "gradient_norm": 1e-07, "learning_rate": 0.00297}\n'
    path.write_text(line + '{"step": 1, "loss": 0.4}\n{"step": 2, "lo')
    Journal(path, first_step=1, tensorboard=False).close()
    assert path.read_text() == line
