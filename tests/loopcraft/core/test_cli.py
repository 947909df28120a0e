"""How commands end: one-line errors for mistakes, in order on a signal, silently if nobody reads."""

import ctypes
import faulthandler
import io
import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import pytest

from loopcraft.core import cli, errors
from loopcraft.core.files import whole_file


@dataclass(frozen=True, kw_only=True)
class Flags:
    """Flags of the test command."""

    what: str
    out: Path = Path()


def body(flags: Flags) -> None:
    if flags.what == "escape":
        raise errors.UserError("bad name \x1b[2J\u202e.mp4")
    if flags.what == "exit":
        sys.exit(0)
    if flags.what == "crash":
        ctypes.string_at(0)
    if flags.what == "wait":
        with whole_file(flags.out / "file") as temporary:
            temporary.touch()
            print("ready", flush=True)
            time.sleep(60)
    if flags.what == "descriptors":
        print("nothing to see")
        print("nothing to see", file=sys.stderr)
        (flags.out / "file").write_text("whole")
        null = os.stat(os.devnull)
        child = [sys.executable, "-c", "import sys; sys.exit(None in (sys.stdin, sys.stdout, sys.stderr))"]
        is_null = {number: os.path.samestat(os.fstat(number), null) for number in range(3)}
        (flags.out / "said").write_text(json.dumps({**is_null, "child": subprocess.run(child).returncode}))
    if flags.what == "print":
        for number in range(20_000):
            print(number)
    if flags.what == "rich":
        import rich

        rich.print("\n".join(map(str, range(20_000))))


def start(*flags: str) -> subprocess.Popen[str]:
    command = [sys.executable, __file__, *flags]
    environment = {**os.environ, "PYTHONPATH": str(Path(cli.__file__).parents[2])}
    return subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
    )


def test_a_crash_in_native_code_reports_its_location() -> None:
    process = start("--what", "crash")
    _, error = process.communicate(timeout=30)
    assert process.returncode == -signal.SIGSEGV
    assert error.startswith("Fatal Python error: Segmentation fault\n")
    assert f'"{__file__}", line' in error


def fake_crash_handler(monkeypatch: pytest.MonkeyPatch, *, is_enabled: bool) -> list[str]:
    """Replace the process's own crash handler, which is pytest's, and record the calls."""
    calls: list[str] = []
    monkeypatch.setattr(faulthandler, "is_enabled", lambda: is_enabled)
    monkeypatch.setattr(faulthandler, "enable", lambda file: calls.append(f"enable on {file.fileno()}"))
    monkeypatch.setattr(faulthandler, "disable", lambda: calls.append("disable"))
    return calls


def test_a_command_restores_the_crash_handler(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = fake_crash_handler(monkeypatch, is_enabled=False)
    assert cli.run(Flags, body, ["--what", "escape"]) == 2
    assert calls == ["enable on 2", "disable"]
    calls = fake_crash_handler(monkeypatch, is_enabled=True)
    assert cli.run(Flags, body, ["--what", "escape"]) == 2
    assert not calls


@pytest.mark.parametrize("stream", [None, io.StringIO()], ids=["closed", "no file"])
def test_a_command_runs_without_standard_error(
    monkeypatch: pytest.MonkeyPatch, stream: io.StringIO | None
) -> None:
    calls = fake_crash_handler(monkeypatch, is_enabled=False)
    monkeypatch.setattr(sys, "__stderr__", stream)
    assert cli.run(Flags, body, ["--what", "nothing"]) == 0
    assert calls in ([], ["disable"])


@pytest.mark.parametrize("closed", ["<&- >&- 2>&-", ">&-", "2>&-"])
def test_a_command_without_standard_streams_ends_as_usual(tmp_path: Path, closed: str) -> None:
    command = f"{sys.executable} {__file__} --what descriptors --out {tmp_path}"
    environment = {**os.environ, "PYTHONPATH": str(Path(cli.__file__).parents[2])}
    result = subprocess.run(["sh", "-c", f"{command} {closed}"], env=environment, capture_output=True)
    assert (result.returncode, (tmp_path / "file").read_text()) == (0, "whole")
    streams = {"0": "<&-" in closed, "1": " >&-" in f" {closed}", "2": "2>&-" in closed}
    nulls = json.loads((tmp_path / "said").read_text())
    assert nulls["child"] == 0
    assert all(nulls[number] for number, is_closed in streams.items() if is_closed)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_a_command_in_order(tmp_path: Path, number: signal.Signals) -> None:
    process = start("--what", "wait", "--out", str(tmp_path))
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    process.send_signal(number)
    _, error = process.communicate(timeout=30)
    assert process.returncode == 128 + number
    assert error == "interrupted; run the same command again to continue\n"
    assert list(tmp_path.iterdir()) == []


def raise_again(flags: Flags) -> None:
    try:
        signal.raise_signal(signal.SIGTERM)
    except KeyboardInterrupt:
        raise KeyboardInterrupt from None  # as Ray does


def test_a_library_that_raises_its_own_interrupt_does_not_hide_the_signal() -> None:
    before = signal.signal(signal.SIGTERM, signal.SIG_DFL)  # another test's library may have set one
    try:
        assert cli.run(Flags, raise_again, ["--what", "none"]) == 128 + signal.SIGTERM
    finally:
        signal.signal(signal.SIGTERM, before)


def test_an_ignored_hangup_does_not_end_a_command() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        assert cli.run(Flags, lambda flags: os.kill(os.getpid(), signal.SIGHUP), ["--what", "none"]) == 0
    finally:
        signal.signal(signal.SIGHUP, before)


@pytest.mark.parametrize("what", ["print", "rich"])
def test_a_reader_that_closes_the_pipe_is_no_error(what: str) -> None:
    with start("--what", what) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.readline()
        process.stdout.close()
        assert process.stderr.read() == ""
        assert process.wait(timeout=30) in (0, 128 + signal.SIGPIPE)  # rich handles it silently


def test_help_that_nobody_reads_is_no_error() -> None:
    with start("--help") as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        assert process.stderr.read() == ""
        assert process.wait(timeout=30) == 128 + signal.SIGPIPE


def test_leaving_keeps_the_output() -> None:
    result = subprocess.run(
        [sys.executable, "-c", "from loopcraft.core.cli import leave; print('done', end=''); leave(3)"],
        capture_output=True,
        text=True,
    )
    assert (result.returncode, result.stdout) == (3, "done")


def test_handlers_are_restored() -> None:
    before = [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGHUP)]
    assert cli.run(Flags, body, ["--what", "nothing"]) == 0
    assert [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGHUP)] == before


def test_an_early_exit_is_a_failure(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(Flags, body, ["--what", "exit"]) == 1
    assert capsys.readouterr().err == "error: ended early by sys.exit(0)\n"


def test_control_characters_do_not_reach_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(Flags, body, ["--what", "escape"]) == 2
    assert capsys.readouterr().err == "error: bad name \ufffd[2J\ufffd.mp4\n"


if __name__ == "__main__":
    raise SystemExit(cli.run(Flags, body, None))
