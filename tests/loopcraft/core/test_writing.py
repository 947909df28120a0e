"""One command writes to a folder at a time; the kernel releases its lock; leftovers are swept."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from loopcraft.core.errors import UserError
from loopcraft.core.files import whole_file
from loopcraft.core.writing import working_folder, writing_to

HOLD = """
import sys, time
from pathlib import Path
from loopcraft.core.writing import working_folder, writing_to
with eval(sys.argv[1]) as folder:
    print(folder, flush=True)
    time.sleep(60)
"""


def hold(expression: str, environment: dict[str, str] | None = None) -> tuple[subprocess.Popen[str], str]:
    """Start a process that stays in the block `expression`; return it and what the block yields."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, expression],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": os.getcwd(), **(environment or {})},
    )
    assert process.stdout is not None
    return process, process.stdout.readline().strip()


def kill(process: subprocess.Popen[str]) -> None:
    process.kill()
    process.communicate()


def leave_partial(path: Path) -> Path:
    """Create a temporary file as a killed process leaves it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.0123456789abcdef.partial")
    partial.write_text("half of it")
    return partial


def test_a_second_writer_is_refused_and_the_folder_stays_clean(tmp_path) -> None:
    with writing_to(tmp_path / "new"):
        with (
            pytest.raises(UserError, match="new: another command is writing to it; wait for it or choose"),
            writing_to(tmp_path / "new"),
        ):
            pass
        (tmp_path / "new" / "file").touch()
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["file"]
    with writing_to(tmp_path / "new"):
        pass


def test_a_killed_process_releases_its_lock_and_the_file_is_no_obstacle(tmp_path) -> None:
    process, _ = hold(f"writing_to(Path({str(tmp_path)!r}))")
    with pytest.raises(UserError, match="another command"), writing_to(tmp_path):
        pass
    kill(process)
    assert (tmp_path / ".lock").exists()
    with writing_to(tmp_path):
        pass
    assert not any(tmp_path.iterdir())


def test_a_forked_child_does_not_keep_the_lock(tmp_path) -> None:
    reader, writer = os.pipe()
    with writing_to(tmp_path):
        child = os.fork()
        if child == 0:  # outlives the block, as a data loader can
            os.close(writer)
            os.read(reader, 1)
            os._exit(0)
    with writing_to(tmp_path):
        pass
    os.write(writer, b"x")
    os.waitpid(child, 0)


def test_joint_writers_keep_others_out_until_the_last_has_ended(tmp_path) -> None:
    first, second = (writing_to(tmp_path, together=True) for _ in range(2))
    with first:
        with second:
            partial = leave_partial(tmp_path / "picture.png")
            with writing_to(tmp_path, together=True):
                assert partial.exists()  # it may belong to a writer that is still at work
        with pytest.raises(UserError, match="another command"), writing_to(tmp_path):
            pass
    with writing_to(tmp_path, together=True):
        assert not partial.exists()
    assert not any(tmp_path.iterdir())


def test_parts_of_a_folder_are_locked_and_swept_separately(tmp_path) -> None:
    own, longer, foreign = (
        leave_partial(tmp_path / name)
        for name in ("autoencoder.training.pt", "autoencoder-cascaded.safetensors", "millivid.jsonl")
    )
    picture = leave_partial(tmp_path / "autoencoder-pictures" / "0000010.png")
    with writing_to(tmp_path, part="millivid", swept=()):
        with writing_to(tmp_path, part="autoencoder", swept=("", "autoencoder-pictures")):
            remaining = [path.exists() for path in (own, picture, longer, foreign)]
        assert remaining == [False, False, True, True]


def test_only_our_own_temporary_files_are_swept(tmp_path) -> None:
    names = (".download.partial", "notes.0a.partial", ".x.0G.partial", "sub")
    for name in names[:3]:
        (tmp_path / name).touch()
    nested = leave_partial(tmp_path / "sub" / "index.json")
    with writing_to(tmp_path, together=True):
        pass
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(names)
    assert nested.exists()


def test_a_folder_that_stays_empty_is_removed(tmp_path) -> None:
    with pytest.raises(UserError, match="no"), writing_to(tmp_path / "new"):
        raise UserError("no")
    assert not (tmp_path / "new").exists()


def test_a_file_is_no_folder(tmp_path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match="file: is a file; choose a folder"), writing_to(tmp_path / "file"):
        pass


def test_without_locks_there_is_a_warning(tmp_path, monkeypatch, capsys) -> None:
    def refuse(*_: object) -> None:
        raise OSError(38, "Function not implemented")

    monkeypatch.setattr("loopcraft.core.writing.fcntl.flock", refuse)
    with writing_to(tmp_path), whole_file(tmp_path / "file") as temporary:
        temporary.touch()
    assert "cannot be locked; run only one command there" in capsys.readouterr().err
    assert (tmp_path / "file").exists()


def test_a_working_folder_is_removed_and_so_are_those_of_dead_processes(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    environment = {"TMPDIR": str(tmp_path)}
    processes = [hold("working_folder()", environment) for _ in range(3)]
    dead, alive, young = (Path(folder) for _, folder in processes)
    for folder in (dead, alive, young):
        (folder / "shard.parquet").write_bytes(b"large")
    for process, _ in (processes[0], processes[2]):
        kill(process)
    for folder in (dead, alive):
        os.utime(folder, (time.time() - 3600,) * 2)
    foreign = tmp_path / "loopcraft-work-of-nobody"
    foreign.mkdir()
    os.utime(foreign, (0, 0))
    with working_folder() as folder:
        (folder / "file").touch()
        assert sorted(tmp_path.iterdir()) == sorted([alive, young, foreign, folder])
    assert sorted(tmp_path.iterdir()) == sorted([alive, young, foreign])
    kill(processes[1][0])
