"""The objective of the counts model: priority-weighted accelerators first, then spread, then uplinks that overflow."""

from __future__ import annotations

from typing import Any

import numpy as np

from solvers.cp_sat.classes import HostClasses, Request
from solvers.cp_sat.constraints import Constraints
from solvers.cp_sat.variables import Variables
from topologies.fabric import Float64s

__all__ = ["WEIGHT_SCALE", "move_cost", "placed_weight", "spread_penalty"]

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
