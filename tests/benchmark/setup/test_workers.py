"""Runs by several workers: what a worker is told, what it refuses, and what becomes of lost batches.

That a cluster gives the same result is tested in tests/test_cluster.py.
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
    return replace(found := read_result(out / "result.json"), provenance=replace(found.provenance, seconds=0))


def test_two_processes_have_the_result_of_one(data: Path, tmp_path: Path) -> None:
    """Forks here: workers that are fresh interpreters have it in tests/test_cluster.py."""
    one = score(data, tmp_path / "one")
    score(data, tmp_path / "two", "--max-videos", "1")  # it goes on where another run was
    assert score(data, tmp_path / "two", "--workers", "2") == one
    assert not list((tmp_path / "two").rglob(".*"))


@pytest.mark.parametrize(
    ("name", "value"), [("checkpoint_sha256", "f" * 64), ("packages", {"torch": "0.1"}), ("weights", None)]
)
def test_a_worker_that_would_score_otherwise_is_refused(
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


def crash_note(workspace: Workspace, keys: tuple[str, ...]) -> None:
    report = "Fatal Python error: Segmentation fault\n\nthread ..."
    workspace.crash_path(keys[0]).write_text(f"{json.dumps(keys)}\n{report}")


def test_a_batch_that_crashed_a_worker_is_made_alone_then_its_culprit_fails(worker: Worker) -> None:
    made: list[int] = []
    watch(worker.evaluation.source.model, made.append)
    crash_note(worker.workspace, KEYS)
    crash_note(worker.workspace, (SECOND,))
    assert score_batch(worker, KEYS) == {}
    assert made == [1, 1]
    assert worker.workspace.failures(KEYS) == {SECOND: "noise crashed the process (Segmentation fault)"}
    assert not list(worker.workspace.root.glob(".*"))


def watch(model: object, see: Callable[[int], None]) -> None:
    """Have `see` told the size of each batch."""
    rollout = model.rollout  # type: ignore[attr-defined]

    def watched(context: torch.Tensor, actions: torch.Tensor, *, seeds: list[int]) -> object:
        see(len(seeds))
        return rollout(context, actions, seeds=seeds)

    model.rollout = watched  # type: ignore[attr-defined]


def test_a_worker_whose_device_is_spoilt_says_that_it_is_spent(worker: Worker) -> None:
    def break_device(count: int) -> None:
        raise RuntimeError("CUDA error: device-side assert triggered")

    watch(worker.evaluation.source.model, break_device)
    with pytest.raises(SpentWorkerError, match="device-side assert"):
        score_batch(worker, KEYS)
    assert worker.workspace.alone == sorted(KEYS)
    with pytest.raises(SpentWorkerError):
        score_batch(worker, KEYS)  # what another worker does with the batch
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
def test_flags_that_do_not_fit_are_one_sentence(
    flags: Flags, compute: ComputeFlags, workers: WorkerFlags, message: str
) -> None:
    with pytest.raises(UserError, match=message):
        prepare(replace(flags, compute=compute, workers=workers))


def test_the_command_needs_no_device_that_its_workers_have(flags: Flags) -> None:
    pytest.importorskip("ray")
    asked = replace(flags, compute=ComputeFlags(device="cuda"), workers=WorkerFlags(executor="ray"))
    assert prepare(asked).compute.device.type == "cuda"
