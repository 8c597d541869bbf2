"""Bus bandwidth of a collective against its size, for growing groups of accelerators."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from planner.collectives.collective import CollectiveTable, collective_times
from reports.palette import JOBS
from topologies.errors import ScaleplanError
from topologies.fabric import Fabric, Int64s

if TYPE_CHECKING:
    import plotly.graph_objects as go

__all__ = ["collective_figure", "growing_groups"]

_SIZES = 2.0 ** np.arange(10, 35)
_MOST_RANKS = 1024
_DASHES = ("solid", "dash", "dot", "dashdot", "longdash", "longdashdot")
_SYMBOLS = ("circle", "square", "diamond", "triangle-up", "x", "star")


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
            line={"color": JOBS[g % len(JOBS)], "dash": _DASHES[g % len(_DASHES)], "width": 2.5},
            marker={"symbol": _SYMBOLS[g % len(_SYMBOLS)], "size": 6},
            customdata=[f"{a} {p}".strip() for a, p in zip(table.algorithm[g], table.protocol[g], strict=True)],
            hovertemplate="%{y:.1f} GB/s at %{x} B<br>%{customdata}<extra>" + f"{ranks:,} accelerators</extra>",
        )
    marks = 2 ** np.arange(10, 35, 4)
    names = ["1 KiB", "16 KiB", "256 KiB", "4 MiB", "64 MiB", "1 GiB", "16 GiB"]
    figure.update_xaxes(title="size", type="log", tickvals=marks, ticktext=names)
    figure.update_yaxes(title="busbw, GB/s", rangemode="tozero")
    figure.update_layout(height=380, legend={"orientation": "h", "y": 1.02, "yanchor": "bottom"})
    return figure
