"""The page of a replay tells the outcomes' figures, the answer first."""

import re

import numpy as np
import pytest

from planner.replay.bill import Bill, Line
from reports.figures.replayed import bill_figure, idle_figure, time_unit, waits_figure
from reports.figures.timeline import queue_figure, timeline_figure
from reports.pages.replay import ReplayPage
from tests.reports.studies import HOSTILE, replay_study


@pytest.mark.parametrize(
    ("longest_s", "unit"), [(0, "seconds"), (119, "seconds"), (120, "minutes"), (7200, "hours"), (172_800, "days")]
)
def test_times_are_told_in_a_unit_that_fits(longest_s: float, unit: str) -> None:
    assert time_unit(longest_s)[1] == unit


def test_waits_are_told_by_size() -> None:
    figure = waits_figure([("p", {"1": 60.0})], ["1", "2-8"])
    (bar,) = figure.data
    assert list(bar.y) == [60.0, 0.0]  # in seconds: a minute is less than two
    assert figure.layout.yaxis.type is None
    wide = waits_figure([("p", {"1": 1.0, "2-8": 1000.0})], ["1", "2-8"])
    assert wide.layout.yaxis.type == "log"


def test_shares_of_idle_capacity_add_up() -> None:
    figure = idle_figure([("p", 0.5, {"down": 0.1, "gang": 0.0, "no-demand": 0.4})])
    assert {bar.name: list(bar.x) for bar in figure.data} == {
        "used": [50.0], "down": [10.0], "free: nobody waits": [40.0]
    }  # fmt: skip


def test_a_long_bill_is_cut_and_nothing_lost() -> None:
    lines = tuple(Line(f"t{i}", 10.0, 4.0, 1.0) for i in range(20))
    used, held = bill_figure(Bill(lines, {}, 0.0, 200.0, 200.0)).data
    assert sum(used.x) == 80.0
    assert sum(held.x) == 120.0
    assert used.y[0] == "5 more"


def test_the_timeline_stacks_to_the_capacity() -> None:
    line = replay_study().outcomes[0].timeline
    figure = timeline_figure(line)
    total = sum(np.array(trace.y) for trace in figure.data)
    assert total == pytest.approx(np.full(len(line.working), 248.0), abs=0.05)
    names = [trace.name for trace in figure.data]
    assert names[0] == "used"
    assert names[-1] == "free: nobody waits"
    assert "down" in names
    assert len(queue_figure([("a", line), ("b", line)]).data) == 2


def test_the_page_tells_the_outcome() -> None:
    study = replay_study()
    page = ReplayPage().page(study)
    told = study.outcomes[0].summary
    assert f"{told.allocated_frac:.1%} of 248 accelerators are held" in page.answer[0]
    assert "Beside it: first-fit strands" in page.answer[1]
    ids = [block.id for block in page.blocks]
    assert ids == ["decision", "timeline", "idle", "queue", "waits", "slots", "bill", "sure"]
    bill = page.blocks[6].table
    assert bill is not None
    shown = sum(float(str(row[1])) for row in bill.rows)
    assert shown == pytest.approx(study.outcomes[0].bill.total_usd, abs=len(bill.rows))


def test_hostile_tenants_stay_text() -> None:
    html = re.sub(r"<script.*?</script>", "", ReplayPage().render(replay_study()), flags=re.S)
    assert "<img src=x" not in html
    for name in HOSTILE[5:8]:
        assert name in html
    assert not re.search(r"(?<!\\)<", ReplayPage().render_markdown(replay_study()))
