"""Placement patterns of jobs on whole hosts: hosts of which leaf groups, and the cheapest at given prices."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from planner.job import Job
from solvers.inventory import Inventory
from topologies.fabric import Float64s, Int64s

__all__ = ["Pattern", "Shape", "cheapest", "shapes_of", "whole_hosts"]


@dataclass(frozen=True)
class Pattern:
    """Hosts that one job takes, spare ones too.

    Attributes
    ----------
    leaf, hosts
        ``(k,)`` leaf groups, and hosts in each.
    spares
        How many of the hosts are spare ones, ``(k,)``.
    """

    leaf: tuple[int, ...]
    hosts: tuple[int, ...]
    spares: tuple[int, ...]


@dataclass(frozen=True, eq=False)
class Shape:
    """Jobs on whole hosts that can take the same patterns.

    Attributes
    ----------
    jobs
        Which.
    num_hosts
        Hosts of each.
    room
        ``(num_leaf_groups,)`` hosts in each leaf group that would do.
    """

    jobs: tuple[Job, ...]
    num_hosts: int
    room: Int64s

    @property
    def rules(self) -> Job:
        """One of the jobs, for the rules they share."""
        return self.jobs[0]


def whole_hosts(inventory: Inventory) -> Int64s:
    """Return how many hosts of each leaf group are free as a whole, of the largest kind, ``(num_leaf_groups,)``."""
    fabric = inventory.fabric
    largest = int(fabric.host_num_accelerators.max())
    free = np.bincount(fabric.accelerator_host[inventory.free], minlength=fabric.num_hosts)
    return np.bincount(fabric.host_leaf_group[free >= largest], minlength=fabric.num_leaf_groups).astype(np.int64)


def shapes_of(inventory: Inventory, jobs: Sequence[Job]) -> list[Shape]:
    """Group the jobs that take whole hosts of the largest kind by the patterns they can take."""
    fabric = inventory.fabric
    largest = int(fabric.host_num_accelerators.max())
    groups: dict[tuple[object, ...], list[Job]] = defaultdict(list)
    room: dict[tuple[object, ...], Int64s] = {}
    for job in jobs:
        if job.accelerators_per_host != largest or job.is_part or job.same_domain or job.domain_group > largest:
            continue
        hosts = np.flatnonzero(inventory.usable(job) >= largest)
        there = np.bincount(fabric.host_leaf_group[hosts], minlength=fabric.num_leaf_groups).astype(np.int64)
        key = (
            job.accelerators,
            job.max_leaf_groups,
            job.max_pods,
            job.segment_hosts,
            job.spare_hosts,
            job.spare_reach,
            there.tobytes(),
        )
        groups[key].append(job)
        room[key] = there
    return [Shape(tuple(group), group[0].accelerators // largest, room[key]) for key, group in groups.items()]


def cheapest(
    shape: Shape, price: Float64s, pod_of: Int64s, *, pods: Sequence[int] | None = None
) -> tuple[float, Pattern | None]:
    """Return a lower bound on what any pattern of a shape costs, exact but for spare hosts of pods, and a pattern.

    Leaf groups are used in full, dear ones last, but for one; the choice of at most k of them is a dynamic programme
    over (leaf groups used, hosts got). The limit of pods is held to by trying every pod if it is 1, and otherwise left
    out of the bound.

    Parameters
    ----------
    price
        ``(num_leaf_groups,)`` price of a host.
    pod_of
        ``(num_leaf_groups,)`` pod of each leaf group.
    pods
        Look only at these pods, one at a time; the bound is then theirs.

    Returns
    -------
    tuple
        Infinity and None if there is no pattern at all.
    """
    job = shape.rules
    room = shape.room.copy()
    if job.spare_hosts and job.spare_reach == "leaf":
        room = np.maximum(room - job.spare_hosts, 0)
    if job.segment_hosts:
        room -= room % job.segment_hosts
    if pods is None and job.max_pods == 1:
        pods = np.unique(pod_of[room > 0]).tolist()
    if pods is None:
        return _cheapest_among(shape, price, room, np.flatnonzero(room), pod_of)
    best: tuple[float, Pattern | None] = (np.inf, None)
    for pod in pods:
        leaves = np.flatnonzero((pod_of == pod) & (room > 0))
        if int(room[leaves].sum()) >= shape.num_hosts:
            found = _cheapest_among(shape, price, room, leaves, pod_of)
            best = min(best, found, key=lambda pair: pair[0])
    return best


def _cheapest_among(
    shape: Shape, price: Float64s, room: Int64s, leaves: Int64s, pod_of: Int64s
) -> tuple[float, Pattern | None]:
    job, wanted = shape.rules, shape.num_hosts
    a_leaf = job.spare_hosts if job.spare_reach == "leaf" else 0
    order = leaves[np.argsort(price[leaves], kind="stable")]
    limit = job.max_leaf_groups
    if limit is None and not a_leaf:
        filled = np.cumsum(room[order])
        if not len(filled) or filled[-1] < wanted:
            return np.inf, None
        num = int(np.searchsorted(filled, wanted)) + 1
        hosts = room[order[:num]].copy()
        hosts[-1] -= filled[num - 1] - wanted
        chosen = order[:num]
    else:
        picked = _choose_leaves(price, room, order, wanted, min(limit or len(order), len(order), wanted), a_leaf)
        if picked is None:
            return np.inf, None
        chosen, hosts = picked
    cost = float((price[chosen] * (hosts + a_leaf)).sum())
    pattern = _with_spares(shape, price, chosen, hosts, a_leaf, pod_of)
    if job.spare_hosts and job.spare_reach == "pod":
        near = np.isin(pod_of, np.unique(pod_of[leaves])) & (shape.room > 0)
        cost += job.spare_hosts * float(price[near].min())
    return cost, pattern


def _choose_leaves(
    price: Float64s, room: Int64s, order: Int64s, wanted: int, limit: int, a_leaf: int
) -> tuple[Int64s, Int64s] | None:
    """Choose at most `limit` leaf groups, the last in order in part, the others in full: dynamic programming."""
    cost = np.full((limit + 1, wanted + 1), np.inf)
    cost[0, 0] = 0.0
    history: list[np.ndarray[tuple[int, int], np.dtype[np.bool_]]] = []
    best, where = np.inf, (-1, 0, 0)
    for at, leaf in enumerate(order.tolist()):
        hosts, one = int(room[leaf]), float(price[leaf])
        low = max(0, wanted - hosts)
        ends = cost[:limit, low:wanted] + one * (wanted - np.arange(low, wanted) + a_leaf)
        if ends.size and ends.min() < best:
            row, column = divmod(int(ends.argmin()), ends.shape[1])
            best, where = float(ends.min()), (at, row, low + column)
        takes = np.zeros(cost.shape, bool)
        if hosts < wanted:
            more = cost[:-1, : wanted + 1 - hosts] + one * (hosts + a_leaf)
            is_better = more < cost[1:, hosts:]
            takes[1:, hosts:] = is_better
            cost[1:, hosts:] = np.where(is_better, more, cost[1:, hosts:])
        history.append(takes)
    at, used, got = where
    if at < 0:
        return None
    chosen, taken = [int(order[at])], [wanted - got]
    for back in range(at - 1, -1, -1):
        if used and history[back][used, got]:
            leaf = int(order[back])
            chosen.append(leaf)
            taken.append(int(room[leaf]))
            used, got = used - 1, got - int(room[leaf])
    return np.array(chosen[::-1], np.int64), np.array(taken[::-1], np.int64)


def _with_spares(
    shape: Shape, price: Float64s, chosen: Int64s, hosts: Int64s, a_leaf: int, pod_of: Int64s
) -> Pattern | None:
    """Add spare hosts to a choice; None if a pod has no room left for them."""
    job = shape.rules
    counts = {int(g): int(n) for g, n in zip(chosen, hosts, strict=True)}
    spares = dict.fromkeys(counts, a_leaf)
    if job.spare_hosts and job.spare_reach == "pod":
        for pod in np.unique(pod_of[chosen]).tolist():
            left = job.spare_hosts
            leaves = np.flatnonzero((pod_of == pod) & (shape.room > 0))
            for leaf in leaves[np.argsort(price[leaves], kind="stable")].tolist():
                got = min(left, int(shape.room[leaf]) - counts.get(leaf, 0))
                if got > 0:
                    spares[leaf] = spares.get(leaf, 0) + got
                    counts.setdefault(leaf, 0)
                    left -= got
            if left:
                return None
    leaf_order = sorted(counts)
    return Pattern(
        tuple(leaf_order),
        tuple(counts[g] + spares.get(g, 0) for g in leaf_order),
        tuple(spares.get(g, 0) for g in leaf_order),
    )
