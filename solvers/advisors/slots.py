"""How many more jobs of each shape fit now, all at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from planner.advice import Slots
from planner.job import Job
from planner.placement import Placement
from planner.problem import Problem
from solvers.cp_sat.model import build_model
from solvers.fitting import fit, sums_by
from solvers.inventory import Inventory
from solvers.policies import BestFit

__all__ = ["slots"]

_MOST_COPIES = 100_000
_MOST_MODELLED = 64


def slots(problem: Problem, placement: Placement, shapes: Sequence[Job], *, time_limit_s: float = 2.0) -> list[Slots]:
    """Count for each shape how many such jobs fit beside a placement.

    Best-fit one after the other, and a bound from counts by leaf group, pod and domain; where they differ, CP-SAT
    closes in.

    Parameters
    ----------
    shapes
        Jobs, of any id; each is counted by itself.

    Raises
    ------
    InputError
        If the placement is none of the problem's.
    """
    placement.check(problem)
    answers = []
    for shape in shapes:
        asked = _with_copies(problem, shape, 1)
        inventory = Inventory(asked, placement)
        bound = min(_MOST_COPIES, _count_bound(inventory, shape))
        found = _greedy(inventory, shape, bound)
        if found < bound <= _MOST_MODELLED and not shape.is_part:
            found, bound = _close_in(problem, placement, shape, found, bound, time_limit_s)
        answers.append(Slots(shape.id, found, bound))
    return answers


def _with_copies(problem: Problem, shape: Job, num: int) -> Problem:
    """Return the problem with the shape, and copies of it, as further jobs."""
    there = {job.id for job in problem.jobs}
    more = [shape, *(replace(shape, id=f"{shape.id}#{i}") for i in range(num))]
    return replace(problem, jobs=(*problem.jobs, *(job for job in more if job.id not in there)))


def _greedy(inventory: Inventory, shape: Job, most: int) -> int:
    found = 0
    while found < most:
        here = fit(inventory, shape, BestFit())
        if here is None:
            break
        inventory.take(shape, here.hosts, here.counts, here.spare_hosts)
        found += 1
    return found


def _count_bound(inventory: Inventory, shape: Job) -> int:
    """Return how many fit at most: by room, and by leaf group, pod or domain where a job must stay in one."""
    fabric = inventory.fabric
    if shape.is_part:
        left = inventory.parts.left_frac if shape.share_frac < 1 else np.ones(fabric.num_accelerators)
        a_part = shape.share_frac if shape.share_frac < 1 else 1 / 7
        room = inventory.parts.room(shape, inventory.free)
        return int(np.floor(left[room] / a_part + 1e-9).sum()) // shape.accelerators
    give = inventory.usable(shape)
    each = shape.accelerators_per_host
    if each is not None:
        give = give // each * each if not shape.exclusive else np.where(give >= each, each, 0)
    bound = int(give.sum()) // shape.accelerators
    for is_one, group, num in (
        (shape.max_leaf_groups == 1, fabric.host_leaf_group, fabric.num_leaf_groups),
        (shape.max_pods == 1, fabric.host_pod, fabric.num_pods),
        (shape.same_domain, fabric.host_domain, fabric.num_domains),
    ):
        if is_one:
            bound = min(bound, int((sums_by(group, give, num) // shape.accelerators).sum()))
    return bound


def _close_in(
    problem: Problem, placement: Placement, shape: Job, found: int, bound: int, time_limit_s: float
) -> tuple[int, int]:
    """Return how many fit, and how many could, by CP-SAT."""
    asked = _with_copies(problem, replace(shape, priority=1.0), bound)
    copies = [job for job in asked.jobs if job.id.startswith(f"{shape.id}#")]
    model = build_model(Inventory(asked, placement), copies)
    counts = model.solve(time_limit_s=time_limit_s, seed=0)
    if counts is None:
        return found, bound
    if not model.narrow_weight:
        bound = min(bound, int(counts.bound / shape.accelerators + 1e-6))
    return max(found, sum(counts.placed)), bound
