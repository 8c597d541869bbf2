"""Pages open in a real Chromium: no error, no request, no hostile name that runs, and everything can be clicked."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from planner.report import write_report
from tests.reports.studies import HOSTILE, fabric_study, placement_study

LIGHT, DARK = "rgb(246, 248, 250)", "rgb(16, 22, 28)"
STAGE = "document.querySelector('.stage svg').getAttribute('aria-label')"


@pytest.fixture(scope="module")
def placement_page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("pages") / "placement.html"
    write_report(placement_study(), path)
    return path


def draw_all_figures(page: Any) -> None:
    for name in page.evaluate("[...document.querySelectorAll('.figure')].map(box => box.id)"):
        page.evaluate("id => document.getElementById(id).scrollIntoView({behavior: 'instant'})", name)
        page.wait_for_selector(f"#{name} .main-svg", timeout=10_000)


@pytest.mark.parametrize("width", [1440, 390])
@pytest.mark.parametrize("dark", [False, True])
def test_opens_clean_and_fits_the_screen(
    open_page: Callable[..., Any], placement_page: Path, width: int, dark: bool
) -> None:
    opened = open_page(placement_page, width=width, dark=dark)
    draw_all_figures(opened.page)
    assert opened.page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    assert opened.page.evaluate("getComputedStyle(document.body).backgroundColor") == (DARK if dark else LIGHT)
    assert opened.errors == []
    assert opened.requests == []


def test_hostile_names_are_text(open_page: Callable[..., Any], placement_page: Path) -> None:
    opened = open_page(placement_page)
    draw_all_figures(opened.page)
    for details in opened.page.locator("summary").all():
        details.click()
    cells = opened.page.evaluate("[...document.querySelectorAll('td')].map(cell => cell.textContent)")
    for name in HOSTILE:
        assert name in cells
    for mark in opened.page.locator(".mark").all():
        mark.focus()
    assert opened.page.evaluate("window.hit") is None
    assert opened.page.evaluate("document.querySelectorAll('img[src=x]').length") == 0


def test_theme_button_and_hover(open_page: Callable[..., Any], placement_page: Path) -> None:
    opened = open_page(placement_page)
    opened.page.click("#theme")
    assert opened.page.evaluate("getComputedStyle(document.body).backgroundColor") == DARK
    draw_all_figures(opened.page)
    opened.page.evaluate("document.getElementById('f-map').scrollIntoView({behavior: 'instant'})")
    box = opened.page.locator("#f-map .nsewdrag").first.bounding_box()
    opened.page.mouse.move(box["x"] + 10, box["y"] + 100)
    opened.page.wait_for_selector("#f-map .hoverlayer .hovertext", timeout=5000)
    assert "dgx-" in opened.page.locator("#f-map .hoverlayer").text_content()
    assert opened.page.evaluate("window.hit") is None
    assert opened.errors == []


def test_zoom_by_click_and_key_from_fabric_to_accelerators(open_page: Callable[..., Any], placement_page: Path) -> None:
    page = open_page(placement_page).page
    assert page.evaluate(STAGE) == "Drawing of dgx-h100-superpod-1su by tiers"
    page.locator(".mark.host").first.click()
    assert page.evaluate(STAGE) == "Drawing of dgx-001 by tiers"
    assert page.locator(".stage .gpu").count() == 8
    assert page.locator(".panel h3").text_content() == "dgx-001"
    page.keyboard.press("Escape")
    assert page.evaluate(STAGE) == "Drawing of dgx-h100-superpod-1su by tiers"
    page.locator(".mark.host").nth(1).focus()
    page.keyboard.press("ArrowRight")
    assert page.locator(".panel h3").text_content() == "dgx-003"
    page.keyboard.press("Enter")
    assert page.evaluate(STAGE) == "Drawing of dgx-003 by tiers"
    page.locator(".crumbs button").first.click()
    assert page.locator(".mark.host").count() == 31


def test_search_goes_to_hosts_switches_and_jobs(open_page: Callable[..., Any], placement_page: Path) -> None:
    opened = open_page(placement_page)
    page = opened.page

    def search(words: str) -> str:
        page.fill("input[type=search]", words)
        page.keyboard.press("Enter")
        return str(page.locator(".said").text_content())

    assert search("dgx-007") == "Host dgx-007"
    assert page.evaluate(STAGE) == "Drawing of dgx-007 by tiers"
    assert search("spine000") == "Switch spine000"
    assert page.locator(".panel h3").text_content() == "spine000"
    assert search("大規模") == "Job 大規模言語モデルの学習"
    assert page.locator(".job-filter").input_value() == "7"
    assert page.locator(".job.dim").count() > 0
    assert search("no such thing") == "Nothing is called that"
    assert search("</script><script>").startswith("Job </script>")
    assert opened.errors == []
    assert page.evaluate("window.hit") is None


def test_a_switch_that_fails_shows_whom_it_hits(open_page: Callable[..., Any], placement_page: Path) -> None:
    page = open_page(placement_page).page
    page.locator(".mark.switch[aria-label^=leaf]").first.click()
    page.locator(".fail").click()
    told = page.locator(".panel").inner_text()
    assert "hosts on it\n31" in told.replace("\n\n", "\n")
    assert "up to 12.5 % of its way out" in told  # one of 8 rails
    assert "hosts cut off\n0" in told.replace("\n\n", "\n")
    assert "Jobs that ran over it: 9" in told
    assert page.locator(".mark.host.hit").count() == 31
    page.locator(".fail").click()
    assert page.locator(".mark.host.hit").count() == 0


def test_a_link_and_a_host_that_fail_show_whom_they_hit(open_page: Callable[..., Any], placement_page: Path) -> None:
    opened = open_page(placement_page)
    page = opened.page
    page.locator(".mark.switch[aria-label^=spine]").first.click()
    page.locator(".panel button.plain").first.click()
    assert " – spine" in page.locator(".panel h3").text_content()
    page.locator(".fail").click()
    told = page.locator(".panel").inner_text().replace("\n\n", "\n")
    assert "cables lost\n8, 3.2 Tbit/s each way" in told
    assert "switches that lose a way up\n1" in told
    assert "one loses\nup to 25 % of it" in told or "one loses\nup to 25.0 % of it" in told  # one of four spines
    assert page.locator(".link.dead").count() == 1
    page.locator(".fail").click()
    page.evaluate("document.querySelector('.stage').scrollIntoView({behavior: 'instant', block: 'center'})")
    where = page.evaluate(
        "(() => { const d = document.querySelector('.stage svg'), path = [...d.querySelectorAll('.link')].pop(),"
        "p = path.getPointAtLength(60), b = d.getBoundingClientRect(); return [b.left + p.x, b.top + p.y]; })()"
    )
    page.mouse.click(*where)
    assert " – " in page.locator(".panel h3").text_content()
    page.locator(".mark.host").first.click()
    page.locator(".fail").click()
    told = page.locator(".panel").inner_text().replace("\n\n", "\n")
    assert "hosts down\n1" in told
    assert "accelerators gone\n8" in told
    assert opened.errors == []


def test_solvers_filters_and_wire_map(open_page: Callable[..., Any], tmp_path: Path) -> None:
    write_report(placement_study(solvers=("cp-sat", "random")), tmp_path / "page.html")
    opened = open_page(tmp_path / "page.html")
    page = opened.page
    before = page.evaluate("document.querySelector('.stage').innerHTML")
    page.get_by_label("random").check()
    assert page.evaluate("document.querySelector('.stage').innerHTML") != before
    page.select_option(".heat-filter", "1001")
    assert page.locator(".link.h0").count() == 5 - 4  # the legend's line alone
    with page.expect_download() as download:
        page.click(".wires")
    rows = Path(download.value.path()).read_text(encoding="utf-8").splitlines()
    assert rows[0] == "from,to,gbps,tier,demand_frac"
    assert len(rows) == 1 + 504
    assert opened.errors == []
    assert opened.requests == []


@pytest.mark.parametrize("dark", [False, True])
def test_no_serious_barrier(open_page: Callable[..., Any], placement_page: Path, dark: bool) -> None:
    from axe_playwright_python.sync_playwright import Axe

    page = open_page(placement_page, dark=dark).page
    draw_all_figures(page)
    for details in page.locator("summary").all():
        details.click()
    found = Axe().run(page).response["violations"]
    serious = [
        (v["id"], [n["html"][:120] for n in v["nodes"]][:3]) for v in found if v["impact"] in ("serious", "critical")
    ]
    assert serious == []


def test_prints_every_figure_and_table(open_page: Callable[..., Any], placement_page: Path) -> None:
    page = open_page(placement_page).page
    page.emulate_media(media="print")
    page.evaluate("window.dispatchEvent(new Event('beforeprint'))")
    assert page.evaluate("[...document.querySelectorAll('.figure')].every(box => box.querySelector('.main-svg'))")
    assert page.evaluate("[...document.querySelectorAll('details')].every(box => box.open)")
    assert not page.locator("#theme").is_visible()
    assert page.pdf()[:5] == b"%PDF-"


@pytest.mark.parametrize("name", ["gb200-nvl72-8-racks", "hgx-h100-131072", "tpu-v5p-cube", "dragonfly-plus-1024"])
def test_fabrics_open_and_zoom_to_a_host(open_page: Callable[..., Any], tmp_path: Path, name: str) -> None:
    path = tmp_path / "fabric.html"
    write_report(fabric_study(name), path)
    assert path.stat().st_size < 15_000_000
    opened = open_page(path)
    for _ in range(8):
        if opened.page.locator(".stage .gpu").count():
            break
        opened.page.locator(".mark.host, .mark.pod, .mark.group, [class^='mark bunch']").first.click()
    assert opened.page.locator(".stage .gpu").count() == fabric_study(name).fabric.host_num_accelerators[0]
    assert opened.errors == []
    assert opened.requests == []


def test_pdf_by_the_ending_of_the_file(tmp_path: Path) -> None:
    write_report(placement_study(solvers=("first-fit",)), tmp_path / "page.pdf")
    data = (tmp_path / "page.pdf").read_bytes()
    assert data.startswith(b"%PDF-")
    assert len(data) > 20_000
    assert [path.name for path in tmp_path.iterdir()] == ["page.pdf"]
