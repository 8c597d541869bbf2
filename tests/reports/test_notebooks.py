"""Results show themselves in a notebook, users' text as text; figures are plain plotly figures to be restyled."""

import numpy as np
import plotly.graph_objects as go
import pytest

from planner.collectives.collective import collective_time
from planner.replay.result import ReplayResult
from reports.figures.collectives import collective_figure, growing_groups
from reports.figures.placement_map import placement_map
from reports.figures.timeline import timeline_figure
from reports.figures.topology import topology_figure
from tests.reports.studies import HOSTILE, placement_study, replay_study
from topologies.bill.bill import bill_of
from topologies.files.fabric_file import load_fabric
from topologies.html_table import html_table

FABRIC = load_fabric("dgx-h100-superpod-1su")


def test_cells_are_escaped_and_numbers_apart() -> None:
    shown = html_table("<t>", [["<a>", 1234567], [True, 0.123456]], ["x&y", "n"])
    assert "<caption>&lt;t&gt;</caption>" in shown
    assert ">&lt;a&gt;</td>" in shown
    assert ">1,234,567</td>" in shown
    assert ">0.1235</td>" in shown
    assert ">True</td>" in shown
    assert "<th>x&amp;y</th>" in shown


def test_results_show_their_figures() -> None:
    study = placement_study(solvers=("first-fit",))
    shown = study.results[0]._repr_html_()
    assert "first-fit" in shown
    assert "placed_accelerators" in shown
    assert "too-large" in shown
    assert "needs 248 accelerators" in shown
    assert "<td" in study.results[0].score._repr_html_()
    assert ">248</td>" in FABRIC._repr_html_()
    assert "leaf switches qm9700" in bill_of(FABRIC)._repr_html_()
    table = collective_time(FABRIC, np.arange(16), "all-reduce", [2**20, 2**30])
    assert "16 ranks" in table._repr_html_()
    replayed = replay_study()
    result = ReplayResult("f", 248, HOSTILE[0], 1, {}, {}, 2.0, tuple(replayed.outcomes), ())
    assert "<script>" not in result._repr_html_()
    assert "best-fit" in result._repr_html_()


@pytest.mark.parametrize("make", [
    lambda: topology_figure(FABRIC),
    lambda: collective_figure(growing_groups(FABRIC)),
    lambda: placement_map(placement_study(solvers=("first-fit",)).problem, placement_study().results[1].placement),
    lambda: timeline_figure(replay_study().outcomes[0].timeline),
])  # fmt: skip
def test_figures_are_plain_plotly_figures(make: object) -> None:
    figure = make()  # type: ignore[operator]
    assert isinstance(figure, go.Figure)
    assert not {trace.type for trace in figure.data} & {"scattergl", "heatmapgl"}
    figure.update_layout(width=900, title="mine")
    assert figure.layout.title.text == "mine"
