"""Models in processes of their own: the same scores, whatever they do, and nothing of them is left.

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
    """What must be the same, byte by byte: the kept frames."""
    return {path.name: path.read_bytes() for path in out.rglob("*.mp4")}


def running_models() -> list[str]:
    """The command lines of this process's companions, which lead sessions of their own."""
    lists = Path("/proc/self/task").glob("*/children")
    children = [int(child) for path in lists for child in path.read_text().split()]
    leaders = [child for child in children if os.getsid(child) == child]
    lines = [Path(f"/proc/{child}/cmdline").read_text() for child in leaders]
    return [line for line in lines if "model_process" in line or "tests.fakes.zygote" in line]


@pytest.fixture(autouse=True)
def nothing_is_left():
    yield
    assert not running_models()


@pytest.mark.parametrize("model", ["copy-last", "Counting", "Posed"])
def test_scores_are_the_same_in_a_process_of_its_own(data, tmp_path, model: str) -> None:
    """A worker's model, too, has one."""
    flags = ["--batch-size", "2", "--max-videos", "5"]
    workers = ["--workers", "2"] if model == "copy-last" else []
    apart = score(model, data, tmp_path / "apart", "--isolate", *flags, *workers)
    here = score(model, data, tmp_path / "here", "--no-isolate", *flags)
    assert numbers(apart) == numbers(here)
    assert apart.provenance.hardware == here.provenance.hardware
    assert files(tmp_path / "apart") == files(tmp_path / "here")
    assert apart.model.precision == ("bfloat16" if model == "Posed" else "float32")


@pytest.mark.fresh
def test_what_a_model_does_to_its_process_reaches_no_score(data, tmp_path) -> None:
    honest = score("Honest", data, tmp_path / "honest", "--no-isolate", "--max-videos", "2")
    before, folder, environment = process_state(), Path.cwd(), dict(os.environ)
    spoiling = score("Spoiling", data, tmp_path / "spoiling", "--max-videos", "2")
    assert spoiling.metrics == honest.metrics
    assert spoiling.model.notes == ("a note",)
    assert process_state() == before
    assert (Path.cwd(), dict(os.environ)) == (folder, environment)


def test_without_a_process_of_its_own_the_same_model_spoils_the_scores(data, tmp_path) -> None:
    """Or the test before proves nothing."""
    flags = ["--max-videos", "1", "--metrics", "psnr", "--no-isolate"]
    honest = score("Honest", data, tmp_path / "honest", *flags)
    spoiling = command("Spoiling", data, tmp_path / "spoiling", *flags)
    nursery.start(tmp_path, "benchmark.run", *spoiling).wait()
    path = tmp_path / "spoiling" / "result.json"
    assert not path.exists() or read_result(path).metrics != honest.metrics


def test_whatever_a_model_does_fails_its_video_alone(data, tmp_path, capsys) -> None:
    flags = ["--batch-size", "4", "--metrics", "psnr"]
    bounds = ["--timeout", "5", "--memory-limit", "1.5"]
    result = score("Odd", data, tmp_path / "odd", *flags, *bounds, code=1)
    said = {f"000/{video:03d}": reason for video, (_, _, reason) in enumerate(WAYS) if reason}
    assert result.failed == said
    assert result.data.keys == ("000/000", f"000/{len(WAYS) - 1:03d}")
    honest = score("Honest", data, tmp_path / "honest", "--no-isolate", *flags)
    expected = honest.metrics["psnr"].videos
    found = result.metrics["psnr"].videos
    assert expected is not None
    assert found == {window: (values[0], values[-1]) for window, values in expected.items()}
    shown = capsys.readouterr().err
    assert len(shown) < 200_000
    assert f"scoring: {len(WAYS)} of {len(WAYS)} videos, {len(said)} failed, " in shown
    failures = {path.stem: path.read_text() for path in (tmp_path / "odd" / "failures").rglob("*.txt")}
    assert len(failures) == len(said) - 1  # the kill is the machine's
    assert "string_at" in failures["001"]
    assert "string_at" not in shown
    assert "1 // 0" in failures["002"]
    (hung,) = (video for video, (way, _, _) in enumerate(WAYS) if way == "hang")
    assert "isolated_models.py" in failures[f"{hung:03d}"]  # where it was


def test_the_kind_of_a_model_decides_where_it_runs(data, tmp_path, capsys) -> None:
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
def test_a_model_that_cannot_be_loaded_is_a_sentence(data, tmp_path, capsys, factory, message) -> None:
    flags = ["--data", str(data), "--protocol", "loopcraft-mini", "--out", str(tmp_path / "out")]
    for more in [[], ["--no-isolate"]][: 1 if factory.startswith("crash") else 2]:
        assert run.main([*flags, "--model", f"{MODELS}:{factory}", *more]) == 2
        said = capsys.readouterr().err
        assert message in said.splitlines()[-1]
        assert said.count("isolated_models.py") == (factory != "missing")
        assert ("model_process.py" in said) == factory.startswith("crash")  # of ours, only what is on the way
        assert not (tmp_path / "out").exists()


def test_a_crash_where_there_is_no_process_of_its_own_says_where_it_was(data, tmp_path) -> None:
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
def test_what_does_not_go_together_is_refused(data, tmp_path, capsys, flags, message) -> None:
    assert run.main([*flags, "--data", str(data), "--out", str(tmp_path / "out")]) == 2
    assert message in capsys.readouterr().err


def wait_until(is_so: Callable[[], bool], patience_s: float = 300.0) -> None:
    until = time.monotonic() + patience_s
    while not is_so():
        assert time.monotonic() < until
        time.sleep(0.05)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_however_a_run_ends_its_model_ends_too(data, tmp_path, number: int) -> None:
    flags = command("Hanging", data, tmp_path / "out", "--metrics", "psnr")
    running = nursery.start(tmp_path, "benchmark.run", *flags)
    wait_until(lambda: "it hangs" in running.err)
    models = Path(f"/proc/{running.pid}/task/{running.pid}/children").read_text().split()
    os.kill(running.pid, number)
    assert running.wait() == {signal.SIGINT: 130, signal.SIGKILL: -9}[number]
    said = running.err
    assert ("interrupted; run the same command again" in said) == (number != signal.SIGKILL)
    assert "Traceback" not in said
    assert models
    wait_until(lambda: not any(_is_running(model) for model in models), patience_s=10)


def _is_running(process: str) -> bool:
    try:
        return not re.search(r"\) Z", Path(f"/proc/{process}/stat").read_text())
    except OSError:
        return False


@pytest.mark.filterwarnings("ignore:.* some turn of yaw does not match")
def test_evaluate_isolates_a_model_that_it_is_given_by_name(data) -> None:
    options = {"protocol": "loopcraft-mini", "metrics": ["psnr"], "max_videos": 2}
    apart = benchmark.evaluate(f"{MODELS}:Counting", data, isolate=True, **options)
    assert apart.metrics == benchmark.evaluate(f"{MODELS}:Counting", data, **options).metrics
    with pytest.raises(UserError, match="give the model by name"):
        benchmark.evaluate(isolated_models.Honest(), data, isolate=True, **options)


def test_a_limit_asks_for_a_process() -> None:
    assert IsolationFlags().wanted is None
    assert IsolationFlags(timeout=1.0).wanted is True
    assert IsolationFlags(memory_limit=1.0).wanted is True
    assert IsolationFlags(no_isolate=True).wanted is False
