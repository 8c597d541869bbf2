"""The placement map: racks × hosts, coloured and numbered by job; what is free, stranded by cause, and moved."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from planner.job import Job
from planner.placement import Placement
from planner.problem import Problem
from planner.state import Availability
from reports.figures.text import label
from reports.palette import FREE, JOBS, UNAVAILABLE
from topologies.fabric import Int64s

if TYPE_CHECKING:
    import plotly.graph_objects as go

__all__ = ["idle_by_cause", "moved_jobs", "placement_map"]

_MOST_ROWS = 150
_MOST_NUMBERED = 1500
_FREE, _UNAVAILABLE, _JOB = 0, 1, 2
_SIGN = "#5C6B7A"
"""Seen on light and on dark, 3 to 1 or more."""
CAUSES = ("free", "scattered", "not enough", "not available")
_WORDS = {
    "scattered": "stranded: too few together",
    "not enough": "stranded: not enough in one place",
    "not available": "not available",
}
_SIGNS = {"scattered": "line-ne-open", "not enough": "line-nw-open", "not available": "x-thin-open"}


def idle_by_cause(problem: Problem, placement: Placement, refused: Sequence[Job]) -> dict[str, Int64s]:
    """Return idle accelerators on each host by what keeps the jobs that are not placed from them, each ``(H,)``.

    ``scattered``: fewer are free on the host than any of these jobs takes of one; ``not enough``: some job would take
    them, but does not find enough where it may go; ``free``: no job is left over; ``not available``: taken before,
    drained, broken or reserved.
    """
    fabric = problem.fabric
    used = np.zeros(fabric.num_accelerators, bool)
    for ranks in (*placement.ranks.values(), *placement.spares.values()):
        used[ranks] = True
    is_free = (problem.state.availability == Availability.FREE) & ~used
    host = fabric.accelerator_host
    free = np.bincount(host[is_free], minlength=fabric.num_hosts).astype(np.int64)
    away = np.bincount(host[~is_free & ~used], minlength=fabric.num_hosts).astype(np.int64)
    none = np.zeros_like(free)
    if not refused:
        return {"free": free, "scattered": none, "not enough": none, "not available": away}
    largest = int(fabric.host_num_accelerators.max(initial=0))
    least = min(job.accelerators_per_host or min(job.accelerators, largest) for job in refused)
    scattered = np.where(free < least, free, 0)
    return {"free": none, "scattered": scattered, "not enough": free - scattered, "not available": away}


def moved_jobs(before: Placement, after: Placement) -> list[str]:
    """Return the jobs that stand on other accelerators after than before, in the order of `before`."""
    return [
        job_id
        for job_id, ranks in before.ranks.items()
        if job_id in after and not np.array_equal(np.sort(ranks), np.sort(after.ranks[job_id]))
    ]


def placement_map(
    problem: Problem, placement: Placement, *, refused: Sequence[Job] = (), moved: Sequence[str] = ()
) -> go.Figure:
    """Return one cell a host, one row a rack (a leaf group where there are many racks), from the top.

    A cell shows the job with most accelerators on the host by colour and number; hovering tells all of them. Hatches
    tell why the rest is idle; an empty cell is free.

    Parameters
    ----------
    refused
        Jobs that are not placed: what is free is stranded for them.
    moved
        Jobs to ring.
    """
    import plotly.graph_objects as go

    fabric = problem.fabric
    row, row_label = _rows(problem)
    column = _positions_within(row)
    job_number = {job.id: i + 1 for i, job in enumerate(problem.jobs) if job.id in placement}
    owner = np.zeros(fabric.num_accelerators, np.int64)
    for job_id, accelerators in placement.ranks.items():
        owner[accelerators] = job_number[job_id]
    idle = idle_by_cause(problem, placement, refused)
    shape = (len(row_label), int(column.max()) + 1)
    color = np.full(shape, np.nan)
    text = np.full(shape, "", object)
    hover = np.full(shape, "", object)
    marked: dict[str, list[tuple[int, int]]] = {cause: [] for cause in _WORDS}
    ringed: list[tuple[int, int]] = []
    rings = {job_number[job_id] for job_id in moved if job_id in job_number}
    palette = [FREE, UNAVAILABLE, *JOBS]
    for host in range(fabric.num_hosts):
        accelerators = fabric.host_accelerators(host)
        at = int(row[host]), int(column[host])
        numbers, counts = np.unique(owner[accelerators][owner[accelerators] > 0], return_counts=True)
        whole = {cause: int(idle[cause][host]) for cause in CAUSES}
        if len(numbers):
            number = int(numbers[np.argmax(counts)])
            color[at], text[at] = _JOB + (number - 1) % len(JOBS), str(number)
            if rings.intersection(numbers.tolist()):
                ringed.append(at)
        else:
            most = max(CAUSES, key=lambda cause: whole[cause])
            color[at] = _UNAVAILABLE if most == "not available" else _FREE
            if most in marked:
                marked[most].append(at)
        told = [f"job {n}: {label(problem.jobs[n - 1].id)}, {c}" for n, c in zip(numbers, counts, strict=True)]
        availability = problem.state.availability[accelerators]
        told += [
            f"{int(np.count_nonzero(availability == a))} {a.name.lower()}"
            for a in Availability
            if a is not Availability.FREE and (availability == a).any()
        ]
        told += [f"{whole[c]} {_WORDS[c]}" for c in ("scattered", "not enough") if whole[c]]
        left = len(accelerators) - int(counts.sum()) - whole["not available"]
        hover[at] = "<br>".join([label(fabric.host_names[host]), *told, f"{left} of {len(accelerators)} free"])
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
    for cause, cells in marked.items():
        _signs(figure, cells, _WORDS[cause], _SIGNS[cause])
    _signs(figure, ringed, "moves", "circle-open")
    figure.update_yaxes(
        range=[shape[0] - 0.5, -0.5],
        tickvals=list(range(len(row_label))),
        ticktext=row_label,
        showgrid=False,
        tickfont_size=9,
    )
    step = max(1, shape[1] // 16)
    figure.update_xaxes(
        title="host in its row", showgrid=False, zeroline=False, tick0=0, dtick=step, range=[-0.5, shape[1] - 0.5]
    )
    figure.update_layout(
        height=min(1600, 150 + 13 * len(row_label)), legend={"orientation": "h", "y": 1.02, "yanchor": "bottom"}
    )
    return figure


def _signs(figure: go.Figure, cells: Sequence[tuple[int, int]], name: str, symbol: str) -> None:
    if cells:
        figure.add_scatter(
            x=[at[1] for at in cells],
            y=[at[0] for at in cells],
            mode="markers",
            name=name,
            marker={"symbol": symbol, "size": 9, "color": _SIGN, "line": {"width": 1.8, "color": _SIGN}},
            hoverinfo="skip",
            showlegend=True,
        )


def _rows(problem: Problem) -> tuple[Int64s, list[str]]:
    """Return the row of each host and the rows' labels: racks, or leaf groups, or blocks of hosts."""
    fabric = problem.fabric
    racks = len(fabric.rack_names)
    if 0 < racks <= _MOST_ROWS and (fabric.host_rack >= 0).all():
        return fabric.host_rack.astype(np.int64), [label(name, 24) for name in fabric.rack_names]
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
