"""The model with poses from docs/conditioning.md is checked, scored, served, and marked in tables."""

import re
import threading
from pathlib import Path

import pytest

from benchmark import check, run
from benchmark.contract.compute import Compute
from benchmark.contract.model import RolloutModel
from benchmark.results.formats import to_markdown
from benchmark.results.result_file import Result, read_result, read_results
from benchmark.results.tables import window_tables
from benchmark.sources.http_server import ModelServer
from benchmark.sources.loading import load_model
from loopcraft import generate

PAGE = Path(__file__).resolve().parent.parent / "docs" / "conditioning.md"
SPEC = "my_pose_model:NearestView"


@pytest.fixture(autouse=True)
def example(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Save the example's source as my_pose_model.py in a folder on the path."""
    block = re.search(r"<!-- example -->\n```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    assert block
    (tmp_path / "my_pose_model.py").write_text(block[1])
    monkeypatch.syspath_prepend(str(tmp_path))


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("data") / "val"
    flags = ["--split", "val", "--world", "plaza-v1", "--num-episodes", "3", "--num-frames", "256"]
    more = ["--resolution", "32", "--candidates", "3", "--workers", "1"]
    assert generate.main(["--out", str(out), *flags, *more]) == 0
    return out


def score(data: Path, out: Path, *flags: str) -> Result:
    common = ["--data", str(data), "--out", str(out), "--protocol", "loopcraft-mini", "--metrics", "psnr"]
    assert run.main([*common, *flags]) == 0
    return read_result(out / "result.json")


def test_the_example_keeps_the_contract() -> None:
    assert check.main(["--model", SPEC]) == 0


def test_the_example_beats_copy_last_and_reports_its_conditioning(data: Path, tmp_path: Path) -> None:
    local = score(data, tmp_path / "near", "--model", SPEC)
    assert local.model.conditioning == ("actions", "poses")
    model = load_model(SPEC)
    assert isinstance(model, RolloutModel)
    with ModelServer(model, Compute(), "127.0.0.1", 0, 1 << 26) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        served = score(data, tmp_path / "far", "--model", f"http://127.0.0.1:{server.server_address[1]}")
        server.shutdown()
    assert (served.metrics, served.model.conditioning) == (local.metrics, local.model.conditioning)
    copy_last = score(data, tmp_path / "still", "--model", "copy-last")
    assert local.metrics["psnr"].windows["long"].mean > copy_last.metrics["psnr"].windows["long"].mean
    page = to_markdown(window_tables(read_results([tmp_path / "near", tmp_path / "still"])))
    assert "| nearest-view (+ poses) |" in page
    assert "not do the same task" not in page  # copy-last is a bound
