"""The site in a browser: sorting, comparing, playing, deep links, phones, accessibility, hostile entries."""

import dataclasses
import importlib.resources
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmark.contract.protocol import LOOPCRAFT_MINI
from benchmark.results.tables import paired_tables
from leaderboard import build
from leaderboard.entry.folder import read_entries
from leaderboard.film.clips import write_clip
from leaderboard.film.scene import describe_walk
from loopcraft.core.files import write_json
from tests.fakes.benchmark_data import make_frames
from tests.fakes.entries import KEYS, make_card, sound_result, write_entry
from tests.leaderboard.site.browser import HINT, Watched, browser, chromium, open_page, wait_until

pytestmark = pytest.mark.skipif(chromium() is None, reason=HINT)

HOSTILE = "<img src=x onerror=alert(1)></script><script>alert(2)</script>"
PREFIX = "loopcraft-mini--plaza-v1--"
MOST_BYTES_OF_FIRST_VIEW = 1_000_000


def write_scenes(root: Path) -> None:
    """Write a scene of the first video: a walk there and back."""
    folder = root / "loopcraft-mini" / "plaza-v1" / "000-000"
    frames = make_frames(0, LOOPCRAFT_MINI.num_frames, 64)
    write_clip(folder / "truth.mp4", frames, 400_000)
    write_clip(folder / "memory.mp4", list(np.zeros_like(frames)), 100_000)
    poses = np.zeros((LOOPCRAFT_MINI.num_frames, 5))
    poses[:, 0] = 20 * np.sin(np.arange(len(poses)) / 20)
    write_json(folder / "walk.json", describe_walk(poses, LOOPCRAFT_MINI.context, None))


@pytest.fixture(scope="module")
def entries(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("entries")
    write_entry(root, sound_result("other-video", skill=-6.0, role="bound"))
    write_entry(root, sound_result("copy-last", skill=-4.0, role="bound"), videos=1)
    write_entry(root, sound_result("autoencoded", skill=12.0, role="bound"))
    write_entry(root, sound_result("good", skill=2.0), make_card("Good", licence="GPL"), videos=1)
    write_entry(root, sound_result("better", skill=3.0), make_card("Better", conditioning="none"), videos=1)
    result = sound_result("hostile", skill=-1.0)
    model = dataclasses.replace(result.model, notes=(HOSTILE,), arguments=HOSTILE)
    card = make_card(HOSTILE, description=HOSTILE, authors=(HOSTILE,), licence=HOSTILE, reproduce=(HOSTILE,))
    write_entry(root, dataclasses.replace(result, model=model), card, videos=1)
    write_entry(root, sound_result("elsewhere", fingerprint="e" * 64))
    return root


@pytest.fixture(scope="module")
def site(entries: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    out, truth = tmp_path_factory.mktemp("site"), tmp_path_factory.mktemp("truth")
    write_scenes(truth)
    assert build.main(["--entries", str(entries), "--truth", str(truth), "--out", str(out)]) == 0
    return out.as_uri()


@pytest.fixture(scope="module")
def chrome() -> Iterator[Any]:
    with browser() as running:
        yield running


@pytest.fixture
def table(chrome: Any, site: str) -> Iterator[Watched]:
    with open_page(chrome, f"{site}/index.html") as watched:
        yield watched
        assert watched.troubles == []


def names(page: Any) -> list[str]:
    shown: list[str] = page.locator("#board tbody tr:not([hidden]) .model-name a").all_inner_texts()
    return shown


def compare(models: str, more: str = "") -> str:
    slugs = ",".join(f"{PREFIX}{name}" for name in models.split())
    return f"compare.html#table=loopcraft-mini--plaza-v1&models={slugs}{more}"


def wait_until_drawn(page: Any) -> None:
    wait_until(page, "Boolean(document.body?.dataset.drawn)")


def wait_for_chart(page: Any, chart: str) -> None:
    """Scroll to a chart and wait until it is drawn."""
    page.locator(chart).scroll_into_view_if_needed()
    wait_until(page, f"Boolean(document.querySelector('{chart} .main-svg'))")


def test_the_table_sorts_by_any_column(table: Watched) -> None:
    page = table.page
    assert names(page)[:2] == ["autoencoded", "Better"]
    page.get_by_role("button", name="LPIPS").click()
    assert page.locator("th[data-column=lpips]").get_attribute("aria-sort") == "ascending"
    assert names(page)[0] == "autoencoded"
    page.get_by_role("button", name="LPIPS").click()
    assert page.locator("th[data-column=lpips]").get_attribute("aria-sort") == "descending"
    assert names(page)[0] == "other-video"
    page.get_by_role("button", name="Model", exact=True).click()
    assert names(page) == sorted(names(page), key=str.lower)


def test_the_table_filters(table: Watched) -> None:
    page = table.page
    page.get_by_label("Find models").fill("gpl")
    assert [name for name in names(page) if name not in ("autoencoded", "copy-last", "other-video")] == [
        "Good"
    ]
    page.get_by_label("References").uncheck()
    assert names(page) == ["Good"]
    page.get_by_label("Find models").fill("nobody at all")
    assert "No model matches your search" in page.locator("#board tbody").inner_text()
    page.get_by_label("Find models").fill("")
    page.get_by_role("combobox", name="Conditioning").select_option("none")
    assert names(page) == ["Better"]
    assert "1 of 6 rows" in page.get_by_role("status").inner_text()


def test_windows_and_columns_are_chosen(table: Watched) -> None:
    page = table.page
    before = page.locator(f"tr[data-slug={PREFIX}good] td").all_inner_texts()
    page.get_by_role("radio", name="short").check()
    assert page.locator(f"tr[data-slug={PREFIX}good] td").all_inner_texts() != before
    page.locator("#columns summary").click()
    page.locator("#columns").get_by_label("Licence").check()
    page.locator("#columns").get_by_label("Memory horizon").uncheck()
    heads = page.locator("#board thead .name").all_inner_texts()
    assert heads == ["Model", "Recall gain, PSNR (dB) ↑", "PSNR (dB) ↑", "LPIPS ↓", "Parameters", "Licence"]
    assert "GPL" in page.locator(f"tr[data-slug={PREFIX}good]").inner_text()


def test_the_numbers_match_the_result(table: Watched) -> None:
    estimate = sound_result("good", skill=2.0).metrics["psnr"].windows["long"]
    assert estimate.interval is not None
    text = table.page.locator(f"tr[data-slug={PREFIX}good]").inner_text()
    assert f"{estimate.mean:.2f}" in text
    assert f"[{estimate.interval[0]:.2f}, {estimate.interval[1]:.2f}]" in text


def test_the_best_is_bold_and_a_reference_is_not(table: Watched) -> None:
    page = table.page
    assert page.locator(f"tr[data-slug={PREFIX}better] .best").count() == 3
    assert page.locator("tr.reference").count() > 0
    assert page.locator("tr.reference .best, tr.reference .level").count() == 0


def test_tables_of_other_data_are_separate(table: Watched) -> None:
    page = table.page
    page.get_by_role("combobox", name="Table").select_option("loopcraft-mini--other-eeeeeeeeeeee")
    assert names(page) == ["elsewhere"]
    assert "Not a canonical test set" in page.locator("#provenance").inner_text()


def test_an_address_reproduces_the_view(table: Watched, chrome: Any) -> None:
    page = table.page
    page.get_by_role("radio", name="medium").check()
    page.get_by_role("button", name="LPIPS").click()
    page.get_by_label("References").uncheck()
    page.get_by_label("Compare Good").check()
    with open_page(chrome, page.url) as other:
        assert names(other.page) == names(page)
        assert other.page.locator("#board").inner_text() == page.locator("#board").inner_text()
        assert other.page.get_by_label("Compare Good").is_checked()
        assert other.page.get_by_role("radio", name="medium").is_checked()


def test_ticked_models_are_compared(table: Watched) -> None:
    page = table.page
    page.get_by_label("Compare Good").check()
    page.get_by_label("Compare Better").check()
    page.locator("#tray-go").click()
    wait_until_drawn(page)
    assert page.locator(".chip a").all_inner_texts() == ["Good", "Better"]
    for section in ("watch", "curves", "memory", "agreement", "differences"):
        assert page.locator(f"#{section}").is_visible(), section


def test_paired_differences_match_the_command(chrome: Any, site: str, entries: Path) -> None:
    results = {
        e.name: e.result for e in read_entries(entries) if e.name in ("good", "better") and "plaza" in e.id
    }
    (row,) = paired_tables(results)[2].rows  # better - good, as entries are sorted
    cell = row.cells[0]
    assert cell is not None
    assert cell.estimate.interval is not None
    with open_page(chrome, f"{site}/{compare('better good')}") as watched:
        wait_until_drawn(watched.page)
        watched.page.wait_for_selector("#pairs td.better")
        element = watched.page.locator("#pairs tbody tr").first.locator("td").nth(1)
        shown = [float(element.get_attribute(f"data-{part}") or "nan") for part in ("low", "high")]
        assert shown == pytest.approx(cell.estimate.interval, rel=1e-9)
        assert element.get_attribute("class") == "better"
        assert watched.troubles == []


def test_charts_show_values_hide_models_and_zoom(chrome: Any, site: str) -> None:
    with open_page(chrome, f"{site}/{compare('better good hostile')}") as watched:
        page = watched.page
        wait_until_drawn(page)
        wait_for_chart(page, "#memory-chart")
        wait_for_chart(page, "#agreement-chart")
        wait_for_chart(page, "#curve-chart")
        chart = page.locator("#curve-chart")
        box = chart.locator(".nsewdrag").first.bounding_box()
        page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
        page.wait_for_selector("#curve-chart .hoverlayer .legendtext")
        assert "Better" in chart.locator(".hoverlayer").text_content()
        assert "<img src=x" in chart.locator(".legend").first.text_content()
        before = chart.locator(".xtick").all_text_contents()
        page.mouse.down()
        page.mouse.move(box["x"] + box["width"] * 0.6, box["y"] + box["height"] / 2 + 3, steps=4)
        page.mouse.up()
        ticks = "[...document.querySelectorAll('#curve-chart .xtick')].map(t => t.textContent)"
        wait_until(page, f"{ticks}.join() !== {json.dumps(','.join(before))}")
        chart.locator(".legendtoggle").first.click()
        wait_until(page, "document.querySelector('#curve-chart').data.some(t => t.visible === 'legendonly')")
        assert watched.troubles == []


def frame_of(page: Any) -> int:
    match = re.search(r"frame (\d+)", page.locator(".frame-number").inner_text())
    assert match is not None
    return int(match[1])


def test_films_play_in_step(chrome: Any, site: str) -> None:
    with open_page(chrome, f"{site}/{compare('better good', '&frame=60')}") as watched:
        page = watched.page
        wait_until_drawn(page)
        assert frame_of(page) == 60
        assert page.locator(".screen figcaption small").nth(1).inner_text() == "given"
        page.get_by_role("button", name="Play or pause").click()
        wait_until(page, "parseInt(document.querySelector('.frame-number').textContent.slice(6)) > 75")
        assert page.locator(".screen figcaption small").nth(1).inner_text() == "generated"
        page.get_by_role("button", name="Play or pause").click()
        paused = frame_of(page)
        page.wait_for_timeout(200)
        assert frame_of(page) == paused
        assert page.locator(".agent").get_attribute("data-frame") == str(paused)
        assert watched.troubles == []


def test_the_player_is_controlled_by_keys(chrome: Any, site: str) -> None:
    returns = json.loads(read_walk(site))["returns"]
    with open_page(chrome, f"{site}/{compare('better good', '&frame=70')}") as watched:
        page = watched.page
        wait_until_drawn(page)
        page.keyboard.press("ArrowRight")
        assert frame_of(page) == 71
        page.keyboard.press("ArrowLeft")
        page.keyboard.press("ArrowLeft")
        assert frame_of(page) == 69
        page.keyboard.press("n")
        assert frame_of(page) == next(frame for frame in returns if frame > 69)
        page.keyboard.press("o")
        assert page.locator("#overlay").is_checked()
        assert f"frame={frame_of(page)}" in page.url
        assert "overlay=on" in page.url
        page.keyboard.press(" ")
        assert page.get_by_role("button", name="Play or pause").inner_text() == "Pause"


def read_walk(site: str) -> str:
    text = (Path(site.removeprefix("file://")) / "data/scenes/loopcraft-mini--plaza-v1.js").read_text()
    return json.dumps(json.loads(text[text.index(",") + 1 : text.rindex(")")])[0]["walk"])


def test_a_screen_shows_the_frame_of_its_film(chrome: Any, site: str, tmp_path: Path) -> None:
    with open_page(chrome, f"{site}/{compare('better', '&frame=100')}") as watched:
        page = watched.page
        wait_until_drawn(page)
        page.wait_for_timeout(300)
        shown = page.locator("canvas").first.screenshot()
        page.keyboard.press("ArrowRight")
        wait_until(page, "document.querySelector('.frame-number').textContent.includes('frame 101')")
        page.wait_for_timeout(300)
        assert page.locator("canvas").first.screenshot() != shown


@pytest.mark.parametrize(
    "address", ["index.html", compare("good hostile"), "submit.html", f"models/{PREFIX}hostile.html"]
)
def test_hostile_entries_stay_text(chrome: Any, site: str, address: str) -> None:
    with open_page(chrome, f"{site}/{address}") as watched:
        page = watched.page
        page.wait_for_timeout(400)
        assert page.locator("img").count() == 0
        if address != "submit.html":
            assert HOSTILE in page.locator("main").inner_text()
        assert watched.troubles == []
        assert all(url.startswith(site) or url.startswith("data:") for url in watched.requests)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize(
    "address", ["index.html", compare("good better"), "submit.html", f"models/{PREFIX}good.html"]
)
def test_axe_finds_no_violations(chrome: Any, site: str, address: str, scheme: str) -> None:
    options = {"color_scheme": scheme}
    with open_page(chrome, f"{site}/{address}", **options) as watched:
        page = watched.page
        if address.startswith("compare"):
            wait_until_drawn(page)
            wait_for_chart(page, "#curve-chart")
        inject_axe(page)
        assert violations(page) == {}


def inject_axe(page: Any) -> None:
    """Inject axe-core into a page despite its policy."""
    import axe_playwright_python

    script = importlib.resources.files(axe_playwright_python) / "axe.min.js"
    page.evaluate(script.read_text(encoding="utf-8"))


def violations(page: Any) -> dict[str, list[Any]]:
    """Return axe-core's findings about a page that holds it: rules and elements."""
    rules = "['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice']"
    report = page.evaluate(f"axe.run(document, {{runOnly: {rules}}})")
    return {
        violation["id"]: [node["target"] for node in violation["nodes"]] for violation in report["violations"]
    }


def test_axe_finds_violations_in_a_bad_page(chrome: Any, site: str) -> None:
    with open_page(chrome, f"{site}/submit.html") as watched:
        page = watched.page
        inject_axe(page)
        page.evaluate("document.querySelector('main').append(document.createElement('button'))")
        page.evaluate("document.querySelector('.lede p').style.color = '#ddd'")
        assert {"button-name", "color-contrast"} <= violations(page).keys()


@pytest.mark.parametrize(
    "address", ["index.html", compare("good better hostile"), "submit.html", f"models/{PREFIX}hostile.html"]
)
def test_pages_fit_a_phone(chrome: Any, site: str, address: str) -> None:
    with open_page(chrome, f"{site}/{address}", viewport={"width": 400, "height": 800}) as watched:
        page = watched.page
        page.wait_for_timeout(600)
        assert page.evaluate("document.documentElement.scrollWidth") <= 400
        if address == "index.html":
            page.evaluate("document.getElementById('frame').scrollLeft = 300")
            assert page.locator(f"tr[data-slug={PREFIX}good] .model").bounding_box()["x"] < 40
        assert watched.troubles == []


def test_the_theme_is_remembered(chrome: Any, site: str) -> None:
    with open_page(chrome, f"{site}/index.html", color_scheme="light") as watched:
        page = watched.page
        light = page.evaluate("getComputedStyle(document.body).backgroundColor")
        page.locator("#theme").click()
        dark = page.evaluate("getComputedStyle(document.body).backgroundColor")
        assert dark != light
        page.goto(f"{site}/submit.html")
        assert page.evaluate("getComputedStyle(document.body).backgroundColor") == dark


def test_the_first_view_loads_few_bytes(chrome: Any, site: str) -> None:
    with open_page(chrome, f"{site}/index.html") as watched:
        sizes = [Path(url.removeprefix("file://").split("#")[0]).stat().st_size for url in watched.requests]
        assert [url for url in watched.requests if "data/tables.js" in url]  # even if cached
        assert sum(sizes) < MOST_BYTES_OF_FIRST_VIEW
        assert not [url for url in watched.requests if "plotly" in url]


def test_downloads_are_offered_without_scripts(chrome: Any, site: str) -> None:
    with open_page(chrome, f"{site}/index.html", java_script_enabled=False) as watched:
        assert "its numbers are in the downloads below" in watched.page.locator("main").inner_text()
        assert watched.page.get_by_role("link", name="CSV").count() == 2
    assert len(KEYS) == 64
