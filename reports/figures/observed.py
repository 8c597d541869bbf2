"""Slurm's own choices beside the planned ones: by job size, and over time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from reports.palette import HATCH_OVERLAY, JOBS, series_style

if TYPE_CHECKING:
    import plotly.graph_objects as go

__all__ = ["saved_by_size_figure", "saved_over_time_figure"]

_SLURM, _PLANNED = (JOBS[1], "/"), (JOBS[0], "")


def saved_by_size_figure(sizes: Sequence[str], slurm: Sequence[float], planned: Sequence[float]) -> go.Figure:
    """Return leaf switches a job touches on average, by its nodes: Slurm's choice beside the planned one."""
    import plotly.graph_objects as go

    figure = go.Figure()
    for name, values, (color, hatch) in (("Slurm", slurm, _SLURM), ("planned", planned, _PLANNED)):
        figure.add_bar(
            x=list(sizes),
            y=list(values),
            name=name,
            marker={"color": color, "pattern": {"shape": hatch, **HATCH_OVERLAY}},
            hovertemplate="%{y:.2f} leaf switches, jobs of %{x} nodes<extra>" + name + "</extra>",
        )
    figure.update_xaxes(title="nodes of the job", type="category")
    figure.update_yaxes(title="leaf switches a job", rangemode="tozero")
    figure.update_layout(
        barmode="group", height=340, showlegend=True, legend={"orientation": "h", "y": 1.02, "yanchor": "bottom"}
    )
    return figure


def saved_over_time_figure(
    at_s: npt.NDArray[np.float64], slurm: npt.NDArray[np.float64], planned: npt.NDArray[np.float64]
) -> go.Figure:
    """Return ring edges that leave a leaf, added up over the jobs as they start: Slurm's beside the planned.

    Parameters
    ----------
    at_s
        ``(n,)`` when each job started, seconds since 1970, rising.
    slurm, planned
        ``(n,)`` edges of each.
    """
    import plotly.graph_objects as go

    figure = go.Figure()
    hours = (at_s - at_s[0]) / 3600 if len(at_s) else at_s
    for number, (name, values) in ((1, ("Slurm", slurm)), (0, ("planned", planned))):
        figure.add_scatter(
            x=hours,
            y=np.cumsum(values),
            mode="lines",
            name=name,
            line={**series_style(number)["line"], "shape": "hv"},
            hovertemplate="%{y:,.0f} by hour %{x:.2f}<extra>" + name + "</extra>",
        )
    figure.update_xaxes(title="hours since the first job", rangemode="tozero")
    figure.update_yaxes(title="edges that leave a leaf", rangemode="tozero")
    figure.update_layout(height=340, showlegend=True, legend={"orientation": "h", "y": 1.02, "yanchor": "bottom"})
    return figure
