"""The page of weighed designs tells the study's figures, the answer first."""

import re

import pytest

from reports.figures.break_even import premium_by_domain
from reports.figures.pareto import kept_tokens_per_s, pareto_figure, usd_per_hour
from reports.figures.step_parts import step_parts_figure
from reports.figures.sweep import sweep_figure
from reports.figures.tornado import tornado_figure
from reports.pages.weigh import WeighPage
from tests.reports.studies import HOSTILE, weigh_study

CELL = {
    "design": "a <b>",
    "workload": "w",
    "accelerators": 64,
    "used_of_domain": 8,
    "tokens_per_s": 1000.0,
    "reliability": {"goodput_frac": 0.5},
    "usd_per_mtoken": {"low": 1.0, "typical": 2.0, "high": 4.0},
    "power_kw": 10.0,
    "parts_s": {"compute_s": 3.0, "tp_s": 1.0, "optimizer_s": 0.001},
    "domain": {"step_s_by_domain": {"4": 5.0, "8": 4.0, "16": 3.2}},
}


def test_throughput_and_money_by_hand() -> None:
    assert kept_tokens_per_s(CELL) == 500.0
    assert usd_per_hour(CELL) == pytest.approx(3.6)  # 500 tokens/s × 3,600 s × 2 US$ a million
    (trace,) = pareto_figure([CELL], [0], "w", "money").data
    assert list(trace.y) == [0.5]
    assert list(trace.x) == [pytest.approx(3.6)]
    assert list(trace.error_x.array) == [pytest.approx(3.6)]
    assert list(trace.error_x.arrayminus) == [pytest.approx(1.8)]
    assert trace.marker.symbol == ("circle",)
    (behind,) = pareto_figure([CELL], [], "w", "power").data
    assert behind.marker.symbol == ("circle-open",)
    assert list(behind.x) == [10.0]


def test_a_domain_is_worth_the_time_it_saves() -> None:
    size, premium = premium_by_domain(CELL)
    assert size == [4, 8, 16]
    assert premium == [pytest.approx(-0.2), 0.0, pytest.approx(0.25)]


def test_parts_of_a_step_are_stacked_and_trifles_left_out() -> None:
    figure = step_parts_figure([CELL])
    assert {bar.name: list(bar.x) for bar in figure.data} == {"compute": [3.0], "tensor parallel": [1.0]}
    assert figure.data[0].y == ("a &lt;b&gt;",)


def test_bars_that_cross_one_are_hatched() -> None:
    bars = [{"what": "restart_s", "low": 0.9, "high": 1.1}, {"what": "x", "low": 0.7, "high": 0.8}]
    (trace,) = tornado_figure(bars, 0.9).data
    assert list(trace.y) == ["x", "time to restart"]
    assert list(trace.marker.pattern.shape) == ["", "/"]
    assert list(trace.x) == [pytest.approx(0.1), pytest.approx(0.2)]


def test_the_decision_stands_first_with_the_prices_of_the_study() -> None:
    study = weigh_study()
    page = WeighPage().page(study)
    assert " ".join(page.answer) == study.decision["answer"]
    assert [block.id for block in page.blocks[:5]] == ["decision", "pareto", "domain", "step", "tornado"]
    table = page.blocks[0].table
    assert table is not None
    assert table.first_is_answer
    assert table.rows[0][:2] == [study.decision["choice"], study.decision["ranked"][0]["score"]]
    best = next(c for c in study.cells if (c["design"], c["workload"]) == (table.rows[0][0], HOSTILE[2]))
    assert str(table.rows[0][2]).startswith(f"{best['usd_per_mtoken']['typical']:.3g} (")
    assert table.rows[0][3] == best["days_to_train"]


def test_hostile_names_stay_text_in_html_and_markdown() -> None:
    html = re.sub(r"<script.*?</script>", "", WeighPage().render(weigh_study()), flags=re.S)
    assert "window.hit=1&lt;/script&gt;" in html
    assert "<img src=x" not in html
    assert not re.search(r"(?<!\\)<", WeighPage().render_markdown(weigh_study()))


def test_a_sweep_has_a_line_a_design_and_no_decision() -> None:
    study = weigh_study(sweep=("scale_up_domain=8,72",))
    page = WeighPage().page(study)
    assert page.blocks[0].id == "sweep"
    assert page.answer[0].startswith("2 points over scale up domain: ")
    figure = sweep_figure(study.cells, study.swept)
    (trace,) = figure.data
    assert list(trace.x) == [8, 72]
    assert list(trace.y) == [cell["usd_per_mtoken"]["typical"] for cell in study.cells]
