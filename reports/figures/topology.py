"""The fabric drawn by tiers, links by heat; alike switches drawn as one where there are many."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from planner.congestion.report import CongestionReport
from reports.palette import HEAT, HEAT_NAMES, heat_step
from topologies.fabric import Fabric, Float64s, Int64s, LinkKind, NodeKind

if TYPE_CHECKING:
    import plotly.graph_objects as go

__all__ = ["topology_figure"]

_MOST_NODES = 420
_MOST_EDGES = 6000
_TIERS = {0: "hosts", 1: "leaf", 2: "spine", 3: "core"}


@dataclass(frozen=True, eq=False)
class _Drawing:
    """Nodes and edges to draw.

    Attributes
    ----------
    label, tier
        ``(n,)``.
    source, target, demand_frac, num_cables
        ``(e,)`` of undirected edges.
    """

    label: list[str]
    tier: Int64s
    source: Int64s
    target: Int64s
    demand_frac: Float64s
    num_cables: Int64s


def topology_figure(fabric: Fabric, congestion: CongestionReport | None = None) -> go.Figure:
    """Return the switches by tier with leaf groups below, links coloured by demand over capacity.

    Parameters
    ----------
    congestion
        Whose demand to draw; without it, links carry none.
    """
    import plotly.graph_objects as go

    drawing = _drawing(fabric, congestion)
    x = _positions(drawing)
    y = drawing.tier.astype(float)
    figure = go.Figure()
    steps = np.array([heat_step(value) for value in drawing.demand_frac], np.int64)
    for step, color in enumerate(HEAT):
        chosen = np.flatnonzero(steps == step)
        if not len(chosen):
            continue
        ends = np.stack([drawing.source[chosen], drawing.target[chosen]], axis=1)
        xs = np.column_stack([x[ends], np.full(len(chosen), np.nan)]).ravel()
        ys = np.column_stack([y[ends], np.full(len(chosen), np.nan)]).ravel()
        figure.add_scatter(
            x=xs,
            y=ys,
            mode="lines",
            line={"color": color, "width": 0.6 + 0.7 * step},
            name=HEAT_NAMES[step],
            hoverinfo="skip",
        )
    order = np.argsort(-drawing.demand_frac, kind="stable")[:400]
    middle_x = (x[drawing.source[order]] + x[drawing.target[order]]) / 2
    middle_y = (y[drawing.source[order]] + y[drawing.target[order]]) / 2
    figure.add_scatter(
        x=middle_x,
        y=middle_y,
        mode="markers",
        marker={"size": 9, "opacity": 0},
        hovertext=[
            f"{drawing.label[drawing.source[e]]} – {drawing.label[drawing.target[e]]}<br>"
            f"demand {drawing.demand_frac[e]:.0%} of capacity, {drawing.num_cables[e]} cables"
            for e in order.tolist()
        ],
        hoverinfo="text",
        showlegend=False,
    )
    figure.add_scatter(
        x=x,
        y=y,
        mode="markers",
        marker={"size": 8, "symbol": "square", "color": "#33475b", "line": {"width": 1, "color": "#ffffff"}},
        hovertext=drawing.label,
        hoverinfo="text",
        name="switches and leaf groups",
        showlegend=False,
    )
    tiers = sorted(set(drawing.tier.tolist()))
    figure.update_yaxes(
        tickvals=tiers, ticktext=[_TIERS.get(t, f"tier {t}") for t in tiers], zeroline=False, showgrid=False
    )
    figure.update_xaxes(visible=False)
    figure.update_layout(height=460, legend={"title": {"text": "demand on the link"}, "orientation": "h", "y": -0.08})
    return figure


def _drawing(fabric: Fabric, congestion: CongestionReport | None) -> _Drawing:
    """Return what to draw: every switch if they are few, else one mark for all of a tier and pod or leaf group."""
    node, label, tier = _marks(fabric)
    out = np.flatnonzero(fabric.link_kind == LinkKind.SCALE_OUT)
    demand = np.zeros(fabric.num_links) if congestion is None else congestion.link_demand_frac
    a, b = node[fabric.link_source[out]], node[fabric.link_target[out]]
    low, high = np.minimum(a, b), np.maximum(a, b)
    keep = (low >= 0) & (low != high)
    key = low[keep] * np.int64(len(label)) + high[keep]
    pairs, inverse = np.unique(key, return_inverse=True)
    worst = np.zeros(len(pairs))
    np.maximum.at(worst, inverse.ravel(), demand[out][keep])
    cables = np.bincount(inverse.ravel(), minlength=len(pairs)) // 2
    if len(pairs) > _MOST_EDGES:
        chosen = np.sort(np.argsort(-worst, kind="stable")[:_MOST_EDGES])
        pairs, worst, cables = pairs[chosen], worst[chosen], cables[chosen]
    return _Drawing(label, tier, pairs // len(label), pairs % len(label), worst, np.maximum(cables, 1))


def _marks(fabric: Fabric) -> tuple[Int64s, list[str], Int64s]:
    """Return the mark of each node ``(num_nodes,)`` (−1 for none), and label and tier of each mark."""
    mark = np.full(fabric.num_nodes, -1, np.int64)
    groups = fabric.num_leaf_groups
    first = fabric.num_accelerators
    mark[first : first + fabric.num_nics] = fabric.host_leaf_group[fabric.nic_host]
    hosts = np.bincount(fabric.host_leaf_group, minlength=groups)
    gpus = np.bincount(fabric.host_leaf_group, weights=fabric.host_num_accelerators, minlength=groups).astype(int)
    label = [f"leaf group {g}: {hosts[g]} hosts, {gpus[g]} accelerators" for g in range(groups)]
    tier = [0] * groups
    switches = np.flatnonzero(fabric.node_kind == NodeKind.SWITCH)
    if len(switches) + groups <= _MOST_NODES:
        mark[switches] = groups + np.arange(len(switches))
        label += [fabric.node_names[s] for s in switches.tolist()]
        tier += fabric.node_tier[switches].tolist()
        return mark, label, np.array(tier, np.int64)
    pod_of_leaf = np.full(fabric.num_nodes, -1, np.int64)
    group_of_leaf = np.full(fabric.num_nodes, -1, np.int64)
    leaf = fabric.nic_leaf
    pod_of_leaf[leaf[leaf >= 0]] = fabric.host_pod[fabric.nic_host[leaf >= 0]]
    group_of_leaf[leaf[leaf >= 0]] = fabric.host_leaf_group[fabric.nic_host[leaf >= 0]]
    up = fabric.node_kind[fabric.link_target] == NodeKind.SWITCH
    spine_pod = pod_of_leaf.copy()
    from_leaf = up & (pod_of_leaf[fabric.link_source] >= 0) & (fabric.node_tier[fabric.link_target] == 2)
    spine_pod[fabric.link_target[from_leaf]] = pod_of_leaf[fabric.link_source[from_leaf]]
    place = np.where(fabric.node_tier == 1, group_of_leaf, np.where(fabric.node_tier == 2, spine_pod, -1))
    keys = np.stack([fabric.node_tier[switches].astype(np.int64), place[switches]], axis=1)
    rows, inverse, count = np.unique(keys, axis=0, return_inverse=True, return_counts=True)
    mark[switches] = groups + inverse.ravel()
    for (t, where), n in zip(rows.tolist(), count.tolist(), strict=True):
        place_name = {1: f" of leaf group {where}", 2: f" of pod {where}"}.get(t, "") if where >= 0 else ""
        label.append(f"{n} {_TIERS.get(t, f'tier {t}')} switches{place_name}")
        tier.append(t)
    return mark, label, np.array(tier, np.int64)


def _positions(drawing: _Drawing) -> Float64s:
    """Return x of each mark, 0 to 1: each tier spread evenly, a mark near those it hangs on below."""
    x = np.zeros(len(drawing.label))
    for tier in sorted(set(drawing.tier.tolist())):
        members = np.flatnonzero(drawing.tier == tier)
        wish = np.arange(len(members), dtype=float)
        if tier > 0:
            low = np.where(drawing.tier[drawing.source] < drawing.tier[drawing.target], drawing.source, drawing.target)
            high = drawing.source + drawing.target - low
            total = np.bincount(high, weights=x[low], minlength=len(x))
            count = np.bincount(high, minlength=len(x))
            wish = np.where(count[members] > 0, total[members] / np.maximum(count[members], 1), 0.5)
        order = np.argsort(wish, kind="stable")
        x[members[order]] = (np.arange(len(members)) + 0.5) / len(members)
    return x
