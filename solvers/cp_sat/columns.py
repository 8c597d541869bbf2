"""Column generation: prices of hosts by leaf group from a linear programme over placement patterns.

The prices give a constraint that every placement obeys, whatever they are (`PriceCut`); the patterns give CP-SAT whole
placements to choose from.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from planner.job import Job
from solvers.cp_sat.clock import Clock
from solvers.cp_sat.patterns import Pattern, Shape, cheapest, shapes_of, whole_hosts
from solvers.inventory import Inventory
from topologies.fabric import Float64s, Int64s

__all__ = ["Columns", "PriceCut", "generate_columns"]

_PRICE_SCALE = 1000
_MOST_ROUNDS = 200
_GAIN_FRAC = 1e-6
_PODS_A_ROUND = 4
_ROUND_S = 0.1  # what a round counts as in a repeatable run


@dataclass(frozen=True)
class PriceCut:
    """Σ over placed jobs of their cheapest pattern's price ≤ Σ price × hosts: holds for any prices.

    Attributes
    ----------
    cost
        Job id → whole number, rounded down.
    room
        Whole number, rounded up.
    """

    cost: dict[str, int]
    room: int


@dataclass(eq=False)
class Columns:
    """What column generation found.

    Attributes
    ----------
    shapes
        Jobs by the patterns they can take.
    patterns
        For each shape its patterns.
    hosts
        ``(num_leaf_groups,)`` whole hosts that are free.
    impossible
        Ids of jobs that no pattern holds at all.
    cuts
        Constraints on what can be placed together, the best one last.
    bound
        Of the linear programme, with nothing but these jobs and counts of the others.
    """

    shapes: list[Shape]
    patterns: list[dict[Pattern, None]]
    hosts: Int64s
    impossible: set[str] = field(default_factory=set)
    cuts: list[PriceCut] = field(default_factory=list)
    bound: float = np.inf

    @property
    def job_ids(self) -> set[str]:
        """Ids of all jobs in shapes."""
        return {job.id for shape in self.shapes for job in shape.jobs}


def generate_columns(
    inventory: Inventory, jobs: Sequence[Job], start: dict[str, Pattern], *, until_s: float, clock: Clock
) -> Columns | None:
    """Generate patterns until none would help, or until it is `until_s` on the clock.

    Parameters
    ----------
    start
        Job id → the pattern it has in a known placement.

    Returns
    -------
    Columns or None
        None if no job takes whole hosts.
    """
    shapes = shapes_of(inventory, jobs)
    if not shapes:
        return None
    fabric = inventory.fabric
    pod_of = np.zeros(fabric.num_leaf_groups, np.int64)
    pod_of[fabric.host_leaf_group] = fabric.host_pod
    found = Columns(shapes, [{} for _ in shapes], whole_hosts(inventory))
    for s, shape in enumerate(shapes):
        cost, pattern = cheapest(shape, np.ones(fabric.num_leaf_groups), pod_of)
        if not np.isfinite(cost):
            found.impossible |= {job.id for job in shape.jobs}
        if pattern is not None:
            found.patterns[s][pattern] = None
        for job in shape.jobs:
            if job.id in start:
                found.patterns[s][start[job.id]] = None
    others = [job for job in jobs if job.id not in found.job_ids and not job.is_part]
    master = _Master(inventory, found, others)
    rng = np.random.default_rng(0)
    for _ in range(_MOST_ROUNDS):
        clock.charge(_ROUND_S)
        if clock.now_s > until_s or not master.price(found):
            break
        if not _add_patterns(found, master, pod_of, rng):
            break
    return found


def _add_patterns(found: Columns, master: _Master, pod_of: Int64s, rng: np.random.Generator) -> bool:
    """Add patterns that are worth more than they cost, and the cut of the prices; tell whether there were any."""
    added, costs, bound = False, {}, master.value
    all_pods = np.unique(pod_of)
    for s, shape in enumerate(found.shapes):
        cost, pattern = cheapest(shape, master.leaf_price, pod_of)
        if not np.isfinite(cost):
            continue
        costs.update({job.id: int(np.floor(cost * _PRICE_SCALE * (1 - 1e-9))) for job in shape.jobs})
        gain = master.shape_price[s] - cost - master.other_price(shape)
        bound += len(shape.jobs) * max(0.0, gain)
        if gain > _GAIN_FRAC * max(1.0, abs(master.shape_price[s])):
            tried = [pattern]
            if shape.rules.max_leaf_groups is None and len(all_pods) > 1:
                pods = rng.choice(all_pods, min(_PODS_A_ROUND, len(all_pods)), replace=False).tolist()
                tried += [cheapest(shape, master.leaf_price, pod_of, pods=[pod])[1] for pod in pods]
            for new in tried:
                if new is not None and new not in found.patterns[s]:
                    found.patterns[s][new] = None
                    added = True
    room = int(np.ceil(float((master.leaf_price * found.hosts).sum()) * _PRICE_SCALE * (1 + 1e-9)))
    if bound < found.bound - 1e-9:
        found.bound = bound
        if room > 0:
            found.cuts.append(PriceCut(costs, room))
    return added


class _Master:
    """The linear programme over the patterns so far.

    Attributes
    ----------
    value
        Its optimum.
    leaf_price
        ``(num_leaf_groups,)`` price of a whole host.
    shape_price
        For each shape what one more pattern of it is worth.
    """

    def __init__(self, inventory: Inventory, found: Columns, others: Sequence[Job]) -> None:
        self.each = int(inventory.fabric.host_num_accelerators.max())
        self.num_free = int(inventory.free.sum())
        self.others = others
        self.value = 0.0
        self.leaf_price = np.zeros(inventory.fabric.num_leaf_groups)
        self.shape_price = np.zeros(len(found.shapes))
        self._room_price = 0.0

    def other_price(self, shape: Shape) -> float:
        """Return what the accelerators of a job of a shape cost beside its hosts' prices."""
        spares = shape.rules.spare_hosts
        return self._room_price * self.each * (shape.num_hosts + spares)

    def price(self, found: Columns) -> bool:
        """Solve; tell whether it worked."""
        from scipy.optimize import linprog
        from scipy.sparse import coo_array

        num_leaves, num_shapes = len(found.hosts), len(found.shapes)
        columns = [(s, pattern) for s, patterns in enumerate(found.patterns) for pattern in patterns]
        jobs = [(s, job) for s, shape in enumerate(found.shapes) for job in shape.jobs]
        rows, places, values = [], [], []
        for k, (s, pattern) in enumerate(columns):
            rows += [*pattern.leaf, num_leaves + s, num_leaves + num_shapes]
            places += [k] * (len(pattern.leaf) + 2)
            values += [*pattern.hosts, -1.0, float(self.each * sum(pattern.hosts))]
        first = len(columns)
        for j, (s, _) in enumerate(jobs):
            rows.append(num_leaves + s)
            places.append(first + j)
            values.append(1.0)
        last = first + len(jobs)
        for j, job in enumerate(self.others):
            rows.append(num_leaves + num_shapes)
            places.append(last + j)
            values.append(float(job.accelerators))
        worth = [0.0] * first + [-job.weight for _, job in jobs] + [-job.weight for job in self.others]
        limits = np.concatenate([found.hosts, np.zeros(num_shapes), [self.num_free]])
        upper = [(0.0, None)] * first + [(0.0, 1.0)] * (len(worth) - first)
        matrix: Any = coo_array((values, (rows, places)), shape=(len(limits), len(worth))).tocsr()
        solved = linprog(np.array(worth), A_ub=matrix, b_ub=limits, bounds=upper, method="highs")
        if solved.status != 0 or solved.fun is None:
            return False
        dual: Float64s = -solved.ineqlin.marginals
        self.value = -float(solved.fun)
        self.leaf_price = np.maximum(dual[:num_leaves], 0.0)
        self.shape_price = dual[num_leaves : num_leaves + num_shapes]
        self._room_price = max(0.0, float(dual[-1]))
        return True
