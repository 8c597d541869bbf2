"""Who waits for whom on the network: slow-down by job, and what ECMP's hashing makes of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from reports.figures.text import label
from reports.palette import JOBS

if TYPE_CHECKING:
    import plotly.graph_objects as go

__all__ = ["busiest_uplink_figure", "ecmp_figure", "slowdown_range_figure"]

Float64s = npt.NDArray[np.float64]

_ROW_PX = 22
_LINE = "#7d8b99"


def slowdown_range_figure(names: Sequence[str], expected: Float64s, worst: Float64s) -> go.Figure:
    """Return a row a job, from the slow-down to be expected to the one when all communicate at once.

    Parameters
    ----------
    names
        Of the jobs, the slowest first.
    expected, worst
        ``(J,)`` communication time over that alone.
    """
    return _ranges(
        names,
        [("expected", expected, "circle-open", JOBS[0]), ("all at once", worst, "circle", JOBS[5])],
        "network time over the time alone",
    )


def ecmp_figure(names: Sequence[str], quantiles: Float64s) -> go.Figure:
    """Return a row a job: median, p90 and p99 over draws of its time over that with even spraying.

    Parameters
    ----------
    quantiles
        ``(3, J)``, jobs in the order of `names`.
    """
    marks = [("median", "circle", JOBS[0]), ("p90", "square", JOBS[1]), ("p99", "diamond", JOBS[5])]
    series = [(name, quantiles[i], symbol, color) for i, (name, symbol, color) in enumerate(marks)]
    return _ranges(names, series, "network time over that with even spraying")


def _ranges(names: Sequence[str], series: Sequence[tuple[str, Float64s, str, str]], title: str) -> go.Figure:
    import plotly.graph_objects as go

    rows = list(range(len(names)))[::-1]
    low, high = (np.array([values for _, values, _, _ in series]).min(0), np.array([v for _, v, _, _ in series]).max(0))
    figure = go.Figure()
    figure.add_scatter(
        x=np.column_stack([low, high, np.full(len(rows), np.nan)]).ravel(),
        y=np.column_stack([rows, rows, np.full(len(rows), np.nan)]).ravel(),
        mode="lines",
        line={"color": _LINE, "width": 2},
        hoverinfo="skip",
        showlegend=False,
    )
    for name, values, symbol, color in series:
        figure.add_scatter(
            x=values,
            y=rows,
            mode="markers",
            name=name,
            marker={"symbol": symbol, "size": 10, "color": color, "line": {"width": 2, "color": color}},
            customdata=[label(text) for text in names],
            hovertemplate="%{customdata}: %{x:.3f}×<extra>" + name + "</extra>",
        )
    figure.add_vline(x=1, line={"color": _LINE, "width": 1, "dash": "dot"})
    figure.update_yaxes(
        tickvals=rows, ticktext=[label(text, 26) for text in names], range=[-0.7, len(rows) - 0.3], zeroline=False
    )
    figure.update_xaxes(title=title, ticksuffix="×", nticks=7)
    height = 130 + _ROW_PX * len(rows)
    figure.update_layout(height=height, legend={"orientation": "h", "y": 1.02, "yanchor": "bottom"})
    return figure


def busiest_uplink_figure(busiest_to_mean: Float64s) -> go.Figure:
    """Return how often the busiest uplink of a leaf carries how many times the mean, over draws of the hashes."""
    import plotly.graph_objects as go

    counts, edges = np.histogram(busiest_to_mean, bins=24)
    figure = go.Figure()
    figure.add_bar(
        x=(edges[:-1] + edges[1:]) / 2,
        y=counts,
        width=np.diff(edges) * 0.92,
        marker={"color": JOBS[4]},
        hovertemplate="%{y} draws at %{x:.2f}×<extra></extra>",
        showlegend=False,
    )
    for name, at, dash, color in (
        ("median", 0.5, "solid", JOBS[0]), ("p90", 0.9, "dash", JOBS[1]), ("p99", 0.99, "dot", JOBS[5])
    ):  # fmt: skip
        value = float(np.quantile(busiest_to_mean, at))
        figure.add_scatter(
            x=[value, value],
            y=[0, int(counts.max())],
            mode="lines",
            name=f"{name} {value:.2f}×",
            line={"color": color, "width": 3, "dash": dash},
            hoverinfo="name",
        )
    figure.update_xaxes(title="busiest uplink over the mean of its leaf", ticksuffix="×")
    figure.update_yaxes(title="draws")
    figure.update_layout(height=340, legend={"orientation": "h", "y": 1.02, "yanchor": "bottom"})
    return figure
