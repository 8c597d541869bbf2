"""Pages open in a real Chromium: no error, no request, no hostile name that runs."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from planner.report import write_report
from tests.reports.studies import HOSTILE, fabric_study, placement_study


@pytest.fixture(scope="module")
def placement_page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("pages") / "placement.html"
    write_report(placement_study(), path)
    return path


@pytest.mark.parametrize("width", [1440, 390])
@pytest.mark.parametrize("dark", [False, True])
def test_opens_clean_and_fits_the_screen(
    open_page: Callable[..., Any], placement_page: Path, width: int, dark: bool
) -> None:
    opened = open_page(placement_page, width=width, dark=dark)
    assert opened.page.evaluate("document.querySelectorAll('.figure .main-svg').length") > 0
    assert opened.page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    background = opened.page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert background == ("rgb(18, 24, 31)" if dark else "rgb(251, 252, 253)")
    assert opened.errors == []
    assert opened.requests == []


def test_hostile_names_are_text(open_page: Callable[..., Any], placement_page: Path) -> None:
    opened = open_page(placement_page)
    for details in opened.page.locator("summary").all():
        details.click()
    cells = opened.page.evaluate("[...document.querySelectorAll('td')].map(cell => cell.textContent)")
    for name in HOSTILE:
        assert name in cells
    assert opened.page.evaluate("window.hit") is None
    assert opened.page.evaluate("document.querySelectorAll('img[src=x]').length") == 0


def test_theme_button_and_hover(open_page: Callable[..., Any], placement_page: Path) -> None:
    opened = open_page(placement_page)
    opened.page.click("#theme")
    assert opened.page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(18, 24, 31)"
    opened.page.locator("#f-map").scroll_into_view_if_needed()
    box = opened.page.locator("#f-map .nsewdrag").first.bounding_box()
    opened.page.mouse.move(box["x"] + 10, box["y"] + 5)
    opened.page.wait_for_selector("#f-map .hoverlayer .hovertext", timeout=5000)
    assert "dgx-" in opened.page.locator("#f-map .hoverlayer").text_content()
    assert opened.page.evaluate("window.hit") is None
    assert opened.errors == []


@pytest.mark.parametrize("name", ["gb200-nvl72-8-racks", "hgx-h100-131072"])
def test_large_fabrics_open(open_page: Callable[..., Any], tmp_path: Path, name: str) -> None:
    path = tmp_path / "fabric.html"
    write_report(fabric_study(name), path)
    assert path.stat().st_size < 15_000_000
    opened = open_page(path)
    assert opened.errors == []
    assert opened.requests == []
