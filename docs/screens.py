"""Take screenshots of the leaderboard's site for the documentation in Chromium: light, dark and on a phone.

python -m leaderboard.build --out site && python docs/screens.py site
Debian: apt-get install chromium fonts-inter
"""

import io
import shutil
import sys
from pathlib import Path

from PIL import Image
from playwright.sync_api import Page, sync_playwright

DOCS = Path(__file__).resolve().parent
PREFIX = "loopcraft-mini--plaza-v1--"
MODELS = ",".join(f"{PREFIX}{name}" for name in ("millivid", "framepack", "full-resolution"))
SHOTS = {
    "leaderboard-light": ("index.html", "light", (1280, 900)),
    "leaderboard-dark": (f"compare.html#models={MODELS}&frame=96", "dark", (1280, 1150)),
    "leaderboard-phone": ("index.html", "light", (400, 860)),
}
QUALITY = 82


def shoot(page: Page, address: str) -> Image.Image:
    """Take a screenshot of the page once its films and charts are loaded."""
    page.goto(address)
    page.wait_for_timeout(2500)
    return Image.open(io.BytesIO(page.screenshot()))


def main(site: Path) -> None:
    """Write all screenshots."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        for name, (address, scheme, (width, height)) in SHOTS.items():
            context = browser.new_context(
                viewport={"width": width, "height": height},
                color_scheme="dark" if scheme == "dark" else "light",
            )
            picture = shoot(context.new_page(), f"{site.resolve().as_uri()}/{address}")
            picture.convert("RGB").save(DOCS / f"{name}.webp", quality=QUALITY, method=6)
            context.close()
        browser.close()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
