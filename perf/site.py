"""Measure the leaderboard's site with 200 rows: its build, the size of its first view, its response times.

python -m perf.site. The second half needs Chromium. Use an idle machine, as the figures are times.
"""

import argparse
import os
import shutil
import time
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

from leaderboard import build
from tests.fakes.entries import sound_result, write_entry

REPEATS = 15


def write_entries(root: Path, count: int) -> None:
    """Write rows with curves, recall and consistency over 64 videos."""
    for name, skill in (("other-video", -6.0), ("copy-last", -4.0), ("autoencoded", 12.0)):
        write_entry(root, sound_result(name, skill=skill, role="bound"))
    for number in range(count - 3):
        write_entry(root, sound_result(f"model-{number:03d}", skill=3.0 * number / count))


def measure_browser(site: Path, chromium: str) -> None:
    """Print the size and the time of the first view, and the times of sorting and filtering."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1280, "height": 900})
        addresses: list[str] = []
        page.on("request", lambda request: addresses.append(request.url))
        page.goto(f"{site.as_uri()}/index.html")
        size = sum(Path(address.removeprefix("file://")).stat().st_size for address in addresses)
        print(f"first view: {size / 1e6:.2f} MB in {len(addresses)} files")
        times = [first_view(page) for _ in range(REPEATS)]
        print(f"first view: {spread(times)} from the request to the painted table")
        for action, script in (
            ("sort", "document.querySelector('th[data-column=lpips] button').click()"),
            ("filter", "(i => { i.value = i.value ? '' : 'model-1'; i.dispatchEvent(new Event('input')) })"
             "(document.querySelector('input[type=search]'))"),
        ):  # fmt: skip
            times = [float(page.evaluate(timed_script(script))) for _ in range(REPEATS)]
            print(f"{action}: {spread(times)} to the next frame")
        browser.close()


def spread(times: list[float]) -> str:
    """Format the minimum and the median, as other programs slow down most of the times."""
    return f"{min(times):.0f} ms at best, median {median(times):.0f} of {len(times)}"


def first_view(page: Any) -> float:
    """Return the milliseconds from the request of the page to its table on the screen."""
    page.reload()
    script = "new Promise(done => requestAnimationFrame(() => setTimeout(() => done(performance.now()))))"
    return float(page.evaluate(script))


def timed_script(script: str) -> str:
    """Return JavaScript that runs a script and gives the milliseconds until its changes are drawn."""
    return (
        f"new Promise(done => {{ const start = performance.now(); {script}; "
        "requestAnimationFrame(() => setTimeout(() => done(performance.now() - start))); })"
    )


def main() -> None:
    """Build and measure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=200)
    rows = parser.parse_args().rows
    load = os.getloadavg()[0]
    print(f"{os.cpu_count()} processors, load {load:.1f}")
    with TemporaryDirectory() as folder:
        entries, site = Path(folder) / "entries", Path(folder) / "site"
        write_entries(entries, rows)
        arguments = ["--entries", str(entries), "--out", str(site)]
        wall, busy = time.perf_counter(), time.process_time()
        build.main(arguments)
        wall, busy = time.perf_counter() - wall, time.process_time() - busy
        print(f"build of {rows} rows: {wall:.1f} s, of which {busy:.1f} s of processor time")
        total = sum(path.stat().st_size for path in site.rglob("*") if path.is_file())
        print(f"the whole site: {total / 1e6:.1f} MB")
        chromium = shutil.which("chromium")
        if chromium is None:
            print("no Chromium found: the browser is not measured")
        else:
            measure_browser(site, chromium)


if __name__ == "__main__":
    main()
