"""Accelerators over time: used, free, stranded by cause, down; and the jobs in line."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from planner.replay.timeline import Timeline
from reports.figures.text import label
from reports.palette import FREE, HATCH_OVERLAY, JOBS, UNAVAILABLE, series_style

if TYPE_CHECKING:
    import plotly.graph_objects as go

__all__ = ["CAUSE_STYLE", "CAUSE_WORDS", "USED_STYLE", "queue_figure", "timeline_figure"]

USED_STYLE = (JOBS[0], "")
CAUSE_STYLE: Mapping[str, tuple[str, str]] = {
    "no-demand": (FREE, ""),
    "launching": (JOBS[2], "/"),
    "gang-held": (JOBS[2], "\\"),
    "spare-replica": (JOBS[2], "."),
    "reserved": (JOBS[7], "x"),
    "isolation": (JOBS[7], "|"),
    "spread": (JOBS[1], "+"),
    "down": (UNAVAILABLE, "x"),
    "fragmented": (JOBS[5], "/"),
    "gang": (JOBS[1], "\\"),
    "order": (JOBS[3], "."),
    "quota": (JOBS[7], "-"),
    "wrong-kind": (JOBS[4], "|"),
    "memory": (JOBS[6], "+"),
    "processor": (JOBS[8], "/"),
}
"""Cause → colour and hatch, the same in every figure."""
CAUSE_WORDS: Mapping[str, str] = {
    "no-demand": "free: nobody waits",
    "down": "down",
    "launching": "held by jobs that have not launched",
    "gang-held": "held by gangs that are not complete",
    "spare-replica": "held by replicas without requests",
    "reserved": "kept for a reservation",
    "isolation": "kept from other tenants",
    "spread": "too far apart",
    "wrong-kind": "of a kind not asked for",
    "memory": "short of memory",
    "processor": "short of processors",
    "quota": "kept back by a quota",
    "fragmented": "too scattered over hosts",
    "gang": "waiting for the rest of a gang",
    "order": "kept back by the order of the line",
}
"""Cause → in few words."""
_DAY_S = 86_400.0


def timeline_figure(timeline: Timeline) -> go.Figure:
    """Return accelerators stacked: used first, then idle by cause, then free; the time in days since the start."""
    import plotly.graph_objects as go

    figure = go.Figure()
    x = np.array(timeline.middle_s) / _DAY_S
    series = [("used", timeline.working, *USED_STYLE)]
    shown = [cause for cause in CAUSE_STYLE if cause != "no-demand"] + ["no-demand"]
    for cause in shown:
        amount = timeline.idle.get(cause)
        if amount is not None and max(amount, default=0.0) > 0:
            series.append((CAUSE_WORDS[cause], amount, *CAUSE_STYLE[cause]))
    for name, amount, color, hatch in series:
        pattern = {"shape": hatch, **HATCH_OVERLAY} if hatch else {"shape": ""}
        figure.add_scatter(
            x=x,
            y=np.round(amount, 2),
            stackgroup="all",
            mode="lines",
            line={"width": 0.4, "color": color, "shape": "hv"},
            fillcolor=color,
            fillpattern=pattern,
            name=name,
            hovertemplate="%{y:,.0f}<extra>" + name + "</extra>",
        )
    capacity = max((sum(parts) for parts in zip(timeline.working, *timeline.idle.values(), strict=True)), default=1.0)
    figure.update_xaxes(title="days since the start", nticks=12)
    figure.update_yaxes(title="accelerators", range=[0, capacity])
    figure.update_layout(
        height=430,
        hovermode="x unified",
        legend={"orientation": "h", "y": -0.22, "yanchor": "top", "traceorder": "normal"},
    )
    return figure


def queue_figure(timelines: Sequence[tuple[str, Timeline]]) -> go.Figure:
    """Return the number of jobs in line over time, a line a policy."""
    import plotly.graph_objects as go

    figure = go.Figure()
    for number, (policy, timeline) in enumerate(timelines):
        name = label(policy, 30)
        figure.add_scatter(
            x=np.array(timeline.middle_s) / _DAY_S,
            y=np.round(timeline.waiting_jobs, 2),
            mode="lines",
            name=name,
            line={**series_style(number)["line"], "width": 2},
            hovertemplate="%{y:,.1f} jobs wait on day %{x:.2f}<extra>" + name + "</extra>",
        )
    figure.update_xaxes(title="days since the start", nticks=12)
    figure.update_yaxes(title="jobs in line", rangemode="tozero")
    figure.update_layout(height=320, showlegend=True, legend={"orientation": "h", "y": 1.02, "yanchor": "bottom"})
    return figure
