"""The result file: it survives a round trip, and every kind of mistake is refused with its path."""

import dataclasses
import json
from typing import Any

import pytest

from benchmark.contract.protocol import LOOPCRAFT_MINI
from benchmark.results.result_file import Result, read_result, read_results, write_result
from leaderboard.entry.shipped import ENTRIES
from loopcraft.core.errors import UserError
from tests.fakes.benchmark_data import make_result


def test_a_result_survives_the_file(tmp_path) -> None:
    result = make_result(absent={"fvd": "no weights"}, failed={"000/007": "NaN"})
    write_result(tmp_path / "result.json", result)
    assert read_result(tmp_path / "result.json") == result


def test_the_file_starts_with_its_format_and_version(tmp_path) -> None:
    write_result(tmp_path / "result.json", make_result())
    assert list(json.loads((tmp_path / "result.json").read_text()))[:2] == ["format", "version"]


def test_headlines_leave_out_further_columns() -> None:
    result = make_result()
    both = dataclasses.replace(result, metrics={**result.metrics, "psnr:worst": result.metrics["psnr"]})
    assert list(both.headline) == ["psnr"]


REMOVED = object()


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ("format", "something-else", "expected format and version"),
        ("version", 3, "expected format and version"),
        ("colour", "red", "colour: unknown field"),
        ("model.colour", "red", "model.colour: unknown field"),
        ("model.two\nlines", "red", r"model.'two\\nlines': unknown field"),
        ("model.name", REMOVED, "model.name: missing"),
        ("model.name", 3, "model.name: expected a string, found '3'"),
        ("model.role", "judge", "model.role: expected one of"),
        ("model.context_frames", 64.5, "model.context_frames: expected an integer"),
        ("model.context_frames", True, "model.context_frames: expected an integer"),
        ("model.checkpoint_sha256", 3, "model.checkpoint_sha256: expected a string"),
        ("data.keys", "000/000", "data.keys: expected a list"),
        ("data.keys", ["000/000", 5], r"data.keys\[1\]: expected a string"),
        ("data.frame_shape", [3, 16], "data.frame_shape: expected a list of 3"),
        ("metrics", [], "metrics: expected an object"),
        ("metrics.psnr", None, "metrics.psnr: expected an object"),
        (
            "metrics.psnr.windows.short.mean",
            None,
            "metrics.psnr.windows.short.mean: expected a finite number",
        ),
        (
            "metrics.psnr.windows.short.mean",
            "20",
            "metrics.psnr.windows.short.mean: expected a finite number",
        ),
        ("metrics.psnr.windows.short.mean", float("nan"), "NaN is not a valid JSON number"),
        ("metrics.psnr.windows.short.mean", float("inf"), "Infinity is not a valid JSON number"),
        ("metrics.psnr.windows.short.mean", 10**400, "mean: expected a finite number"),
        ("metrics.psnr.windows.short.interval", [1.0], "interval: expected a list of 2"),
        (
            "metrics.psnr.windows.short",
            REMOVED,
            r"metrics.psnr.windows: expected \['long', 'medium', 'short'\]",
        ),
        ("metrics.psnr.card.higher_is_better", 1, "higher_is_better: expected true or false"),
        ("metrics.psnr.curve.mean", [1.0, 2.0], "metrics.psnr.curve: does not cover the horizon"),
        ("metrics.psnr.videos", None, "metrics.psnr.videos: expected for paired metrics"),
        ("metrics.psnr.videos.short", [1.0], "metrics.psnr.videos.short: expected a value for each"),
        ("protocol.context", 65, "protocol_hash: not the hash of protocol"),
        ("protocol.windows", [{"name": "short", "first": 1}], r"protocol.windows\[0\].last: missing"),
        ("absent.fvd", 0, "absent.fvd: expected a string"),
        ("metrics.psnr.windows.short.mean", 31.0, "mean 31.0 is outside its interval"),
        ("metrics.psnr.windows.short.mean", 20.5, "short.mean: is 20.5, but the mean of its videos is 20.0"),
        ("metrics.psnr.windows.short.interval", [21.0, 19.0], "is outside its interval"),
        ("metrics.psnr.videos.short", [30.0] * 4, "short.mean: is 20.0, but the mean of its videos is 30.0"),
        (
            "metrics.psnr.curve.mean",
            [20.0] * 64 + [40.0] * 128,
            "long.mean: is 20.0, but the mean of its curve is 40.0",
        ),
        ("metrics.psnr.card.name", "../psnr", r"psnr.card.name: expected 'psnr', found '../psnr'"),
        ("metrics.psnr.card.decimals", 10**9, "decimals: expected 0 to 12"),
        ("metrics.psnr.card.decimals", -1, "decimals: expected 0 to 12"),
        ("metrics.psnr.videos.short", [1e308] * 4, r"short\[0\]: expected a finite number \(of 32 bits\)"),
        ("metrics.psnr.curve.mean", [-1e308] * 192, r"mean\[0\]: expected a finite number"),
        ("model.name", " ", "model.name: is empty"),
        ("provenance.seconds", -1, "provenance.seconds: -1.0 is negative"),
        ("data.frame_shape", [3, -1, 64], r"data.frame_shape: \(3, -1, 64\) is not a frame shape"),
        ("data.frame_shape", [1, 64, 64], "data.frame_shape"),
        ("data.frame_shape", [3, 64, 10**9], "data.frame_shape"),
        (
            "data.keys",
            ["000/000", "000/001", "000/002", "000/002"],
            r"data.keys\[3\]: '000/002' is not an episode name or occurs twice",
        ),
        (
            "data.keys",
            ["000/000", "000/001", "000/002", "../../x"],
            r"data.keys\[0\]: '../../x' is not an episode name",
        ),
    ],
)
def test_a_bad_field_is_named(tmp_path, path: str, value: Any, message: str) -> None:
    document = dataclasses.asdict(make_result())
    *parents, last = path.split(".")
    node: Any = document
    for parent in parents:
        node = node[parent]
    if value is REMOVED:
        del node[last]
    else:
        node[last] = value
    with pytest.raises(UserError, match=message) as caught:
        read_text(tmp_path, json.dumps(document))
    assert str(tmp_path) in str(caught.value)


@pytest.mark.parametrize("name", ["../../../x", "/etc/x", "a/b", "", ".x", "a\\b", "x\n", "$x^$", "a" * 101])
def test_names_of_metrics_are_plain(tmp_path, name: str) -> None:
    document = dataclasses.asdict(make_result())
    document["metrics"][name] = document["metrics"].pop("psnr")
    document["metrics"][name]["card"]["name"] = name
    with pytest.raises(UserError, match="is not a plain name"):
        read_text(tmp_path, json.dumps(document))


@pytest.mark.parametrize("what", ["id", "first", "last", "name"])
def test_a_foreign_protocol_is_checked_even_if_its_hash_is_right(tmp_path, what: str) -> None:
    windows = list(LOOPCRAFT_MINI.windows)
    if what != "id":
        value: Any = {"first": 0, "last": 193, "name": "short\n"}[what]
        windows[0 if what != "last" else 2] = dataclasses.replace(windows[0], **{what: value})
    protocol = dataclasses.replace(
        LOOPCRAFT_MINI, id=".." if what == "id" else "mine", windows=tuple(windows)
    )
    document = dataclasses.asdict(make_result(protocol=protocol, protocol_hash=protocol.hash))
    with pytest.raises(
        UserError, match="is not a plain name" if what in ("id", "name") else "within the horizon"
    ):
        read_text(tmp_path, json.dumps(document))


@pytest.mark.parametrize("world", ["plaza-v1", "voxel-v1"])
def test_the_included_results_are_consistent(world: str) -> None:
    paths = sorted((ENTRIES / "loopcraft-mini" / world).glob("*/result.json"))
    assert len(read_results(paths)) == len(paths) > 3


def test_numbers_beyond_a_float_are_refused(tmp_path) -> None:
    text = json.dumps(dataclasses.asdict(make_result())).replace('"seconds": 1.0', '"seconds": 1e999')
    with pytest.raises(UserError, match=r"provenance.seconds: expected a finite number"):
        read_text(tmp_path, text)


def test_a_field_that_is_there_twice_is_refused(tmp_path) -> None:
    text = json.dumps(dataclasses.asdict(make_result())).replace(
        '"seconds": 1.0', '"seconds": 2.0, "seconds": 1.0'
    )
    with pytest.raises(UserError, match=r"the key 'seconds' appears twice"):
        read_text(tmp_path, text)


@pytest.mark.parametrize("text", ["", "{", "[1, 2]", "null", '"loopcraft-result"'])
def test_other_files_are_refused(tmp_path, text: str) -> None:
    with pytest.raises(UserError, match=r"not JSON|not a result file"):
        read_text(tmp_path, text)


def read_text(folder, text: str) -> Result:
    path = folder / "result.json"
    path.write_text(text)
    return read_result(path)
