"""The objective of the counts model: priority-weighted accelerators first, then spread, then uplinks that overflow."""

from __future__ import annotations

from typing import Any

import numpy as np

from solvers.cp_sat.classes import HostClasses, Request
from solvers.cp_sat.constraints import Constraints
from solvers.cp_sat.variables import Variables
from topologies.fabric import Fabric, Float64s, LinkKind, NodeKind

__all__ = ["WEIGHT_SCALE", "move_cost", "placed_weight", "spread_penalty", "uplink_rings"]

WEIGHT_SCALE = 1000  # CP-SAT counts in whole numbers: priorities are kept to a thousandth
_OVERFLOW_COST = 20  # an uplink bundle with one ring too many counts as much as that many further leaf groups


def placed_weight(variables: Variables, asked: list[Request]) -> Any:
    """Return Σ priority × accelerators of placed jobs, in units of 1 / WEIGHT_SCALE."""
    return sum(
        round(request.job.weight * WEIGHT_SCALE) * placed
        for request, placed in zip(asked, variables.placed, strict=True)
    )


def move_cost(variables: Variables, asked: list[Request]) -> Any:
    """Return Σ cost of the running jobs that move, in units of 1 / WEIGHT_SCALE."""
    return sum(
        round(asked[r].job.move_cost * asked[r].job.accelerators * WEIGHT_SCALE) * stay.moves
        for r, stay in variables.stays.items()
    )


def uplink_rings(fabric: Fabric) -> Float64s:
    """Return how many full-rate rings the uplinks of each leaf group carry, ``(num_leaf_groups,)``.

    One ring that leaves a leaf group sends at the rate of all NICs of one host. Infinite where a group has no uplinks.
    """
    first, num_nics = fabric.num_accelerators, fabric.num_nics
    rings = np.full(fabric.num_leaf_groups, np.inf)
    if not num_nics:
        return rings
    is_up = (
        (fabric.link_kind == LinkKind.SCALE_OUT)
        & (fabric.node_kind[fabric.link_source] == NodeKind.SWITCH)
        & (fabric.node_tier[fabric.link_target] > fabric.node_tier[fabric.link_source])
    )
    up = np.bincount(
        fabric.link_source[is_up], weights=fabric.link_capacity_bytes_per_s[is_up], minlength=fabric.num_nodes
    )
    nic_link = (fabric.link_kind == LinkKind.SCALE_OUT) & (fabric.link_source >= first)
    nic_link &= fabric.link_source < first + num_nics
    nic_rate = np.bincount(
        fabric.nic_host[fabric.link_source[nic_link] - first],
        weights=fabric.link_capacity_bytes_per_s[nic_link],
        minlength=fabric.num_hosts,
    )
    has_leaf = fabric.nic_leaf >= 0
    group = fabric.host_leaf_group[fabric.nic_host[has_leaf]]
    pairs = np.unique(np.stack([group, fabric.nic_leaf[has_leaf]], axis=1), axis=0)
    room = np.bincount(pairs[:, 0], weights=up[pairs[:, 1]], minlength=fabric.num_leaf_groups)
    rate = np.zeros(fabric.num_leaf_groups)
    np.maximum.at(rate, fabric.host_leaf_group, nic_rate)
    carries = (room > 0) & (rate > 0)
    rings[carries] = room[carries] / rate[carries]
    return rings


def spread_penalty(constraints: Constraints, asked: list[Request], classes: HostClasses, rings_left: Float64s) -> Any:
    """Return leaf groups used beyond the first, and rings beyond what a leaf group's uplinks have left.

    Parameters
    ----------
    rings_left
        ``(num_leaf_groups,)`` full-rate rings that each group's uplinks can still carry.
    """
    model, variables = constraints.model, constraints.variables
    penalty: list[Any] = []
    crossing: dict[int, list[Any]] = {}
    for r, request in enumerate(asked):
        if request.num_chunks == 1 or request.job.traffic is None:
            continue
        constraints.touch(r, classes.leaf_group, variables.touches_leaf_group, "leaf")
        touched = {g: v for (q, g), v in variables.touches_leaf_group.items() if q == r}
        spans = variables.spans[r] = model.new_bool_var(f"spans[{r}]")
        model.add(sum(touched.values()) <= 1 + (len(touched) - 1) * spans)
        penalty.append(sum(touched.values()) - variables.placed[r])
        for g, variable in touched.items():
            if np.isfinite(rings_left[g]):
                crosses = model.new_bool_var(f"crosses[{r},{g}]")
                model.add(crosses >= variable + spans - 1)
                crossing.setdefault(g, []).append(crosses)
    penalty += list(variables.loose.values())
    for g, crosses in crossing.items():
        left = max(0, int(np.floor(rings_left[g])))
        if len(crosses) > left:
            over = model.new_int_var(0, len(crosses), f"overflow[{g}]")
            model.add(over >= sum(crosses) - left)
            penalty.append(_OVERFLOW_COST * over)
    return sum(penalty)
