"""The site as files: the same bytes each time, separate tables, standings, text that stays text."""

import dataclasses
import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmark.results.result_file import write_result
from benchmark.results.tables import paired_tables
from leaderboard import build
from leaderboard.entry.folder import read_entries
from leaderboard.entry.shipped import ENTRIES
from leaderboard.site.build import check, site_files
from leaderboard.site.chart_library import ADDRESS, style_guards
from leaderboard.site.columns import metric_columns
from leaderboard.site.data_files import script, table_value
from leaderboard.site.downloads import as_csv, as_rows
from leaderboard.site.standing import standings
from leaderboard.site.tables import site_tables
from loopcraft.dataset import open_dataset
from loopcraft.video.h264 import video_writer
from tests.fakes.benchmark_data import make_frames, write_dataset
from tests.fakes.entries import KEYS, METRICS, make_card, metric_result, sound_result, write_entry

HOSTILE = "</script><img src=x onerror=alert(1)>&\u2028{{7*7}}"


@pytest.fixture
def entries(tmp_path: Path) -> Path:
    """Two models with references, and a model on other data."""
    root = tmp_path / "entries"
    write_entry(root, sound_result("other-video", skill=-6.0, role="bound"))
    write_entry(root, sound_result("copy-last", skill=-4.0, role="bound"))
    write_entry(root, sound_result("autoencoded", skill=12.0, role="bound"))
    write_entry(root, sound_result("good", skill=2.0), videos=1)
    write_entry(root, sound_result("better", skill=3.0))
    write_entry(root, sound_result("elsewhere", fingerprint="e" * 64))
    return root


def files_below(root: Path) -> dict[str, bytes]:
    return {
        path.relative_to(root).as_posix(): path.read_bytes() for path in root.rglob("*") if path.is_file()
    }


def test_the_same_entries_give_the_same_bytes(entries: Path, tmp_path: Path) -> None:
    for name in ("one", "two"):
        assert build.main(["--entries", str(entries), "--out", str(tmp_path / name)]) == 0
    first, second = files_below(tmp_path / "one"), files_below(tmp_path / "two")
    assert first == second
    assert {"index.html", "compare.html", "submit.html", "data/tables.js", ADDRESS} <= first.keys()


def test_a_site_replaces_an_earlier_one_and_nothing_else(entries: Path, tmp_path: Path) -> None:
    out = tmp_path / "site"
    assert build.main(["--entries", str(entries), "--out", str(out)]) == 0
    (out / "models" / "gone.html").write_text("of a row that is no more")
    assert build.main(["--entries", str(entries), "--out", str(out)]) == 0
    assert not (out / "models" / "gone.html").exists()
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.tex").write_text("x")
    assert build.main(["--entries", str(entries), "--out", str(tmp_path / "mine")]) == 2
    assert (tmp_path / "mine" / "thesis.tex").read_text() == "x"


def test_leftovers_of_a_killed_build_are_removed(entries: Path, tmp_path: Path) -> None:
    leftover = tmp_path / "site" / ".site.json.0123456789abcdef.partial"
    leftover.parent.mkdir()
    leftover.touch()
    assert build.main(["--entries", str(entries), "--out", str(leftover.parent)]) == 0
    assert not leftover.exists()


def test_a_refused_entry_stops_the_build(
    entries: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_entry(entries, sound_result("part", keys=KEYS[:10]))
    assert build.main(["--entries", str(entries), "--out", str(tmp_path / "site")]) == 2
    assert "10 of the 64 videos" in capsys.readouterr().err
    assert not (tmp_path / "site").exists()


def test_rows_of_other_data_have_their_own_table(entries: Path) -> None:
    canonical, other = site_tables(read_entries(entries))
    assert canonical.test_set is not None
    assert [entry.name for entry in other.entries] == ["elsewhere"]
    assert "elsewhere" not in [entry.name for entry in canonical.entries]
    assert "(data eeeeeeee)" in other.title


def test_numbers_of_other_weights_have_their_own_column(tmp_path: Path) -> None:
    result = sound_result("one", fingerprint="e" * 64)
    lpips = result.metrics["lpips"]
    card = dataclasses.replace(lpips.card, weights={"net": "00" * 32})
    other = dataclasses.replace(
        result, metrics={**result.metrics, "lpips": dataclasses.replace(lpips, card=card)}
    )
    write_entry(tmp_path, result, name="one")
    write_entry(tmp_path, other, name="two")
    columns = metric_columns(read_entries(tmp_path))
    assert [column.id for column in columns] == ["psnr", "lpips", "lpips~2"]
    assert [len(column.values["long"]) for column in columns] == [2, 1, 1]


def test_the_best_is_bold_only_if_the_paired_difference_says_so(entries: Path) -> None:
    table = site_tables(read_entries(entries))[0]
    psnr = next(column for column in table.columns if column.id == "psnr")
    folder = "loopcraft-mini/plaza-v1/"
    assert standings(table, psnr, "long") == {f"{folder}better": "best"}
    # The standing agrees with the table of pairs, which is computed elsewhere.
    results = {entry.name: entry.result for entry in table.entries if entry.name in ("good", "better")}
    (row,) = paired_tables(results)[2].rows
    assert row.cells[0] is not None
    assert row.cells[0].bold


def test_indistinguishable_models_share_the_top(entries: Path) -> None:
    write_entry(entries, sound_result("rival", skill=3.0))
    table = site_tables(read_entries(entries))[0]
    psnr = next(column for column in table.columns if column.id == "psnr")
    folder = "loopcraft-mini/plaza-v1/"
    assert standings(table, psnr, "long") == {f"{folder}better": "level", f"{folder}rival": "level"}


@pytest.mark.parametrize("index", [0, 1])
def test_rows_scored_by_lpips_are_led_by_their_gain_in_it(index: int) -> None:
    table = site_tables(read_entries(ENTRIES))[index]
    assert [column.id for column in table.columns[:2]] == ["recall-gain-lpips", "recall-gain-psnr"]
    gains = {row.rpartition("/")[2]: gain.mean for row, gain in table.columns[0].values[""].items()}
    assert max(gains, key=gains.__getitem__) == "millivid"


def test_recall_gain_and_memory_horizon_come_first(entries: Path) -> None:
    table = site_tables(read_entries(entries))[0]
    usual = [column.id for column in table.columns if column.is_usual]
    assert usual == ["recall-gain-psnr", "memory-horizon", "psnr", "lpips"]
    assert [column.id for column in table.columns[4:]] == ["turns-followed", "on-course"]
    gain, horizon = table.columns[:2]
    values = gain.values[""]
    assert values["loopcraft-mini/plaza-v1/better"].mean == pytest.approx(3.0, abs=0.3)
    assert set(horizon.texts) == {
        f"loopcraft-mini/plaza-v1/{name}" for name in ("better", "good", "copy-last")
    }


def test_rows_without_recall_have_no_recall_columns(tmp_path: Path) -> None:
    write_entry(tmp_path, sound_result("old", recall=False))
    (table,) = site_tables(read_entries(tmp_path))
    assert [column.id for column in table.columns] == ["psnr", "lpips"]


def test_downloads_hold_every_number(entries: Path) -> None:
    table = site_tables(read_entries(entries))[0]
    rows = as_rows(table)
    assert len({row[0] for row in rows}) == 5
    good_row = next(row for row in rows if row[0].endswith("/good") and row[3:5] == ("long", "psnr"))
    estimate = sound_result("good", skill=2.0).metrics["psnr"].windows["long"]
    assert estimate.interval is not None
    assert good_row[7:] == (estimate.mean, *estimate.interval)
    assert as_csv(table).decode().count("\n") == len(rows) + 1


class Tags(HTMLParser):
    """Collects the tags and attributes of a page."""

    def __init__(self) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))


def pages_of(root: Path) -> dict[str, str]:
    entries = read_entries(root)
    files = site_files(entries, {}, check(entries))
    return {name: content.decode() for name, content in files.items() if isinstance(content, bytes)}


def test_hostile_text_stays_text(tmp_path: Path) -> None:
    result = sound_result("hostile", fingerprint="e" * 64)
    world = dataclasses.replace(result.data, world_id=HOSTILE)
    model = dataclasses.replace(result.model, name=HOSTILE, arguments=HOSTILE, notes=(HOSTILE,))
    provenance = dataclasses.replace(result.provenance, hardware=HOSTILE, packages={HOSTILE: HOSTILE})
    metric = result.metrics["psnr"]
    card = dataclasses.replace(metric.card, title=HOSTILE, unit=HOSTILE)
    metrics = {"psnr": dataclasses.replace(metric, card=card)}
    hostile = dataclasses.replace(
        result, data=world, model=model, provenance=provenance, metrics=metrics, absent={HOSTILE: HOSTILE}
    )
    text = HOSTILE.replace("\u2028", "")
    card_of = make_card(
        text, description=text, authors=(text,), reproduce=(text,), licence=text, contact=text
    )
    write_entry(tmp_path, hostile, card_of, name="hostile")
    files = pages_of(tmp_path)
    for name, content in files.items():
        if not name.endswith(".html"):
            continue
        tags = Tags()
        tags.feed(content)
        assert not [attributes for tag, attributes in tags.elements if tag == "img"], name
        for tag, attributes in tags.elements:
            assert not [attribute for attribute in attributes if attribute.startswith("on")], (name, tag)
            assert tag != "script" or attributes.get("src"), name
        assert "{{7*7}}" in content or name in ("compare.html", "submit.html")
        assert "49" not in re.findall(r"onerror=alert\(1\)&gt;&amp;\s*(\d+)", content)
    for name in (name for name in files if name.startswith("data/")):
        assert "<" not in files[name], name
        assert "\u2028" not in files[name]


def test_every_page_has_the_policy_and_names_no_other_host(entries: Path) -> None:
    for name, content in pages_of(entries).items():
        if not name.endswith(".html"):
            continue
        tags = Tags()
        tags.feed(content)
        policies = [a["content"] for tag, a in tags.elements if tag == "meta" and "http-equiv" in a]
        assert policies[0] is not None
        assert "default-src 'none'" in policies[0]
        assert "unsafe" not in policies[0]
        for _, attributes in tags.elements:
            assert "style" not in attributes
            for attribute in ("src", "srcset", "poster"):
                assert not re.match(r"\w+:|//", attributes.get(attribute) or ""), name
        links = [a["href"] for tag, a in tags.elements if tag == "link"]
        assert not [link for link in links if link is None or ":" in link]


def test_data_files_are_calls_that_text_cannot_leave() -> None:
    value: Any = {"text": HOSTILE, "deep": [HOSTILE, None, 1.5]}
    content = script("x", value).decode("ascii")
    assert re.fullmatch(r'Data\.put\("x",(.*)\);\n', content)
    argument = content.removeprefix('Data.put("x",').removesuffix(");\n")
    assert json.loads(argument) == value
    assert not set(argument) & set("<>&")


def test_the_charts_add_no_style() -> None:
    assert len(style_guards()) == 1


def test_a_table_names_what_is_shown(entries: Path) -> None:
    loaded = read_entries(entries)
    value = table_value(site_tables(loaded)[0], check(loaded))
    assert [row["name"] for row in value["rows"]] == [
        "autoencoded",
        "better",
        "copy-last",
        "good",
        "other-video",
    ]
    assert value["columns"][0]["standings"] == {"": [None, "best", None, None, None]}
    assert [len(values) for values in value["columns"][2]["values"].values()] == [5, 5, 5]
    assert value["testSet"] == "loopcraft-mini/plaza-v1"


def test_a_metric_without_videos_has_no_standing(tmp_path: Path) -> None:
    for name in ("one", "two"):
        result = sound_result(name, recall=False)
        metric = metric_result(METRICS["psnr"], np.full((len(KEYS), 192), 20.0))
        card = dataclasses.replace(metric.card, name="fid", kind="set-wise")
        windows = {w: dataclasses.replace(estimate, interval=None) for w, estimate in metric.windows.items()}
        curve = dataclasses.replace(metric.curve, low=None, high=None)
        fid = dataclasses.replace(metric, card=card, windows=windows, videos=None, curve=curve)
        write_entry(tmp_path, dataclasses.replace(result, metrics={"fid": fid}))
    (table,) = site_tables(read_entries(tmp_path))
    (column,) = table.columns
    assert standings(table, column, "long") == {}
    check(read_entries(tmp_path))


def test_a_run_is_previewed_beside_the_entries(entries: Path, tmp_path: Path) -> None:
    data = write_dataset(tmp_path / "data", num_videos=4, side=64)
    fingerprint = open_dataset(data).fingerprint
    result = sound_result("mine", fingerprint=fingerprint, keys=KEYS[:4], recall=False)
    write_result(tmp_path / "run" / "result.json", result)
    with video_writer(tmp_path / "run/videos/000/001.mp4", height=64, width=64, lossless=True) as writer:
        for frame in make_frames(1, 192, 64):
            writer.write(frame)
    flags = ["--entries", str(entries), "--out", str(tmp_path / "site"), str(tmp_path / "run")]
    assert build.main([*flags, "--data", str(data)]) == 0
    tables = (tmp_path / "site/data/tables.js").read_text()
    assert tables.index("not submitted") < tables.index('"loopcraft-mini--plaza-v1"')
    folder = f"loopcraft-mini/other-{fingerprint[:12]}"
    assert (tmp_path / "site/files" / folder / "mine/videos/000-001.mp4").exists()
    assert (tmp_path / "site/files/truth" / folder / "000-001/truth.mp4").exists()


def test_a_preview_that_would_be_refused_is_shown_with_the_reason(entries: Path, tmp_path: Path) -> None:
    write_result(tmp_path / "run" / "result.json", sound_result("mine", keys=KEYS[:4], recall=False))
    flags = ["--entries", str(entries), "--out", str(tmp_path / "site"), str(tmp_path / "run")]
    assert build.main(flags) == 0
    assert "4 of the 64 videos" in (tmp_path / "site/models/loopcraft-mini--plaza-v1--mine.html").read_text()


def test_data_without_runs_or_of_other_runs_are_refused(
    entries: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = write_dataset(tmp_path / "data", num_videos=2, side=64)
    flags = ["--entries", str(entries), "--out", str(tmp_path / "site"), "--data", str(data)]
    assert build.main(flags) == 2
    write_result(tmp_path / "run" / "result.json", sound_result("mine", keys=KEYS[:4], recall=False))
    assert build.main([*flags, str(tmp_path / "run")]) == 2
    err = capsys.readouterr().err
    assert "--data is the data set of the runs: give runs too" in err
    assert "not the data set of loopcraft-mini/plaza-v1/mine" in err
    assert not (tmp_path / "site").exists()
