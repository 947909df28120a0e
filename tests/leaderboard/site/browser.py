"""A real browser for the tests of the site: Debian's or Google's Chromium, driven by Playwright."""

import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
FLAGS = ["--no-sandbox", "--mute-audio", "--disable-gpu"]
HINT = "no Chromium on this machine: the site's pages were not opened (apt-get install chromium)"


def chromium() -> str | None:
    """Return the path of the browser, if there is one."""
    return next((path for name in NAMES if (path := shutil.which(name))), None)


@dataclass
class Browser:
    """A running Chromium and its idle windows."""

    running: Any
    empty: str
    """The address of an empty page."""
    idle: dict[str, list[Any]] = field(default_factory=dict)
    """Idle pages by the options of their windows."""


@dataclass
class Watched:
    """A page and everything that went wrong in it."""

    page: Any
    troubles: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)


@contextmanager
def browser() -> Iterator[Browser]:
    """Run a Chromium."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright, TemporaryDirectory() as folder:
        empty = Path(folder, "empty.html")
        empty.touch()
        running = playwright.chromium.launch(executable_path=chromium(), args=FLAGS)
        yield Browser(running, empty.as_uri())
        running.close()


@contextmanager
def open_page(browser: Browser, address: str, **options: Any) -> Iterator[Watched]:
    """Open a page at `address` and record its console messages, errors and failed requests.

    Pages with the same options share a window one after another, which forgets what the last one stored.
    """
    idle = browser.idle.setdefault(repr(options), [])
    page = idle.pop() if idle else _new_page(browser, options)
    watched = Watched(page)
    listeners: dict[str, Callable[[Any], Any]] = {
        "console": lambda m: watched.troubles.append(f"{m.type}: {m.text}") if m.type != "log" else None,
        "pageerror": lambda error: watched.troubles.append(f"error: {error}"),
        "dialog": lambda dialog: (watched.troubles.append(f"dialog: {dialog.message}"), dialog.dismiss()),
        "request": lambda request: watched.requests.append(request.url),
        "requestfailed": lambda r: watched.troubles.append(f"failed: {r.url} {r.failure}"),
    }
    for event, listener in listeners.items():
        page.on(event, listener)
    page.goto(address)
    yield watched
    for event, listener in listeners.items():
        page.remove_listener(event, listener)
    if options.get("java_script_enabled", True):
        page.evaluate("localStorage.clear()")
    page.goto(browser.empty)  # else an address that differs only in its fragment would load nothing
    idle.append(page)


def _new_page(browser: Browser, options: dict[str, Any]) -> Any:
    context = browser.running.new_context(**({"viewport": {"width": 1280, "height": 900}} | options))
    page = context.new_page()
    page.set_default_timeout(10_000)
    return page


def wait_until(page: Any, condition: str, timeout_s: float = 10.0) -> None:
    """Wait for a condition in the page; Playwright's own waiting needs eval, which the policy forbids."""
    give_up = time.monotonic() + timeout_s
    while not page.evaluate(condition):
        assert time.monotonic() < give_up, f"never came true: {condition}"
        page.wait_for_timeout(25)
