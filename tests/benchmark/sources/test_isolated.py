"""Models in separate processes: scores are the same whatever a model does, and no process is left over.

Some of the processes are fresh interpreters, others forks of one that has imported torch.
"""

import os
import re
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest

import benchmark
from benchmark import run
from benchmark.conformance.checks import process_state
from benchmark.results.result_file import Result, read_result
from benchmark.sources.source import IsolationFlags
from loopcraft.core.errors import UserError
from tests.fakes import isolated_models, nursery
from tests.fakes.benchmark_data import write_dataset
from tests.fakes.isolated_models import WAYS

MODELS = isolated_models.__name__


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    return write_dataset(tmp_path_factory.mktemp("data"), num_videos=len(WAYS))


def command(model: str, data: Path, out: Path, *more: str) -> list[str]:
    spec = model if "-" in model else f"{MODELS}:{model}"
    flags = ["--model", spec, "--data", str(data), "--out", str(out), "--protocol", "loopcraft-mini"]
    return [*flags, "--save-videos", "1", *more]


def score(model: str, data: Path, out: Path, *more: str, code: int = 0) -> Result:
    assert run.main(command(model, data, out, *more)) == code
    return read_result(out / "result.json")


def numbers(result: Result) -> tuple:
    return result.metrics, result.data, result.failed, result.absent, result.model


def files(out: Path) -> dict[str, bytes]:
    """Read the saved videos, which must be identical byte for byte."""
    return {path.name: path.read_bytes() for path in out.rglob("*.mp4")}


def running_models() -> list[str]:
    """List the command lines of this process's companions, which lead their own sessions."""
    lists = Path("/proc/self/task").glob("*/children")
    children = [int(child) for path in lists for child in path.read_text().split()]
    leaders = [child for child in children if os.getsid(child) == child]
    lines = [Path(f"/proc/{child}/cmdline").read_text() for child in leaders]
    return [line for line in lines if "model_process" in line or "tests.fakes.zygote" in line]


@pytest.fixture(autouse=True)
def no_process_is_left():
    yield
    assert not running_models()


@pytest.mark.parametrize("model", ["copy-last", "Counting", "Posed"])
def test_scores_are_the_same_in_a_separate_process(data, tmp_path, model: str) -> None:
    """The model of a worker is isolated too."""
    flags = ["--batch-size", "2", "--max-videos", "5"]
    workers = ["--workers", "2"] if model == "copy-last" else []
    isolated = score(model, data, tmp_path / "apart", "--isolate", *flags, *workers)
    in_process = score(model, data, tmp_path / "here", "--no-isolate", *flags)
    assert numbers(isolated) == numbers(in_process)
    assert isolated.provenance.hardware == in_process.provenance.hardware
    assert files(tmp_path / "apart") == files(tmp_path / "here")
    assert isolated.model.precision == ("bfloat16" if model == "Posed" else "float32")


@pytest.mark.fresh
def test_what_a_model_does_to_its_process_does_not_affect_scores(data, tmp_path) -> None:
    honest = score("Honest", data, tmp_path / "honest", "--no-isolate", "--max-videos", "2")
    before, folder, environment = process_state(), Path.cwd(), dict(os.environ)
    spoiling = score("Spoiling", data, tmp_path / "spoiling", "--max-videos", "2")
    assert spoiling.metrics == honest.metrics
    assert spoiling.model.notes == ("a note",)
    assert process_state() == before
    assert (Path.cwd(), dict(os.environ)) == (folder, environment)


def test_without_isolation_the_same_model_spoils_the_scores(data, tmp_path) -> None:
    """Without this, the previous test proves nothing."""
    flags = ["--max-videos", "1", "--metrics", "psnr", "--no-isolate"]
    honest = score("Honest", data, tmp_path / "honest", *flags)
    spoiling = command("Spoiling", data, tmp_path / "spoiling", *flags)
    nursery.start(tmp_path, "benchmark.run", *spoiling).wait()
    path = tmp_path / "spoiling" / "result.json"
    assert not path.exists() or read_result(path).metrics != honest.metrics


def test_a_misbehaving_model_fails_only_its_video(data, tmp_path, capsys) -> None:
    flags = ["--batch-size", "4", "--metrics", "psnr"]
    bounds = ["--timeout", "5", "--memory-limit", "1.5"]
    result = score("Odd", data, tmp_path / "odd", *flags, *bounds, code=1)
    reasons = {f"000/{video:03d}": reason for video, (_, _, reason) in enumerate(WAYS) if reason}
    assert result.failed == reasons
    assert result.data.keys == ("000/000", f"000/{len(WAYS) - 1:03d}")
    honest = score("Honest", data, tmp_path / "honest", "--no-isolate", *flags)
    expected = honest.metrics["psnr"].videos
    actual = result.metrics["psnr"].videos
    assert expected is not None
    assert actual == {window: (values[0], values[-1]) for window, values in expected.items()}
    output = capsys.readouterr().err
    assert len(output) < 200_000
    assert f"scoring: {len(WAYS)} of {len(WAYS)} videos, {len(reasons)} failed, " in output
    failures = {path.stem: path.read_text() for path in (tmp_path / "odd" / "failures").rglob("*.txt")}
    assert len(failures) == len(reasons) - 1  # the kill is attributed to the machine
    assert "string_at" in failures["001"]
    assert "string_at" not in output
    assert "1 // 0" in failures["002"]
    (hung,) = (video for video, (way, _, _) in enumerate(WAYS) if way == "hang")
    assert "isolated_models.py" in failures[f"{hung:03d}"]  # where it hung


def test_a_model_of_recorded_frames_runs_in_process(data, tmp_path, capsys) -> None:
    score("LooksUp", data, tmp_path / "looked", "--max-videos", "1", "--metrics", "psnr")
    flags = ["--data", str(data), "--protocol", "loopcraft-mini", "--out", str(tmp_path / "out")]
    assert run.main([*flags, "--model", f"{MODELS}:LooksUp", "--isolate"]) == 2
    assert "looks frames up and generates none: it cannot run in a separate" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("factory", "message"),
    [
        ("crash_when_made", "could not be loaded: it crashed its process (Segmentation fault)"),
        ("raise_when_made", "could not be loaded: it raised RuntimeError: the weights are not here"),
        ("missing", "has no callable 'missing'"),
    ],
)
def test_a_model_that_cannot_be_loaded_is_reported_in_a_sentence(
    data, tmp_path, capsys, factory, message
) -> None:
    flags = ["--data", str(data), "--protocol", "loopcraft-mini", "--out", str(tmp_path / "out")]
    for more in [[], ["--no-isolate"]][: 1 if factory.startswith("crash") else 2]:
        assert run.main([*flags, "--model", f"{MODELS}:{factory}", *more]) == 2
        output = capsys.readouterr().err
        assert message in output.splitlines()[-1]
        assert output.count("isolated_models.py") == (factory != "missing")
        assert ("model_process.py" in output) == factory.startswith(
            "crash"
        )  # our own frames appear only for a crash
        assert not (tmp_path / "out").exists()


def test_a_crash_without_isolation_says_where_it_happened(data, tmp_path) -> None:
    flags = ["--data", str(data), "--protocol", "loopcraft-mini", "--out", str(tmp_path / "out")]
    flags += ["--model", f"{MODELS}:crash_when_made", "--no-isolate"]
    command = nursery.start(tmp_path, "benchmark.run", *flags)
    assert command.wait() == -signal.SIGSEGV
    assert command.err.startswith("Fatal Python error: Segmentation fault\n")
    assert "in crash_when_made" in command.err
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--model", "copy-last", "--no-isolate", "--timeout", "3"], "contradicts --isolate"),
        (["--model", "copy-last", "--timeout", "0"], "must be greater than 0"),
        (["--model", "copy-last", "--memory-limit", "nan"], "must be greater than 0"),
        (["--model", "http://127.0.0.1:9", "--isolate"], "runs elsewhere already"),
        (["--predictions", ".", "--name", "a", "--timeout", "3"], "are for --model"),
    ],
)
def test_conflicting_flags_are_refused(data, tmp_path, capsys, flags, message) -> None:
    assert run.main([*flags, "--data", str(data), "--out", str(tmp_path / "out")]) == 2
    assert message in capsys.readouterr().err


def wait_until(condition: Callable[[], bool], timeout_s: float = 300.0) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_the_model_process_ends_with_the_run(data, tmp_path, number: int) -> None:
    flags = command("Hanging", data, tmp_path / "out", "--metrics", "psnr")
    running = nursery.start(tmp_path, "benchmark.run", *flags)
    wait_until(lambda: "it hangs" in running.err)
    models = Path(f"/proc/{running.pid}/task/{running.pid}/children").read_text().split()
    os.kill(running.pid, number)
    assert running.wait() == {signal.SIGINT: 130, signal.SIGKILL: -9}[number]
    output = running.err
    assert ("interrupted; run the same command again" in output) == (number != signal.SIGKILL)
    assert "Traceback" not in output
    assert models
    wait_until(lambda: not any(_is_running(model) for model in models), timeout_s=10)


def _is_running(process: str) -> bool:
    try:
        return not re.search(r"\) Z", Path(f"/proc/{process}/stat").read_text())
    except OSError:
        return False


@pytest.mark.filterwarnings("ignore:.* some turn of yaw does not match")
def test_evaluate_isolates_a_model_given_by_name(data) -> None:
    options = {"protocol": "loopcraft-mini", "metrics": ["psnr"], "max_videos": 2}
    isolated = benchmark.evaluate(f"{MODELS}:Counting", data, isolate=True, **options)
    assert isolated.metrics == benchmark.evaluate(f"{MODELS}:Counting", data, **options).metrics
    with pytest.raises(UserError, match="give the model by name"):
        benchmark.evaluate(isolated_models.Honest(), data, isolate=True, **options)


def test_a_limit_implies_isolation() -> None:
    assert IsolationFlags().wanted is None
    assert IsolationFlags(timeout=1.0).wanted is True
    assert IsolationFlags(memory_limit=1.0).wanted is True
    assert IsolationFlags(no_isolate=True).wanted is False
