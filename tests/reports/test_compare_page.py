"""Results side by side: figures are matched by what they are of, and what changed stands on the page."""

import json
import re
from pathlib import Path

import pytest

from planner.files.result_files import load_results
from reports.differences import Difference, figures_of, matched
from reports.figures.changes import change_figure
from reports.pages.compare import ComparePage
from tests.fixtures.command_line import CommandLine
from tests.reports.studies import compare_study


def test_entries_are_known_by_name_not_by_place() -> None:
    before = {"jobs": [{"id": "a", "t": 1.0}, {"id": "b", "t": 2.0}], "flag": True, "none": None}
    after = {"jobs": [{"id": "b", "t": 3.0}, {"id": "a", "t": 1.0}], "more": 7}
    found = {d.path: d.values for d in matched([before, after])}
    assert found == {("jobs", "a", "t"): (1.0, 1.0), ("jobs", "b", "t"): (2.0, 3.0), ("more",): (None, 7.0)}


@pytest.mark.parametrize(
    ("values", "change"), [((2.0, 3.0), 0.5), ((-2.0, -3.0), -0.5), ((0.0, 0.0), 0.0), ((0.0, 1.0), float("inf")),
                           ((None, 1.0), float("inf"))]
)  # fmt: skip
def test_change_is_relative_to_the_first(values: tuple[float | None, ...], change: float) -> None:
    assert Difference(("x",), values).change_frac == change


def test_versions_and_times_are_no_figures() -> None:
    assert list(figures_of({"versions": {"a": 1}, "run_time_s": 3.0, "gap": 0.5})) == [(("gap",), 0.5)]


def test_marks_are_joined_and_missing_ones_left_out() -> None:
    figure = change_figure(["a", "b"], [("one", [1.0, None]), ("two", [3.0, 4.0])], "x")
    line, one, two = figure.data
    assert list(line.x[:2]) == [1.0, 3.0]
    assert list(one.x) == [1.0, None]
    assert list(two.y) == [1, 0]


def test_the_page_tells_scores_and_moves() -> None:
    study = compare_study()
    page = ComparePage().page(study)
    assert [block.id for block in page.blocks] == ["decision", "jobs", "moves", "changes", "words"]
    before, after = (document["results"][0] for document in study.documents)
    table = page.blocks[0].table
    assert table is not None
    told = {str(row[0]): row for row in table.rows}
    worst = [result["score"]["components"]["worst_slowdown"] for result in (before, after)]
    assert told["worst slowdown"][1:3] == worst
    assert told["worst slowdown"][3] == f"{worst[1] / worst[0] - 1:+.1%}"
    moved = page.blocks[2].table
    assert moved is not None
    assert moved.columns == ["job", "accelerators", study.names[0], "after"]
    assert int(page.tiles[1].value) == len(moved.rows)


def test_nothing_changed_is_said() -> None:
    study = compare_study()
    same = type(study)("t", ("a", "b"), (study.documents[0], study.documents[0]), study.provenance)
    page = ComparePage().page(same)
    assert re.fullmatch(r"All \d+ figures are the same in a, b\.", page.answer[0])


def test_hostile_text_stays_text() -> None:
    html = re.sub(r"<script.*?</script>", "", ComparePage().render(compare_study()), flags=re.S)
    assert "<img src=x" not in html
    assert not re.search(r"(?<!\\)<", ComparePage().render_markdown(compare_study()))


def test_files_are_read_and_bad_ones_refused(cli: CommandLine, tmp_path: Path) -> None:
    for name, steps in (("a.json", 1.0), ("b.json", 2.0)):
        text = json.dumps({"schema": "scaleplan/weigh/1", "cells": [{"design": "d", "step_s": steps}]})
        (tmp_path / name).write_text(text, encoding="utf-8")
    (tmp_path / "other.json").write_text('{"schema": "scaleplan/replay/1"}', encoding="utf-8")
    (tmp_path / "none.json").write_text('{"a": 1}', encoding="utf-8")
    (tmp_path / "bad.json").write_text("{", encoding="utf-8")
    assert load_results([tmp_path / "a.json", tmp_path / "b.json"])[0] == ("a", "b")
    cli("report", "a.json", "b.json", "-o", "page.md").done()
    assert "\\+100.0%" in (tmp_path / "page.md").read_text() or "+100.0%" in (tmp_path / "page.md").read_text()
    assert "results of different kinds" in cli("report", "a.json", "other.json", "-o", "p.html").refuses()
    assert "not a result of scaleplan" in cli("report", "a.json", "none.json", "-o", "p.html").refuses()
    assert "not JSON" in cli("report", "a.json", "bad.json", "-o", "p.html").refuses()
    assert "cannot read the result" in cli("report", "a.json", "gone.json", "-o", "p.html").refuses()
    assert "--jobs" in cli("report", "a.json", "b.json", "--jobs", "a.json", "-o", "p.html").refuses()
