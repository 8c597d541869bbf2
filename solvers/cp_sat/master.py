"""CP-SAT on the restricted master: which jobs, by which of the patterns that column generation found."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import numpy as np

from planner.job import Job
from planner.placement import Placement
from solvers.cp_sat.clock import Clock
from solvers.cp_sat.columns import Columns, PriceCut
from solvers.cp_sat.model import CountsModel, build_model
from solvers.cp_sat.patterns import Pattern
from solvers.fitting import fit
from solvers.greedy import in_order
from solvers.inventory import Inventory
from solvers.policies import BestFit
from topologies.fabric import Int64s

__all__ = ["add_cuts", "pattern_of", "solve_master"]


def add_cuts(model: CountsModel, cuts: Sequence[PriceCut]) -> None:
    """Hold a model to what prices of hosts imply for all that is placed."""
    for cut in cuts:
        cost = [
            cut.cost[request.job.id] * placed
            for request, placed in zip(model.asked, model.variables.placed, strict=True)
            if request.job.id in cut.cost
        ]
        if cost:
            model.model.add(sum(cost) <= cut.room)


def pattern_of(inventory: Inventory, ranks: Int64s, spares: Int64s) -> Pattern:
    """Return the pattern of a job that is placed."""
    fabric = inventory.fabric
    used = np.bincount(
        fabric.host_leaf_group[np.unique(fabric.accelerator_host[np.concatenate([ranks, spares])])],
        minlength=fabric.num_leaf_groups,
    )
    held = np.bincount(
        fabric.host_leaf_group[np.unique(fabric.accelerator_host[spares])], minlength=fabric.num_leaf_groups
    )
    leaves = np.flatnonzero(used)
    return Pattern(tuple(leaves.tolist()), tuple(used[leaves].tolist()), tuple(held[leaves].tolist()))


def solve_master(
    inventory: Inventory,
    jobs: Sequence[Job],
    columns: Columns,
    placed_now: dict[str, Pattern],
    *,
    time_limit_s: float,
    seed: int,
    clock: Clock,
) -> Placement | None:
    """Return a placement by patterns, everything else fitted in around it; None if CP-SAT finds nothing.

    Parameters
    ----------
    inventory
        What is free; it is used up.
    jobs
        Those on whole accelerators.
    placed_now
        Job id → pattern in the best placement known, as a hint.
    """
    model = build_model(inventory, jobs, by_place=False)
    chosen = _add_patterns(model, columns, placed_now)
    model.hint(set(placed_now))
    add_cuts(model, columns.cuts[-1:])
    counts = model.solve(time_limit_s=time_limit_s, seed=seed, clock=clock, also=chosen)
    if counts is None:
        return None
    is_placed = {job.id for r, request in enumerate(model.asked) for job in request.jobs[: counts.placed[r]]}
    times = [
        [(pattern, counts.also[s, pattern]) for pattern in patterns] for s, patterns in enumerate(columns.patterns)
    ]
    return _expand(inventory, jobs, columns, times, is_placed)


def _add_patterns(model: CountsModel, columns: Columns, placed_now: dict[str, Pattern]) -> dict[Any, Any]:
    """Tie what is placed to patterns, and patterns to the hosts of each leaf group."""
    variables, cp = model.variables, model.model
    request_of = {request.job.id: r for r, request in enumerate(model.asked)}
    in_leaf: dict[int, list[Any]] = defaultdict(list)
    chosen: dict[Any, Any] = {}
    for s, (shape, patterns) in enumerate(zip(columns.shapes, columns.patterns, strict=True)):
        requests = sorted({request_of[job.id] for job in shape.jobs if job.id in request_of})
        now = [placed_now[job.id] for job in shape.jobs if job.id in placed_now]
        for k, pattern in enumerate(patterns):
            times = cp.new_int_var(0, len(shape.jobs), f"pattern[{s},{k}]")
            cp.add_hint(times, now.count(pattern))
            chosen[s, pattern] = times
            for leaf, hosts in zip(pattern.leaf, pattern.hosts, strict=True):
                in_leaf[leaf].append(hosts * times)
        mine = [(pattern, chosen[s, pattern]) for pattern in patterns]
        cp.add(sum(variables.placed[r] for r in requests) == sum(times for _, times in mine))
        if shape.rules.spare_hosts:
            held = [v for (r, _), v in variables.spares.items() if r in set(requests)]
            cp.add(sum(held) >= sum(sum(pattern.spares) * times for pattern, times in mine))
    for leaf, used in in_leaf.items():
        cp.add(sum(used) <= int(columns.hosts[leaf]))
    return chosen


def _expand(
    inventory: Inventory,
    jobs: Sequence[Job],
    columns: Columns,
    times: list[list[tuple[Pattern, int]]],
    is_placed: set[str],
) -> Placement:
    """Take the hosts of the patterns, then fit in what else is chosen, then all others."""
    ranks: dict[str, Int64s] = {}
    spares: dict[str, Int64s] = {}
    for shape, patterns in zip(columns.shapes, times, strict=True):
        waiting = [job for job in shape.jobs if job.id in is_placed]
        for pattern, num in patterns:
            for _ in range(num):
                if waiting and _take(inventory, waiting[0], pattern, ranks, spares):
                    waiting.pop(0)
    first = sorted((job for job in jobs if job.id in is_placed), key=lambda job: -job.accelerators)
    for job in [*first, *in_order(jobs)]:
        if job.id in ranks:
            continue
        found = fit(inventory, job, BestFit())
        if found is not None:
            taken = inventory.take(job, found.hosts, found.counts, found.spare_hosts)
            ranks[job.id], spares[job.id] = taken.ranks, taken.spares
    return Placement(ranks, spares)


def _take(
    inventory: Inventory, job: Job, pattern: Pattern, ranks: dict[str, Int64s], spares: dict[str, Int64s]
) -> bool:
    """Take hosts by a pattern; False if they are not all there."""
    fabric = inventory.fabric
    each = job.accelerators_per_host or 0
    ready = inventory.usable(job) >= each
    hosts: list[int] = []
    held: list[int] = []
    for leaf, num, spare in zip(pattern.leaf, pattern.hosts, pattern.spares, strict=True):
        there = np.flatnonzero(ready & (fabric.host_leaf_group == leaf))[:num].tolist()
        if len(there) < num:
            return False
        hosts += there[: num - spare]
        held += there[num - spare :]
    taken = inventory.take(job, hosts, np.full(len(hosts), each), held)
    ranks[job.id], spares[job.id] = taken.ranks, taken.spares
    return True
