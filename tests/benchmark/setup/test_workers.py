"""Runs by several workers: what a worker receives and refuses, and what happens to lost batches.

tests/test_cluster.py tests that a cluster gives the same result.
"""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from benchmark import run
from benchmark.harness.run_folder import Workspace
from benchmark.results.result_file import Result, read_result
from benchmark.setup.flags import ComputeFlags, Flags, TaskFlags
from benchmark.setup.prepare import prepare
from benchmark.setup.workers import Assignment, Worker, make_worker, score_batch, shared_settings
from benchmark.sources.source import IsolationFlags, SourceFlags
from loopcraft.core.errors import UserError
from loopcraft.executors.base import SpentWorkerError
from loopcraft.executors.choice import WorkerFlags
from tests.fakes.benchmark_data import write_dataset
from tests.fakes.worker_models import SECOND, Noise

KEYS = ("000/000", SECOND, "000/002")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_dataset(tmp_path_factory.mktemp("data"))


@pytest.fixture
def flags(data: Path, tmp_path: Path) -> Flags:
    return Flags(
        data=data,
        out=tmp_path / "out",
        source=SourceFlags(model=f"{Noise.__module__}:Noise"),
        task=TaskFlags(protocol="loopcraft-mini"),
        compute=ComputeFlags(batch_size=3),
        isolation=IsolationFlags(no_isolate=True),
    )


@pytest.fixture
def assignment(flags: Flags, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Assignment:
    monkeypatch.chdir(tmp_path)
    return Assignment(
        flags=flags,
        expected=shared_settings(prepare(flags)),
        folder=Path.cwd(),
        num_threads=torch.get_num_threads(),
    )


@pytest.fixture
def worker(assignment: Assignment) -> Worker:
    assignment.flags.out.mkdir()
    return make_worker(assignment)


def score(data: Path, out: Path, *more: str) -> Result:
    flags = ["--model", f"{Noise.__module__}:Noise", "--data", str(data), "--out", str(out)]
    assert run.main([*flags, "--no-isolate", "--protocol", "loopcraft-mini", *more]) == 0
    return replace(
        result := read_result(out / "result.json"), provenance=replace(result.provenance, seconds=0)
    )


def test_two_processes_give_the_result_of_one(data: Path, tmp_path: Path) -> None:
    """These workers are forks; tests/test_cluster.py tests fresh interpreters."""
    one = score(data, tmp_path / "one")
    score(data, tmp_path / "two", "--max-videos", "1")  # continues where another run stopped
    assert score(data, tmp_path / "two", "--workers", "2") == one
    assert not list((tmp_path / "two").rglob(".*"))


@pytest.mark.parametrize(
    ("name", "value"), [("checkpoint_sha256", "f" * 64), ("packages", {"torch": "0.1"}), ("weights", None)]
)
def test_a_worker_that_would_score_differently_is_refused(
    assignment: Assignment, name: str, value: object
) -> None:
    other = replace(assignment, expected={**assignment.expected, name: value})
    with pytest.raises(UserError, match=f"another {name} .*: use the same packages and files"):
        make_worker(other)


def test_a_worker_leaves_the_folder_to_the_command(assignment: Assignment, flags: Flags) -> None:
    partial = flags.out / ".run.json.0.partial"
    flags.out.mkdir()
    partial.touch()
    worker = make_worker(assignment)
    assert score_batch(worker, KEYS) == {}
    assert partial.exists()
    assert not (flags.out / "run.json").exists()
    assert worker.workspace.finished(KEYS) == list(KEYS)


def write_crash_note(workspace: Workspace, keys: tuple[str, ...]) -> None:
    report = "Fatal Python error: Segmentation fault\n\nthread ..."
    workspace.crash_path(keys[0]).write_text(f"{json.dumps(keys)}\n{report}")


def test_a_crashed_batch_is_retried_one_by_one_and_its_culprit_fails(worker: Worker) -> None:
    batch_sizes: list[int] = []
    watch(worker.evaluation.source.model, batch_sizes.append)
    write_crash_note(worker.workspace, KEYS)
    write_crash_note(worker.workspace, (SECOND,))
    assert score_batch(worker, KEYS) == {}
    assert batch_sizes == [1, 1]
    assert worker.workspace.failures(KEYS) == {SECOND: "noise crashed the process (Segmentation fault)"}
    assert not list(worker.workspace.root.glob(".*"))


def watch(model: object, see: Callable[[int], None]) -> None:
    """Call `see` with the size of each batch."""
    rollout = model.rollout  # type: ignore[attr-defined]

    def watched_rollout(context: torch.Tensor, actions: torch.Tensor, *, seeds: list[int]) -> object:
        see(len(seeds))
        return rollout(context, actions, seeds=seeds)

    model.rollout = watched_rollout  # type: ignore[attr-defined]


def test_a_worker_with_a_broken_device_reports_itself_spent(worker: Worker) -> None:
    def break_device(count: int) -> None:
        raise RuntimeError("CUDA error: device-side assert triggered")

    watch(worker.evaluation.source.model, break_device)
    with pytest.raises(SpentWorkerError, match="device-side assert"):
        score_batch(worker, KEYS)
    assert worker.workspace.alone == sorted(KEYS)
    with pytest.raises(SpentWorkerError):
        score_batch(worker, KEYS)  # as another worker would
    assert list(worker.workspace.failures(KEYS)) == [KEYS[0]]


@pytest.mark.parametrize(
    ("compute", "workers", "message"),
    [
        (ComputeFlags(device="cuda:1"), WorkerFlags(executor="ray"), "on Ray choose cpu or cuda"),
        (ComputeFlags(), WorkerFlags(address="auto"), "is for --executor ray"),
        (ComputeFlags(), WorkerFlags(workers=-1), "--workers -1: choose 0 or more"),
    ],
    ids=["device", "address", "workers"],
)
def test_conflicting_flags_are_refused_in_one_sentence(
    flags: Flags, compute: ComputeFlags, workers: WorkerFlags, message: str
) -> None:
    with pytest.raises(UserError, match=message):
        prepare(replace(flags, compute=compute, workers=workers))


def test_the_command_does_not_need_the_device_of_its_workers(flags: Flags) -> None:
    pytest.importorskip("ray")
    changed = replace(flags, compute=ComputeFlags(device="cuda"), workers=WorkerFlags(executor="ray"))
    assert prepare(changed).compute.device.type == "cuda"
