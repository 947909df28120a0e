"""Training killed between its files, with dying loaders, on a full disk, or run twice."""

import json
import os
import re
import signal
import time
from pathlib import Path

import pytest
import torch

from loopcraft.core.errors import UserError
from loopcraft.core.files import whole_file
from loopcraft.core.writing import writing_to
from models.train.data.loaders import LoaderError, Loaders
from models.train.data.pool import EpisodePool, PoolConfig
from tests.fakes import nursery, telling_trainer
from tests.fakes.folder_content import Killed
from tests.fakes.json_mutants import byte_mutants
from tests.fakes.numbered_episodes import Numbers
from tests.fakes.training_runs import losses, train, write_latents

SHIPPED, STATE = "millivid.safetensors", "millivid.training.pt"


@pytest.fixture(scope="module")
def latents(tmp_path_factory) -> Path:
    return write_latents(tmp_path_factory.mktemp("latents"))


@pytest.fixture(scope="module")
def finished(tmp_path_factory, latents) -> Path:
    """A run of four steps that saved every two steps."""
    out = tmp_path_factory.mktemp("finished")
    assert train("millivid", latents, out, "--steps", "4", "--save-every", "2") == 0
    return out


@pytest.mark.parametrize("last", [SHIPPED, STATE])
@pytest.mark.parametrize("moment", ["before", "after"])
def test_a_run_killed_between_its_last_files_ends_with_the_same_ones(
    tmp_path, latents, finished, monkeypatch, last, moment
) -> None:
    replace = os.replace
    left = {SHIPPED: 2, STATE: 2}

    def replace_or_die(source, target) -> None:
        name = Path(target).name
        left[name] = left.get(name, 9) - 1
        if name == last and left[name] == 0 and moment == "before":
            raise Killed
        replace(source, target)
        if name == last and left[name] == 0:
            raise Killed

    flags = ("--steps", "4", "--save-every", "2")
    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", replace_or_die)
        with pytest.raises(Killed):
            train("millivid", latents, tmp_path, *flags)
    assert train("millivid", latents, tmp_path, *flags) == 0
    assert (tmp_path / SHIPPED).read_bytes() == (finished / SHIPPED).read_bytes()
    assert losses(tmp_path, "millivid") == losses(finished, "millivid")


def lose(path: Path) -> None:
    path.unlink()


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-100])


def empty(path: Path) -> None:
    path.write_bytes(b"")


def age(path: Path) -> None:
    """Make the file two steps older, as a killed run of an earlier version left it."""
    data = path.read_bytes()
    assert data.count(b'\\"step\\": 4') == 1
    path.write_bytes(data.replace(b'\\"step\\": 4', b'\\"step\\": 2'))


def flip(path: Path) -> None:
    """Change one bit of the last weight."""
    data = path.read_bytes()
    path.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))


@pytest.mark.parametrize("damage", [lose, cut, empty, age, flip])
def test_a_lost_or_stale_shipped_file_is_rewritten(tmp_path, latents, finished, capsys, damage) -> None:
    for name in (SHIPPED, STATE, "millivid.jsonl"):
        (tmp_path / name).write_bytes((finished / name).read_bytes())
    damage(tmp_path / SHIPPED)
    assert train("millivid", latents, tmp_path, "--steps", "4") == 0
    assert f"rewrote {tmp_path / SHIPPED} from the state of step 4" in capsys.readouterr().out
    assert (tmp_path / SHIPPED).read_bytes() == (finished / SHIPPED).read_bytes()


def test_a_state_damaged_anywhere_is_refused_in_a_sentence(tmp_path, latents, finished, capsys) -> None:
    """Checksums cover every byte, so training never continues from a damaged state."""
    content = (finished / STATE).read_bytes()
    for text in (*byte_mutants(content, 40), b"", content[:-1], b"PK"):
        (tmp_path / STATE).write_bytes(text)
        assert train("millivid", latents, tmp_path, "--steps", "4") in (0, 2)
        output = capsys.readouterr()
        if output.err:
            assert f"{tmp_path / STATE}: not a" in output.err
            assert "remove it to start over" in output.err
        else:  # the change hit no content but a name or date in the archive
            shipped = (finished / SHIPPED).read_bytes()
            assert (tmp_path / SHIPPED).read_bytes() == shipped


def test_a_valid_shipped_file_is_left_alone(finished, latents, capsys) -> None:
    before = (finished / SHIPPED).stat().st_mtime_ns
    assert train("millivid", latents, finished, "--steps", "4") == 0
    assert "rewrote" not in capsys.readouterr().out
    assert (finished / SHIPPED).stat().st_mtime_ns == before


def test_a_second_run_of_the_model_is_refused_in_one_sentence(tmp_path, latents, capsys) -> None:
    with writing_to(tmp_path, part="millivid", swept=()):
        assert train("millivid", latents, tmp_path, "--steps", "1") == 2
        assert f"{tmp_path}: another command is writing to it" in capsys.readouterr().err
        assert train("framepack", latents, tmp_path, "--steps", "1") == 0


def test_a_run_removes_only_its_own_partial_files(tmp_path, latents) -> None:
    (tmp_path / "millivid-pictures").mkdir()
    own_files = [".millivid.training.pt.0a.partial", "millivid-pictures/.0000001.png.0b.partial"]
    foreign_file = ".framepack.training.pt.0c.partial"
    for name in (*own_files, foreign_file):
        (tmp_path / name).touch()
    assert train("millivid", latents, tmp_path, "--steps", "1") == 0
    assert [path.name for path in tmp_path.rglob("*.partial")] == [foreign_file]


# Loaders.


def never() -> bool:
    return False


@pytest.mark.parametrize("workers", [0, pytest.param(1, marks=pytest.mark.fresh), 3])
def test_episodes_come_in_order_for_any_number_of_loaders(workers) -> None:
    loaders = Loaders(Numbers(), range(5, 2**40, 2), workers)
    try:
        assert [int(loaders.take(never).values[0, 0]) for _ in range(7)] == [5, 7, 9, 11, 13, 15, 17]
    finally:
        loaders.close()


@pytest.mark.parametrize(("act", "how"), [("die", "by signal 9"), ("exit", "with exit code 3")])
def test_a_dead_loader_is_reported_in_a_sentence(act, how) -> None:
    loaders = Loaders(Numbers({3: act}), range(2**40), 2)

    def take_all() -> None:
        for number in range(4):  # items in transit may be lost with the process
            assert int(loaders.take(never).values[0, 0]) == number

    with pytest.raises(LoaderError, match=f"a process that loads episodes died .{how}: killed, or out of"):
        take_all()
    loaders.close()


def test_an_error_in_a_loader_reaches_the_trainer() -> None:
    loaders = Loaders(Numbers({1: "refuse"}), range(2**40), 1)
    try:
        loaders.take(never)
        with pytest.raises(UserError, match="episode 1 is damaged; restore it"):
            loaders.take(never)
    finally:
        loaders.close()


@pytest.mark.fresh
def test_a_loader_stopped_with_its_trainer_is_not_an_error() -> None:
    loaders = Loaders(Numbers({0: "stall"}), range(2**40), 1)
    process = loaders._loaders[0]._process
    deadline = time.monotonic() + 30
    while not process.pid or b"spawn" not in Path(f"/proc/{process.pid}/cmdline").read_bytes():
        assert time.monotonic() < deadline
    process.terminate()
    stop_time = time.monotonic() + 0.5  # the trainer's own signal comes slightly later
    assert loaders.take(lambda: time.monotonic() > stop_time) is None
    assert process.exitcode == -signal.SIGTERM
    loaders.close()


def test_a_stalled_loader_does_not_keep_a_run_from_stopping() -> None:
    pool = EpisodePool(
        Numbers({0: "stall"}), PoolConfig(episodes=2), convert=lambda x: x, first_step=0, workers=1
    )
    begin = time.monotonic()
    pool.advance(0, lambda: time.monotonic() > begin + 0.3)
    pool.close()
    assert time.monotonic() < begin + 10


def start(
    latents: Path, out: Path, *flags: str, **environment: str
) -> tuple[nursery.ForkedCommand, list[int]]:
    """Start a run in a separate process; return it in its third step, with its loaders' process ids."""
    module = telling_trainer.__name__
    process = nursery.start(out.parent / "said", module, str(latents), str(out), *flags, **environment)
    deadline = time.monotonic() + 120
    while not (match := re.search(r"^step 2 (.*)\n", process.out, re.MULTILINE)):
        assert time.monotonic() < deadline, process.err
        time.sleep(0.02)
    return process, json.loads(match[1])


def wait_until_gone(pids: list[int], seconds: float = 10.0) -> None:
    deadline = time.monotonic() + seconds
    while any(Path(f"/proc/{pid}").exists() for pid in pids):
        assert time.monotonic() < deadline, "a loader lives on"
        time.sleep(0.02)


def test_a_run_whose_loader_dies_saves_and_ends_with_a_sentence(tmp_path, latents) -> None:
    flags = ("--steps", "100000", "--fresh", "2", "--save-every", "100000")
    process, loaders = start(latents, tmp_path / "out", *flags)
    os.kill(loaders[0], signal.SIGKILL)
    assert process.wait() == 2
    error = process.err
    assert error.splitlines()[-1].startswith("error: a process that loads episodes died (by signal 9")
    assert "Traceback" not in error
    wait_until_gone(loaders)
    state = torch.load(tmp_path / "out" / STATE, weights_only=True)
    assert state["step"] == len(losses(tmp_path / "out", "millivid")) >= 2


def test_loaders_die_with_a_killed_trainer(tmp_path, latents) -> None:
    process, loaders = start(latents, tmp_path / "out", "--steps", "100000", FRESH_LOADERS="1")
    process.kill()
    assert process.wait() == -signal.SIGKILL
    wait_until_gone(loaders)


def test_the_whole_process_group_may_be_stopped(tmp_path, latents) -> None:
    environment = {"OWN_GROUP": "1", "FRESH_LOADERS": "1"}
    flags = ("--steps", "100000", "--fresh", "2")
    process, loaders = start(latents, tmp_path / "out", *flags, **environment)
    os.killpg(process.pid, signal.SIGTERM)
    assert process.wait() == 0, process.err
    assert "stopped on request: saved step" in process.out
    wait_until_gone(loaders)


def test_a_disk_that_fills_while_writing_weights_is_reported_in_a_sentence(tmp_path, latents) -> None:
    """A limit on file sizes stands in for the disk; the shipped file reaches it first."""
    process, loaders = start(latents, tmp_path / "out", "--steps", "4", MOST_BYTES="100000")
    assert process.wait() == 2
    error = process.err
    (line,) = [line for line in error.splitlines() if line.startswith("error: ")]
    assert (
        f"{tmp_path / 'out'}: step 4 could not be saved ({tmp_path / 'out' / SHIPPED}: File too large)"
        in line
    )
    assert "no checkpoint was saved before; free up space and run the same command again" in line
    assert "Traceback" not in error
    wait_until_gone(loaders)


def test_a_system_error_is_reported_as_one_from_any_library(tmp_path) -> None:
    def fail() -> None:
        raise ValueError("Error while serializing: I/O error: No space left on device (os error 28)")

    with pytest.raises(OSError, match="No space left on device") as caught, whole_file(tmp_path / "file"):
        fail()
    assert (caught.value.errno, caught.value.filename) == (28, str(tmp_path / "file"))
