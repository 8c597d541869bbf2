"""The placement map: racks × hosts, coloured and numbered by job."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from planner.placement import Placement
from planner.problem import Problem
from planner.state import Availability
from reports.palette import FREE, JOBS, UNAVAILABLE
from topologies.fabric import Int64s

if TYPE_CHECKING:
    import plotly.graph_objects as go

__all__ = ["placement_map"]

_MOST_ROWS = 150
_MOST_NUMBERED = 1500
_FREE, _PART, _UNAVAILABLE = 0, 1, 2


def placement_map(problem: Problem, placement: Placement) -> go.Figure:
    """Return one cell a host, one row a rack (a leaf group where there are many racks), from the top.

    A cell shows the job with most accelerators on the host by colour and number; hovering tells all of them. A dot is a
    host that is drained, broken or reserved; an empty cell is free.
    """
    import plotly.graph_objects as go

    fabric = problem.fabric
    row, row_label = _rows(problem)
    column = _positions_within(row)
    job_number = {job.id: i + 1 for i, job in enumerate(problem.jobs) if job.id in placement}
    owner = np.zeros(fabric.num_accelerators, np.int64)
    for job_id, accelerators in placement.ranks.items():
        owner[accelerators] = job_number[job_id]
    shape = (len(row_label), int(column.max()) + 1)
    color = np.full(shape, np.nan)
    text = np.full(shape, "", object)
    hover = np.full(shape, "", object)
    palette = [FREE, FREE, UNAVAILABLE, *JOBS]
    for host in range(fabric.num_hosts):
        accelerators = fabric.host_accelerators(host)
        at = row[host], column[host]
        numbers, counts = np.unique(owner[accelerators][owner[accelerators] > 0], return_counts=True)
        availability = problem.state.availability[accelerators]
        free = int(np.count_nonzero((availability == Availability.FREE) & (owner[accelerators] == 0)))
        if len(numbers):
            number = int(numbers[np.argmax(counts)])
            color[at], text[at] = 3 + (number - 1) % len(JOBS), str(number)
        elif free:
            color[at] = _FREE
        else:
            color[at], text[at] = _UNAVAILABLE, "•"
        told = [f"job {n}: {_short(problem.jobs[n - 1].id)}, {c}" for n, c in zip(numbers, counts, strict=True)]
        states = [
            f"{int(np.count_nonzero(availability == a))} {a.name.lower()}"
            for a in Availability
            if a is not Availability.FREE and (availability == a).any()
        ]
        hover[at] = "<br>".join([fabric.host_names[host], *told, *states, f"{free} of {len(accelerators)} free"])
    edges = np.linspace(0, 1, len(palette) + 1)
    scale = [[float(e), c] for c, pair in zip(palette, pairwise(edges), strict=True) for e in pair]
    numbered = fabric.num_hosts <= _MOST_NUMBERED
    figure = go.Figure(
        go.Heatmap(
            z=color,
            text=text if numbered else None,
            texttemplate="%{text}" if numbered else None,
            textfont={"size": 9},
            customdata=hover,
            hovertemplate="%{customdata}<extra></extra>",
            colorscale=scale,
            zmin=-0.5,
            zmax=len(palette) - 0.5,
            showscale=False,
            xgap=1,
            ygap=1,
        )
    )
    figure.update_yaxes(
        autorange="reversed", tickvals=list(range(len(row_label))), ticktext=row_label, showgrid=False, tickfont_size=9
    )
    figure.update_xaxes(title="host in its row", showgrid=False, zeroline=False)
    figure.update_layout(height=min(1600, 120 + 13 * len(row_label)))
    return figure


def _short(text: str, most: int = 60) -> str:
    """Return user's text cut and with plotly's markup signs made harmless."""
    cut = text if len(text) <= most else text[: most - 1] + "…"
    return cut.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _rows(problem: Problem) -> tuple[Int64s, list[str]]:
    """Return the row of each host and the rows' labels: racks, or leaf groups, or blocks of hosts."""
    fabric = problem.fabric
    racks = len(fabric.rack_names)
    if 0 < racks <= _MOST_ROWS and (fabric.host_rack >= 0).all():
        return fabric.host_rack.astype(np.int64), [_short(name, 24) for name in fabric.rack_names]
    if fabric.num_leaf_groups <= _MOST_ROWS and fabric.num_hosts <= 64 * fabric.num_leaf_groups:
        return fabric.host_leaf_group.astype(np.int64), [f"leaf group {g}" for g in range(fabric.num_leaf_groups)]
    width = max(32, -(-fabric.num_hosts // _MOST_ROWS))
    order = np.argsort(fabric.host_leaf_group, kind="stable")
    row = np.empty(fabric.num_hosts, np.int64)
    row[order] = np.arange(fabric.num_hosts) // width
    return row, [f"hosts {i * width} …" for i in range(int(row.max()) + 1)]


def _positions_within(row: Int64s) -> Int64s:
    """Return the position of each host in its row."""
    order = np.argsort(row, kind="stable")
    start = np.concatenate([[0], np.cumsum(np.bincount(row))])
    position = np.empty(len(row), np.int64)
    position[order] = np.arange(len(row)) - start[row[order]]
    return position
