"""A real browser for the tests of the site: Debian's or Google's Chromium, driven by Playwright."""

import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
HINT = "no Chromium on this machine: the site's pages were not opened (apt-get install chromium)"


def chromium() -> str | None:
    """The browser's path, where there is one."""
    return next((path for name in NAMES if (path := shutil.which(name))), None)


@dataclass
class Watched:
    """A page, and everything that went wrong in it."""

    page: Any
    troubles: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)


@contextmanager
def browser() -> Iterator[Any]:
    """A running Chromium."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        running = playwright.chromium.launch(
            executable_path=chromium(), args=["--no-sandbox", "--mute-audio"]
        )
        yield running
        running.close()


@contextmanager
def opened(running: Any, address: str, **options: Any) -> Iterator[Watched]:
    """A page at `address` in a window of its own; console messages, errors and failed requests are kept."""
    context = running.new_context(**({"viewport": {"width": 1280, "height": 900}} | options))
    watched = Watched(context.new_page())
    page = watched.page
    page.set_default_timeout(10_000)
    page.on("console", lambda m: watched.troubles.append(f"{m.type}: {m.text}") if m.type != "log" else None)
    page.on("pageerror", lambda error: watched.troubles.append(f"error: {error}"))
    page.on("dialog", lambda dialog: (watched.troubles.append(f"dialog: {dialog.message}"), dialog.dismiss()))
    page.on("request", lambda request: watched.requests.append(request.url))
    page.on("requestfailed", lambda r: watched.troubles.append(f"failed: {r.url} {r.failure}"))
    page.goto(address)
    yield watched
    context.close()


def wait_until(page: Any, condition: str, timeout_s: float = 10.0) -> None:
    """Wait for a condition in the page; Playwright's own waiting needs eval, which the policy forbids."""
    give_up = time.monotonic() + timeout_s
    while not page.evaluate(condition):
        assert time.monotonic() < give_up, f"never came true: {condition}"
        page.wait_for_timeout(25)
