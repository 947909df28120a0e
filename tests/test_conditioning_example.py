"""The model with poses of docs/conditioning.md, taken from the page: checked, scored, served, and marked."""

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
    """The example's source, saved as my_pose_model.py in a folder on the path."""
    found = re.search(r"<!-- example -->\n```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    assert found
    (tmp_path / "my_pose_model.py").write_text(found[1])
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


def test_it_keeps_the_contract() -> None:
    assert check.main(["--model", SPEC]) == 0


def test_it_remembers_and_says_what_it_was_told(data: Path, tmp_path: Path) -> None:
    near = score(data, tmp_path / "near", "--model", SPEC)
    assert near.model.conditioning == ("actions", "poses")
    model = load_model(SPEC)
    assert isinstance(model, RolloutModel)
    with ModelServer(model, Compute(), "127.0.0.1", 0, 1 << 26) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        far = score(data, tmp_path / "far", "--model", f"http://127.0.0.1:{server.server_address[1]}")
        server.shutdown()
    assert (far.metrics, far.model.conditioning) == (near.metrics, near.model.conditioning)
    still = score(data, tmp_path / "still", "--model", "copy-last")
    assert near.metrics["psnr"].windows["long"].mean > still.metrics["psnr"].windows["long"].mean
    page = to_markdown(window_tables(read_results([tmp_path / "near", tmp_path / "still"])))
    assert "| nearest-view (+ poses) |" in page
    assert "not do the same task" not in page  # the other is a bound
