"""How the load lies on each tier: the share of its links in each step of heat, and the tiers' figures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from planner.congestion.report import CongestionReport
from reports.palette import HATCH_OVERLAY, HEAT, HEAT_EDGES, HEAT_NAMES
from topologies.fabric import Fabric, Int64s, LinkKind
from topologies.units import to_gbps

if TYPE_CHECKING:
    import plotly.graph_objects as go

__all__ = ["TierLinks", "tier_figure", "tiers_of"]

_NAMES = {1: "NIC to leaf", 2: "leaf to spine", 3: "spine to core"}


@dataclass(frozen=True, eq=False)
class TierLinks:
    """The links of one tier.

    Attributes
    ----------
    name
        For people.
    links
        Directed links, ``(n,)``.
    gbps
        Capacity of all of them one way, and the spread of one link's rate.
    """

    name: str
    links: Int64s
    total_gbps: float
    low_gbps: float
    high_gbps: float


def tiers_of(fabric: Fabric) -> list[TierLinks]:
    """Return the tiers from the scale-up network outwards; the inside of hosts is left out."""
    found = []
    scale_up = np.flatnonzero(fabric.link_kind == LinkKind.SCALE_UP)
    groups = [("scale-up", scale_up)]
    out = fabric.link_kind == LinkKind.SCALE_OUT
    for tier in np.unique(fabric.link_tier[out]).tolist():
        groups.append((_NAMES.get(tier, f"tier {tier}"), np.flatnonzero(out & (fabric.link_tier == tier))))
    for name, links in groups:
        if len(links):
            rate = fabric.link_capacity_bytes_per_s[links]
            total, low, high = (to_gbps(float(v)) for v in (rate.sum() / 2, rate.min(), rate.max()))
            found.append(TierLinks(name, links, total, low, high))
    return found


def tier_figure(tiers: Sequence[TierLinks], congestion: CongestionReport) -> go.Figure:
    """Return for each tier the share of its links in each step of demand over capacity, as stacked bars."""
    import plotly.graph_objects as go

    figure = go.Figure()
    steps = [
        np.bincount(np.searchsorted(np.array(HEAT_EDGES) + 1e-9, congestion.link_demand_frac[t.links]), minlength=5)
        for t in tiers
    ]
    patterns = ("", "", "/", "x", "+")
    for step, color in enumerate(HEAT):
        counts = [int(s[step]) for s in steps]
        figure.add_bar(
            y=[t.name for t in tiers],
            x=[100 * c / len(t.links) for c, t in zip(counts, tiers, strict=True)],
            customdata=counts,
            orientation="h",
            name=HEAT_NAMES[step],
            marker={"color": color, "pattern": {"shape": patterns[step], **HATCH_OVERLAY}},
            hovertemplate="%{y}: %{customdata:,} links (%{x:.1f} %)<extra>" + HEAT_NAMES[step] + "</extra>",
        )
    figure.update_xaxes(title="share of the tier's links", ticksuffix=" %", range=[0, 100])
    figure.update_layout(
        barmode="stack",
        height=150 + 44 * len(tiers),
        bargap=0.35,
        legend={"orientation": "h", "y": 1.02, "yanchor": "bottom", "traceorder": "normal"},
    )
    return figure
