"""Make the README's picture: the demo's report, as Chromium shows it. Called by ``make picture``."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

from playwright.sync_api import sync_playwright


def main(page_path: str, picture_path: str) -> None:
    """Open a report and save the answer, the figures side by side and the fabric as one picture."""
    program = shutil.which("chromium") or shutil.which("chromium-browser")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox", "--disable-gpu"])
        page = browser.new_page(viewport={"width": 1240, "height": 1640}, color_scheme="light")
        page.goto(Path(page_path).resolve().as_uri())
        page.wait_for_function("document.documentElement.dataset.ready")
        page.screenshot(path=picture_path)
        browser.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
