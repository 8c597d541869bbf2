"""Bus bandwidth of a collective against its size, for growing groups of accelerators."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from planner.collectives.collective import CollectiveTable, collective_times
from planner.collectives.definitions import busbw_bytes_per_s
from planner.collectives.measured.calibrate import ComparedRow
from reports.palette import DASHES, JOBS, SYMBOLS
from topologies.errors import ScaleplanError
from topologies.fabric import Fabric, Int64s

if TYPE_CHECKING:
    import plotly.graph_objects as go

__all__ = ["collective_figure", "growing_groups", "measured_figure"]

_SIZES = 2.0 ** np.arange(10, 35)
_MOST_RANKS = 1024


def growing_groups(fabric: Fabric, collective: str = "all-reduce") -> CollectiveTable | None:
    """Return the times on the first host, scale-up domain, leaf group, and up to 1,024 accelerators, each alone.

    None if the model has no answer on this fabric.
    """
    host_of = fabric.accelerator_host
    candidates = [
        fabric.host_accelerators(0),
        np.flatnonzero(fabric.accelerator_domain == fabric.accelerator_domain[0]),
        np.flatnonzero(host_of < 2),
        np.flatnonzero(fabric.host_leaf_group[host_of] == fabric.host_leaf_group[0]),
        np.arange(fabric.num_accelerators),
    ]
    groups: dict[int, Int64s] = {}
    for members in candidates:
        whole = members[: _MOST_RANKS * (len(members) > _MOST_RANKS) or None]
        if len(whole) > 1:
            groups.setdefault(len(whole), whole)
    try:
        return collective_times(fabric, [groups[n] for n in sorted(groups)], collective, _SIZES)
    except ScaleplanError:
        return None


def collective_figure(table: CollectiveTable) -> go.Figure:
    """Return busbw against size, a line a group."""
    import plotly.graph_objects as go

    figure = go.Figure()
    busbw = table.busbw_bytes_per_s / 1e9
    for g, ranks in enumerate(table.num_ranks.tolist()):
        figure.add_scatter(
            x=table.size_bytes,
            y=busbw[g],
            mode="lines+markers",
            name=f"{ranks:,} accelerators",
            line={"color": JOBS[g % len(JOBS)], "dash": DASHES[g % len(DASHES)], "width": 2.5},
            marker={"symbol": SYMBOLS[g % len(SYMBOLS)], "size": 6},
            customdata=[f"{a} {p}".strip() for a, p in zip(table.algorithm[g], table.protocol[g], strict=True)],
            hovertemplate="%{y:.1f} GB/s at %{x} B<br>%{customdata}<extra>" + f"{ranks:,} accelerators</extra>",
        )
    return _with_axes(figure)


def measured_figure(rows: Sequence[ComparedRow]) -> go.Figure:
    """Return measured busbw as marks and the model's as a line, against size; one colour a test."""
    import plotly.graph_objects as go

    figure = go.Figure()
    tests = list(dict.fromkeys((row.where, row.collective, row.num_ranks) for row in rows))
    for number, (where, collective, ranks) in enumerate(tests):
        own = sorted(
            (r for r in rows if (r.where, r.collective, r.num_ranks) == (where, collective, ranks)),
            key=lambda r: r.size_bytes,
        )
        size = np.array([row.size_bytes for row in own], np.float64)
        name, color = f"{collective}, {ranks:,} ranks", JOBS[number % len(JOBS)]
        measured, predicted = (
            busbw_bytes_per_s(collective, size, np.array(times), ranks) / 1e9
            for times in ([row.measured_s for row in own], [row.predicted_s for row in own])
        )
        figure.add_scatter(
            x=size,
            y=predicted,
            mode="lines",
            name=f"{name}: model",
            line={"color": color, "dash": DASHES[number % len(DASHES)], "width": 2.5},
            customdata=[f"{row.algorithm} {row.protocol}".strip() for row in own],
            hovertemplate="%{y:.1f} GB/s by the model<br>%{customdata}<extra>" + name + "</extra>",
        )
        figure.add_scatter(
            x=size,
            y=measured,
            mode="markers",
            name=f"{name}: measured",
            marker={"symbol": SYMBOLS[number % len(SYMBOLS)], "size": 8, "color": color},
            customdata=[f"{row.error_frac:+.1%}" for row in own],
            hovertemplate="%{y:.1f} GB/s measured; model's time %{customdata}<extra>" + name + "</extra>",
        )
    return _with_axes(figure)


def _with_axes(figure: go.Figure) -> go.Figure:
    marks = 2 ** np.arange(10, 35, 4)
    names = ["1 KiB", "16 KiB", "256 KiB", "4 MiB", "64 MiB", "1 GiB", "16 GiB"]
    figure.update_xaxes(title="size", type="log", tickvals=marks, ticktext=names)
    figure.update_yaxes(title="busbw, GB/s", rangemode="tozero")
    figure.update_layout(height=400, legend={"orientation": "h", "y": 1.02, "yanchor": "bottom"})
    return figure
