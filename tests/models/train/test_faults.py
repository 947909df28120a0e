"""Training that is killed between its files, whose loaders die, whose disk is full, or that runs twice."""

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
    """A run of four steps that saved every two."""
    out = tmp_path_factory.mktemp("finished")
    assert train("millivid", latents, out, "--steps", "4", "--save-every", "2") == 0
    return out


@pytest.mark.parametrize("last", [SHIPPED, STATE])
@pytest.mark.parametrize("moment", ["before", "after"])
def test_killed_between_its_last_files_it_ends_with_the_same(
    tmp_path, latents, finished, monkeypatch, last, moment
) -> None:
    replace = os.replace
    left = {SHIPPED: 2, STATE: 2}

    def dying(source, target) -> None:
        name = Path(target).name
        left[name] = left.get(name, 9) - 1
        if name == last and left[name] == 0 and moment == "before":
            raise Killed
        replace(source, target)
        if name == last and left[name] == 0:
            raise Killed

    flags = ("--steps", "4", "--save-every", "2")
    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", dying)
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
    """Make the file one of two steps before, as a run killed by an earlier version left it."""
    data = path.read_bytes()
    assert data.count(b'\\"step\\": 4') == 1
    path.write_bytes(data.replace(b'\\"step\\": 4', b'\\"step\\": 2'))


def flip(path: Path) -> None:
    """Change one bit of the last weight."""
    data = path.read_bytes()
    path.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))


@pytest.mark.parametrize("damage", [lose, cut, empty, age, flip])
def test_a_lost_or_stale_shipped_file_is_made_again(tmp_path, latents, finished, capsys, damage) -> None:
    for name in (SHIPPED, STATE, "millivid.jsonl"):
        (tmp_path / name).write_bytes((finished / name).read_bytes())
    damage(tmp_path / SHIPPED)
    assert train("millivid", latents, tmp_path, "--steps", "4") == 0
    assert f"rewrote {tmp_path / SHIPPED} from the state of step 4" in capsys.readouterr().out
    assert (tmp_path / SHIPPED).read_bytes() == (finished / SHIPPED).read_bytes()


def test_a_damaged_state_is_a_sentence_wherever_it_is_damaged(tmp_path, latents, finished, capsys) -> None:
    """Every byte of it has a checksum: none is trained on from."""
    content = (finished / STATE).read_bytes()
    for text in (*byte_mutants(content, 40), b"", content[:-1], b"PK"):
        (tmp_path / STATE).write_bytes(text)
        assert train("millivid", latents, tmp_path, "--steps", "4") in (0, 2)
        said = capsys.readouterr()
        if said.err:
            assert f"{tmp_path / STATE}: not a" in said.err
            assert "remove it to start over" in said.err
        else:  # what was changed is no content: a name or a date in the archive
            shipped = (finished / SHIPPED).read_bytes()
            assert (tmp_path / SHIPPED).read_bytes() == shipped


def test_a_good_one_is_left_alone(finished, latents, capsys) -> None:
    before = (finished / SHIPPED).stat().st_mtime_ns
    assert train("millivid", latents, finished, "--steps", "4") == 0
    assert "rewrote" not in capsys.readouterr().out
    assert (finished / SHIPPED).stat().st_mtime_ns == before


def test_a_second_run_of_the_model_is_one_sentence(tmp_path, latents, capsys) -> None:
    with writing_to(tmp_path, part="millivid", swept=()):
        assert train("millivid", latents, tmp_path, "--steps", "1") == 2
        assert f"{tmp_path}: another command is writing to it" in capsys.readouterr().err
        assert train("framepack", latents, tmp_path, "--steps", "1") == 0


def test_it_sweeps_what_is_its_own(tmp_path, latents) -> None:
    (tmp_path / "millivid-pictures").mkdir()
    ours = [".millivid.training.pt.0a.partial", "millivid-pictures/.0000001.png.0b.partial"]
    theirs = ".framepack.training.pt.0c.partial"
    for name in (*ours, theirs):
        (tmp_path / name).touch()
    assert train("millivid", latents, tmp_path, "--steps", "1") == 0
    assert [path.name for path in tmp_path.rglob("*.partial")] == [theirs]


# Loaders.


def never() -> bool:
    return False


@pytest.mark.parametrize("workers", [0, pytest.param(1, marks=pytest.mark.fresh), 3])
def test_episodes_come_in_order_whoever_loads_them(workers) -> None:
    loaders = Loaders(Numbers(), range(5, 2**40, 2), workers)
    try:
        assert [int(loaders.take(never).values[0, 0]) for _ in range(7)] == [5, 7, 9, 11, 13, 15, 17]
    finally:
        loaders.close()


@pytest.mark.parametrize(("act", "how"), [("die", "by signal 9"), ("exit", "with exit code 3")])
def test_a_dead_loader_is_a_sentence(act, how) -> None:
    loaders = Loaders(Numbers({3: act}), range(2**40), 2)

    def take_all() -> None:
        for number in range(4):  # what is on its way when the process dies may be lost with it
            assert int(loaders.take(never).values[0, 0]) == number

    with pytest.raises(LoaderError, match=f"a process that loads episodes died .{how}: killed, or out of"):
        take_all()
    loaders.close()


def test_what_a_loader_raises_arrives() -> None:
    loaders = Loaders(Numbers({1: "refuse"}), range(2**40), 1)
    try:
        loaders.take(never)
        with pytest.raises(UserError, match="episode 1 is damaged; restore it"):
            loaders.take(never)
    finally:
        loaders.close()


@pytest.mark.fresh
def test_a_loader_that_is_told_to_stop_with_its_trainer_is_no_fault() -> None:
    loaders = Loaders(Numbers({0: "stall"}), range(2**40), 1)
    process = loaders._loaders[0]._process
    until = time.monotonic() + 30
    while not process.pid or b"spawn" not in Path(f"/proc/{process.pid}/cmdline").read_bytes():
        assert time.monotonic() < until
    process.terminate()
    told = time.monotonic() + 0.5  # the trainer's own signal comes a little later
    assert loaders.take(lambda: time.monotonic() > told) is None
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
    """A run in a process of its own, in its third step, and the process ids of its loaders."""
    module = telling_trainer.__name__
    process = nursery.start(out.parent / "said", module, str(latents), str(out), *flags, **environment)
    until = time.monotonic() + 120
    while not (told := re.search(r"^step 2 (.*)\n", process.out, re.MULTILINE)):
        assert time.monotonic() < until, process.err
        time.sleep(0.02)
    return process, json.loads(told[1])


def wait_until_gone(pids: list[int], seconds: float = 10.0) -> None:
    until = time.monotonic() + seconds
    while any(Path(f"/proc/{pid}").exists() for pid in pids):
        assert time.monotonic() < until, "a loader lives on"
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


def test_the_whole_group_may_be_told_to_stop(tmp_path, latents) -> None:
    environment = {"OWN_GROUP": "1", "FRESH_LOADERS": "1"}
    flags = ("--steps", "100000", "--fresh", "2")
    process, loaders = start(latents, tmp_path / "out", *flags, **environment)
    os.killpg(process.pid, signal.SIGTERM)
    assert process.wait() == 0, process.err
    assert "stopped on request: saved step" in process.out
    wait_until_gone(loaders)


def test_a_disk_that_fills_while_weights_are_written_is_a_sentence(tmp_path, latents) -> None:
    """The disk is a limit on the size of files, which the shipped file meets first."""
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


def test_an_error_of_the_system_is_told_as_such_whichever_library_met_it(tmp_path) -> None:
    def fail() -> None:
        raise ValueError("Error while serializing: I/O error: No space left on device (os error 28)")

    with pytest.raises(OSError, match="No space left on device") as caught, whole_file(tmp_path / "file"):
        fail()
    assert (caught.value.errno, caught.value.filename) == (28, str(tmp_path / "file"))
