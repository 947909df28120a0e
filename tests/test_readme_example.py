"""The README's example model gets the same scores in all three ways, and the first example runs."""

import json
import re
import threading
from pathlib import Path

import numpy as np
import pytest
import torch

from benchmark import check, run
from benchmark.contract.compute import Compute
from benchmark.contract.model import RolloutModel
from benchmark.contract.protocol import LOOPCRAFT_MINI
from benchmark.results.result_file import read_result
from benchmark.sources.http_server import ModelServer
from benchmark.sources.loading import load_model
from loopcraft.dataset import open_dataset
from tests.fakes.benchmark_data import SIDE, write_dataset

README = Path(__file__).resolve().parent.parent / "README.md"
SPEC = "my_model:FadeToMean"
ARGUMENTS = f'{{"resolution": {SIDE}}}'


@pytest.fixture
def example(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The example's source, saved as my_model.py in a folder on the path."""
    block = re.search(r"<!-- example -->\n```python\n(.*?)```", README.read_text(), re.DOTALL)
    assert block
    (tmp_path / "my_model.py").write_text(block[1])
    monkeypatch.syspath_prepend(str(tmp_path))
    return block[1]


def score(data: Path, out: Path, *flags: str) -> dict[str, float]:
    """Run the benchmark; return the means of both metrics in every window."""
    common = [
        "--data",
        str(data),
        "--out",
        str(out),
        "--protocol",
        "loopcraft-mini",
        "--metrics",
        "psnr,ssim",
    ]
    assert run.main([*common, *flags]) == 0
    headline = read_result(out / "result.json").headline
    return {
        f"{name} {window}": estimate.mean
        for name, metric in headline.items()
        for window, estimate in metric.windows.items()
    }


def generate_by_hand(model: RolloutModel, data: Path, folder: Path) -> Path:
    """Generate and save the frames, as an outsider would in another framework."""
    dataset = open_dataset(data)
    context_length, length = LOOPCRAFT_MINI.context, LOOPCRAFT_MINI.num_frames
    for key in dataset.keys:
        frames = dataset.frames(key, context_length - model.max_context, context_length)
        context = torch.from_numpy(frames).permute(0, 3, 1, 2)[None]
        actions = torch.from_numpy(dataset.states(key)[context_length - model.max_context : length, 0])
        chunks = list(model.rollout(context, actions.long()[None], seeds=[0]))
        generated = (torch.cat(chunks, dim=1)[0] * 255).round().to(torch.uint8).permute(0, 2, 3, 1).numpy()
        path = folder / f"{key}.npz"
        path.parent.mkdir(parents=True, exist_ok=True)
        np.savez(path, frames=generated)
    return folder


def test_the_example_scores_the_same_in_all_three_ways(example: str, tmp_path: Path) -> None:
    data = write_dataset(tmp_path / "data")
    in_process = score(data, tmp_path / "a", "--model", SPEC, "--model-args", ARGUMENTS)
    model = load_model(SPEC, json.loads(ARGUMENTS))
    assert isinstance(model, RolloutModel)
    videos = generate_by_hand(model, data, tmp_path / "videos")
    finished = score(data, tmp_path / "b", "--predictions", str(videos), "--name", "fade-to-mean")
    with ModelServer(model, Compute(), "127.0.0.1", 0, 1 << 24) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        over_http = score(data, tmp_path / "c", "--model", f"http://127.0.0.1:{server.server_address[1]}")
        server.shutdown()
    assert in_process == finished == over_http
    assert len(in_process) == 6


def test_the_example_keeps_the_contract(example: str) -> None:
    assert check.main(["--model", SPEC, "--model-args", ARGUMENTS]) == 0


def test_the_example_is_at_most_15_lines(example: str) -> None:
    lines = [
        line
        for line in example.splitlines()
        if line.strip() and not line.strip().startswith(("import", '"""'))
    ]
    assert len(lines) <= 15


SMALLER = {
    "num_episodes=8": "num_episodes=2, candidates=2, num_frames=256, resolution=64, workers=1",
    "metrics=[": 'protocol="loopcraft-mini", metrics=[',
    "MyModel()": "MyModel(resolution=64)",
}
"""Replacements that make the README's first example faster."""


def test_the_first_example_runs(example: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    block = re.search(
        r"```python\n(import benchmark, loopcraft, models\n.*?)```", README.read_text(), re.DOTALL
    )
    assert block
    source = block[1]
    for text, small in SMALLER.items():
        assert text in source
        source = source.replace(text, small)
    monkeypatch.chdir(tmp_path)
    names: dict = {"MyModel": __import__("my_model").FadeToMean}
    exec(compile(source, "README.md", "exec"), names)
    assert len(names["data"].keys) == 2
    assert sorted(names["result"].metrics) == ["psnr", "ssim"]
    assert names["millivid"].name == "millivid"
