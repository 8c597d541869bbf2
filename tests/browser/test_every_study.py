"""Every study's page: opens clean at both widths and themes, every figure answers, every table opens, nothing runs."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from planner.report import Study, write_report
from tests.reports.studies import compare_study, fabric_study, observe_study, replay_study, score_study, weigh_study
from topologies.bill.bill import bill_of
from topologies.bill.output import bill_csv
from topologies.bill.wire_map import wire_map_csv

STUDIES: dict[str, Callable[[], Study]] = {
    "compare": compare_study,
    "observe": observe_study,
    "replay": replay_study,
    "weigh": weigh_study,
    "score": score_study,
    "sweep": lambda: weigh_study(sweep=("scale_up_domain=8,72",)),
}


@pytest.fixture(scope="module", params=list(STUDIES))
def page_of_study(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("pages") / f"{request.param}.html"
    write_report(STUDIES[request.param](), path)
    return path


def draw_all(page: Any) -> None:
    for name in page.evaluate("[...document.querySelectorAll('.figure')].map(box => box.id)"):
        page.evaluate("id => document.getElementById(id).scrollIntoView({behavior: 'instant'})", name)
        page.wait_for_selector(f"#{name} .main-svg", timeout=10_000)


def test_a_desk_in_the_light(open_page: Callable[..., Any], page_of_study: Path) -> None:
    from axe_playwright_python.sync_playwright import Axe

    opened = open_page(page_of_study)
    page = opened.page
    draw_all(page)
    hover_first_mark(page)
    for details in page.locator("summary").all():
        details.click()
    assert page.evaluate("[...document.querySelectorAll('details')].every(box => box.open)")
    found = Axe().run(page).response["violations"]
    assert [(v["id"], v["nodes"][0]["html"][:120]) for v in found if v["impact"] in ("serious", "critical")] == []
    assert page.evaluate("window.hit") is None
    assert page.evaluate("document.querySelectorAll('img[src=x]').length") == 0
    assert page.locator("h1 bdi").count() == 1
    assert opened.errors == []
    assert opened.requests == []


def test_a_phone_in_the_dark(open_page: Callable[..., Any], page_of_study: Path) -> None:
    opened = open_page(page_of_study, width=390, dark=True)
    draw_all(opened.page)
    assert opened.page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    before = opened.page.evaluate("getComputedStyle(document.body).backgroundColor")
    opened.page.click("#theme")
    assert opened.page.evaluate("getComputedStyle(document.body).backgroundColor") != before
    assert opened.errors == []
    assert opened.requests == []


def hover_first_mark(page: Any) -> None:
    """Point at the first mark of the first figure, at the middle of one of areas, and see its words."""
    page.evaluate("document.querySelector('.figure').scrollIntoView({behavior: 'instant', block: 'center'})")
    figure = page.locator(".figure").first
    marks = figure.locator(".points path, .point path")
    spot = marks if marks.count() else figure.locator(".nsewdrag")
    box = spot.first.bounding_box()
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    page.wait_for_selector(".figure .hoverlayer :is(.hovertext, .legend)", timeout=5000)


def test_files_inside_a_page_are_saved_whole(open_page: Callable[..., Any], tmp_path: Path) -> None:
    study = fabric_study("dgx-h100-superpod-1su")
    write_report(study, tmp_path / "fabric.html")
    opened = open_page(tmp_path / "fabric.html")
    bill = bill_of(study.fabric)
    for label, text in (("Bill (CSV)", bill_csv(bill)), ("Wire map with ports", wire_map_csv(bill))):
        with opened.page.expect_download() as saved:
            opened.page.get_by_role("button", name=label).click()
        assert Path(saved.value.path()).read_bytes().decode() == text
    opened.page.get_by_role("link", name="Bill", exact=True).last.click()
    assert opened.page.evaluate("location.hash") in ("#bill", "#model-bill")
    assert opened.errors == []
    assert opened.requests == []
