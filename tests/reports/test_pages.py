"""Pages are one file, tell the figures of the result, and show users' text as text."""

import json
import re
from pathlib import Path

import pytest

from planner.report import fingerprints, write_report
from reports.figures.collectives import growing_groups
from reports.page import script_json
from reports.pages.fabric import FabricPage
from reports.pages.placement import PlacementPage
from reports.palette import HEAT, heat_step
from tests.reports.studies import HOSTILE, fabric_study, placement_study
from topologies.errors import OutputError
from topologies.files.fabric_file import load_fabric


@pytest.fixture(scope="module")
def page() -> str:
    return PlacementPage().render(placement_study())


def without_scripts(page: str) -> str:
    return re.sub(r"<script.*?</script>", "", page, flags=re.S)


def test_the_answer_stands_first_and_is_the_result(page: str) -> None:
    words = without_scripts(page)
    assert (
        "cp-sat places 9 of 10 jobs: 144 of the 392 accelerators asked for, on 240 free. No placement holds more."
        in (words)
    )
    assert words.index("cp-sat places") < words.index("<section")
    for solver in ("first-fit", "slurm-tree"):
        assert solver in words
    assert "needs 248 accelerators; 96 are free" in words


def test_users_text_stays_text(page: str) -> None:
    assert "<script>window.hit" not in page
    assert "<img src=x" not in page
    assert "&lt;script&gt;window.hit=1&lt;/script&gt;" in page
    assert "{{ 7 * 7 }}" in page
    for name in HOSTILE[5:8]:
        assert name in page


def test_the_page_needs_nothing_else(page: str) -> None:
    outside = without_scripts(page)
    assert not re.search(r'(?:src|href)="(?!#)', outside)
    assert page.count("plotly.js v") == 1
    assert len(page.encode()) < 6_000_000


def test_every_figure_is_json_and_has_words(page: str) -> None:
    figures = re.findall(r'<script type="application/json" id="j-(\w+)">(.*?)</script>', page, flags=re.S)
    assert {name for name, _ in figures} == {"map", "tiers", "slowdown"}
    for name, text in figures:
        assert json.loads(text)["data"]
        assert f'id="f-{name}" role="img" aria-label="' in page


def test_the_map_shows_each_job_on_its_hosts(page: str) -> None:
    (text,) = re.findall(r'id="j-map">(.*?)</script>', page, flags=re.S)
    hover = [cell for row in json.loads(text)["data"][0]["customdata"] for cell in row]
    study = placement_study()
    fabric, placement = study.problem.fabric, study.results[0].placement
    for number, job in enumerate(study.problem.jobs, start=1):
        if job.id in placement:
            host = fabric.host_names[fabric.accelerator_host[placement.ranks[job.id][0]]]
            assert any(cell.startswith(host) and f"job {number}: " in cell for cell in hover)
    assert any("8 drained" in cell for cell in hover)


@pytest.mark.parametrize("name", ["gb200-nvl72-8-racks", "lingjun-2023", "hgx-h100-16384"])
def test_fabric_pages(name: str) -> None:
    page = FabricPage().render(fabric_study(name))
    assert f"<title>{name}</title>" in page
    assert len(page.encode()) < 6_500_000


def test_written_whole_or_not_at_all(tmp_path: Path) -> None:
    study = fabric_study("leaf-spine-4to1")
    write_report(study, tmp_path / "new" / "page.html")
    assert (tmp_path / "new" / "page.html").read_text().startswith("<!doctype html>")
    (tmp_path / "folder").mkdir()
    with pytest.raises(OutputError):
        write_report(study, tmp_path / "folder")


def test_fingerprints_tell_files_from_names(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"")
    empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    assert fingerprints([path, "lingjun-2023"]) == {str(path): f"sha256 {empty}", "lingjun-2023": "part of scaleplan"}


def test_json_in_a_script_cannot_end_it() -> None:
    text = script_json('{"a": "</script>&\u2028"}')
    assert not set(text) & set("<>&\u2028")
    assert json.loads(text) == {"a": "</script>&\u2028"}


@pytest.mark.parametrize(("load", "step"), [(0, 0), (0.25, 0), (0.26, 1), (0.8, 2), (1.0, 3), (1.01, 4), (9, 4)])
def test_heat_steps(load: float, step: int) -> None:
    assert heat_step(load) == step
    assert step < len(HEAT)


def test_markdown_has_the_same_figures_and_no_markup_of_users(tmp_path: Path) -> None:
    study = placement_study()
    write_report(study, tmp_path / "page.md")
    text = (tmp_path / "page.md").read_text(encoding="utf-8")
    assert text.startswith("# Placement \\<script\\>window.hit=1")
    assert "cp-sat places 9 of 10 jobs" in text
    assert not re.search(r"(?<!\\)<", text)
    (row,) = [line for line in text.splitlines() if line.startswith("| slurm-tree |")]
    assert int(row.split("|")[2]) == int(study.results[2].score["placed_accelerators"])
    tables = [line for line in text.splitlines() if line.startswith("| ")]
    assert "| solver | placed accelerators |" in tables[0]
    assert tables[1].startswith("| --- | ---: |")


def test_no_chromium_no_pdf(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(OutputError, match="there is none"):
        write_report(fabric_study("leaf-spine-4to1"), tmp_path / "page.pdf")
    assert list(tmp_path.iterdir()) == []


def test_the_fabric_page_tells_what_an_all_reduce_gets() -> None:
    table = growing_groups(load_fabric("dgx-h100-superpod-1su"))
    assert table is not None
    assert table.num_ranks.tolist() == [8, 16, 248]  # a host, two hosts, the leaf group, which is all there is
    page = FabricPage().page(fabric_study("dgx-h100-superpod-1su"))
    (block,) = [b for b in page.blocks if b.id == "collectives"]
    assert block.table is not None
    assert [row[0] for row in block.table.rows] == [8, 16, 248]
    at_1_gib = table.busbw_bytes_per_s[:, table.size_bytes.tolist().index(2.0**30)] / 1e9
    assert [row[3] for row in block.table.rows] == pytest.approx(at_1_gib.tolist())
    for row in block.table.rows:
        low, high = (float(text) for text in str(row[5]).split("–"))
        assert low < float(str(row[3])) < high
    figure = block.figure
    assert figure is not None
    assert [list(trace.y) for trace in figure.data] == [pytest.approx(y / 1e9) for y in table.busbw_bytes_per_s]
