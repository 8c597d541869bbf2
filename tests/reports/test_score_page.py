"""The page of a score tells who waits for whom, what ECMP adds, and what was measured beside the model."""

import re

import numpy as np
import pytest

from reports.figures.collectives import measured_figure
from reports.figures.congestion import busiest_uplink_figure, ecmp_figure, slowdown_range_figure
from reports.pages.score import ScorePage
from tests.reports.studies import HOSTILE, score_study


def test_measured_points_stand_beside_the_model() -> None:
    rows = score_study().measured
    model, measured = measured_figure(rows).data
    assert (model.mode, measured.mode) == ("lines", "markers")
    busbw = 2**20 / 1e-3 * 2 * 15 / 16 / 1e9  # size ÷ time × 2(p−1)/p
    assert list(measured.y) == pytest.approx([busbw] * 4)
    assert list(model.y) == pytest.approx([busbw / 1.1] * 4)


def test_ranges_run_from_the_least_to_the_most() -> None:
    figure = slowdown_range_figure(["slow", "a<b"], np.array([1.2, 1.0]), np.array([1.5, 1.0]))
    line, expected, worst = figure.data
    assert list(line.x[:2]) == [1.2, 1.5]
    assert list(expected.y) == [1, 0]
    assert list(worst.x) == [1.5, 1.0]
    assert figure.layout.yaxis.ticktext == ("slow", "a&lt;b")
    quantiles = np.array([[1.1], [1.2], [1.4]])
    assert [trace.name for trace in ecmp_figure(["j"], quantiles).data[1:]] == ["median", "p90", "p99"]


def test_the_histogram_counts_every_draw_and_names_its_quantiles() -> None:
    figure = busiest_uplink_figure(np.array([1.0, 2.0, 3.0]))
    assert sum(figure.data[0].y) == 3
    assert figure.data[1].name == "median 2.00×"


def test_the_answer_is_the_score() -> None:
    study = score_study()
    page = ScorePage().page(study)
    report = study.judged.score.congestion
    worst = report.slowdown()
    assert f"{np.count_nonzero(worst > 1.05)} of them take more than 5 % longer" in page.answer[0]
    assert f"{worst.max():.2f}×" in page.answer[0]
    assert page.answer[1].endswith(
        f"at {report.link_demand_frac[report.worst.bottleneck_link[int(np.argmax(worst))]]:.0%} of what it carries."
    )
    assert study.collisions is not None
    assert f"{study.collisions.quantiles()[2].max():.2f}× in one of a hundred" in page.answer[2]
    ids = [block.id for block in page.blocks]
    assert ids == ["slowdown", "tiers", "links", "fabric", "ecmp", "measured", "collectives", "sure"]
    ecmp = page.blocks[4].table
    assert ecmp is not None
    assert len(ecmp.rows) == len(worst)


def test_hostile_jobs_stay_text() -> None:
    html = re.sub(r"<script.*?</script>", "", ScorePage().render(score_study()), flags=re.S)
    assert "<img src=x" not in html
    for name in HOSTILE[5:8]:
        assert name in html
    assert not re.search(r"(?<!\\)<", ScorePage().render_markdown(score_study()))
