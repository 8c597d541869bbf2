"""What policies make of a trace: waits by size, idle capacity by cause, and the bill by tenant."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from planner.replay.bill import Bill
from planner.replay.stranded import CAUSES
from reports.figures.text import label
from reports.figures.timeline import CAUSE_STYLE, CAUSE_WORDS, USED_STYLE
from reports.palette import HATCH_OVERLAY, HATCHES, JOBS

if TYPE_CHECKING:
    import plotly.graph_objects as go

__all__ = ["bill_figure", "idle_figure", "time_unit", "waits_figure"]

_MOST_TENANTS = 15
_WIDE = 50
"""Waits further apart than this factor are drawn on a logarithmic axis."""
_UNITS = ((86_400.0, "days"), (3600.0, "hours"), (60.0, "minutes"), (1.0, "seconds"))


def time_unit(longest_s: float) -> tuple[float, str]:
    """Return the largest unit of time, in seconds and by name, in which a time is at least two."""
    return next(((size, name) for size, name in _UNITS if longest_s >= 2 * size), _UNITS[-1])


def waits_figure(waits: Sequence[tuple[str, Mapping[str, float]]], sizes: Sequence[str]) -> go.Figure:
    """Return waits by size class, a bar a policy.

    Parameters
    ----------
    waits
        Policy, and size class → wait in seconds.
    sizes
        Classes in order.
    """
    import plotly.graph_objects as go

    values = {policy: [by_size.get(s, 0.0) for s in sizes] for policy, by_size in waits}
    unit_s, unit = time_unit(max((max(v, default=0.0) for v in values.values()), default=0.0))
    figure = go.Figure()
    for number, (policy, seconds) in enumerate(values.items()):
        name = label(policy, 30)
        figure.add_bar(
            x=list(sizes),
            y=[s / unit_s for s in seconds],
            name=name,
            marker={
                "color": JOBS[number % len(JOBS)],
                "pattern": {"shape": HATCHES[number % len(HATCHES)], **HATCH_OVERLAY},
            },
            hovertemplate=f"%{{y:,.3g}} {unit}, jobs of %{{x}}<extra>{name}</extra>",
        )
    figure.update_xaxes(title="accelerators of the job", type="category")
    waited = [s for v in values.values() for s in v if s > 0]
    wide = bool(waited) and max(waited) > _WIDE * min(waited)
    figure.update_yaxes(title=unit, **({"type": "log", "dtick": 1} if wide else {"rangemode": "tozero"}))
    figure.update_layout(
        barmode="group", height=320, showlegend=True, legend={"orientation": "h", "y": 1.02, "yanchor": "bottom"}
    )
    return figure


def idle_figure(shares: Sequence[tuple[str, float, Mapping[str, float]]]) -> go.Figure:
    """Return a bar a policy: the share of all accelerator time used, and idle by cause.

    Parameters
    ----------
    shares
        Policy, allocated share, and cause → share idle for it.
    """
    import plotly.graph_objects as go

    rows = list(shares)[::-1]
    figure = go.Figure()
    order = [cause for cause in CAUSE_STYLE if cause != "no-demand"] + ["no-demand"]
    series = [("used", [allocated for _, allocated, _ in rows], *USED_STYLE)]
    series += [(cause, [idle.get(cause, 0.0) for _, _, idle in rows], *CAUSE_STYLE[cause]) for cause in order]
    for name, values, color, hatch in series:
        if max(values, default=0.0) < 1e-6:
            continue
        figure.add_bar(
            y=[label(policy, 30) for policy, _, _ in rows],
            x=[100 * v for v in values],
            orientation="h",
            name=CAUSE_WORDS.get(name, name),
            marker={"color": color, "pattern": {"shape": hatch, **HATCH_OVERLAY}},
            hovertemplate="%{y}: %{x:.2f} %<extra>"
            + name
            + (f": {CAUSES[name]}" if name in CAUSES else "")
            + "</extra>",
        )
    figure.update_xaxes(title="share of all accelerator time", ticksuffix=" %", range=[0, 100])
    figure.update_layout(
        barmode="stack",
        bargap=0.35,
        height=190 + 44 * len(rows),
        showlegend=True,
        legend={"orientation": "h", "y": 1.02, "yanchor": "bottom", "traceorder": "normal"},
    )
    return figure


def bill_figure(bill: Bill) -> go.Figure:
    """Return a bar a tenant, the dearest first: what was used, and what was held without use."""
    import plotly.graph_objects as go

    lines = list(bill.lines[:_MOST_TENANTS])
    rest = bill.lines[_MOST_TENANTS:]
    names = [label(line.tenant or "–", 30) for line in lines]
    used, held = [line.used_usd for line in lines], [line.allocated_usd for line in lines]
    if rest:
        names.append(f"{len(rest):,} more")
        used.append(sum(line.used_usd for line in rest))
        held.append(sum(line.allocated_usd for line in rest))
    figure = go.Figure()
    parts = (
        ("used", used, USED_STYLE[0], ""),
        ("held, not useful", [max(h - u, 0.0) for h, u in zip(held, used, strict=True)], JOBS[1], "/"),
    )
    for name, values, color, hatch in parts:
        figure.add_bar(
            y=names[::-1],
            x=values[::-1],
            orientation="h",
            name=name,
            marker={"color": color, "pattern": {"shape": hatch, **HATCH_OVERLAY}},
            hovertemplate="%{y}: %{x:,.0f} US$<extra>" + name + "</extra>",
        )
    figure.update_xaxes(title="US$", rangemode="tozero", nticks=6)
    figure.update_yaxes(type="category")
    figure.update_layout(
        barmode="stack",
        bargap=0.35,
        height=150 + 30 * len(names),
        showlegend=True,
        legend={"orientation": "h", "y": 1.02, "yanchor": "bottom"},
    )
    return figure
