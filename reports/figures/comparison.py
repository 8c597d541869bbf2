"""Solvers side by side, and the slow-down of each job."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from planner.result import Result
from reports.palette import DASHES, JOBS

if TYPE_CHECKING:
    import plotly.graph_objects as go

__all__ = ["slowdown_figure"]


def slowdown_figure(results: Sequence[Result]) -> go.Figure:
    """Return for each solver the jobs' slow-downs, the worst first: communication time beside the others over alone."""
    import plotly.graph_objects as go

    figure = go.Figure()
    for i, result in enumerate(results):
        slowdown = np.sort(result.score.congestion.slowdown())[::-1]
        figure.add_scatter(
            x=np.arange(1, len(slowdown) + 1),
            y=slowdown,
            mode="lines",
            line={"color": JOBS[i % len(JOBS)], "dash": DASHES[i % len(DASHES)], "shape": "hv", "width": 2.5},
            name=result.solver,
            hovertemplate="%{y:.3f}× for job number %{x}<extra>" + result.solver + "</extra>",
        )
    figure.update_xaxes(title="jobs, the slowest first", type="log")
    figure.update_yaxes(title="slow-down by the others", rangemode="tozero", ticksuffix="×")
    figure.update_layout(height=340, legend={"orientation": "h", "y": 1.12})
    return figure
