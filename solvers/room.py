"""How many accelerators one job could get by its rules, exactly, from counts: no search."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from planner.job import Job
from solvers.inventory import Inventory
from topologies.fabric import Int64s

__all__ = ["could_fit", "most_room"]

_MINUS = -(10**9)


def could_fit(inventory: Inventory, job: Job) -> bool:
    """Return whether a job alone fits into what is free now."""
    return most_room(inventory, job) >= job.accelerators


def most_room(inventory: Inventory, job: Job) -> int:
    """Return the most accelerators that the job's rules let it have now; it fits if that is what it asks for.

    Counts what each leaf group can give (less spare hosts, in whole segments and rank groups), sums up the largest
    ones pod by pod, and chooses pods and leaf groups within the job's limits by dynamic programming.
    """
    fabric = inventory.fabric
    give = inventory.chunk(job, inventory.usable(job))
    if not give.any():
        return 0
    if not job.same_domain:
        return _best(inventory, job, give, give)
    alone = int(give.max())
    if job.spare_hosts == 0 and job.accelerators_per_host in (None, job.accelerators) and alone >= job.accelerators:
        return alone
    room = np.bincount(fabric.host_domain, weights=give, minlength=fabric.num_domains)
    domains = np.argsort(-room, kind="stable")
    best = 0
    for domain in domains.tolist():
        if room[domain] <= best:
            break
        best = max(best, _best(inventory, job, np.where(fabric.host_domain == domain, give, 0), give))
        if best >= job.accelerators:
            break
    return best


def _best(inventory: Inventory, job: Job, give: Int64s, around: Int64s) -> int:
    """Return the most that hosts giving so much each can give together.

    Parameters
    ----------
    around
        ``(num_hosts,)`` what all hosts would give: spare ones may lie outside a chosen domain.
    """
    fabric = inventory.fabric
    each = job.accelerators_per_host or 1
    group = fabric.host_leaf_group
    in_leaf = _grouped(give, fabric.host_domain, group, job.domain_group, fabric.num_domains, fabric.num_leaf_groups)
    if job.spare_hosts and job.spare_reach == "leaf":
        all_there = np.bincount(group, weights=around, minlength=fabric.num_leaf_groups).astype(np.int64)
        in_leaf = np.minimum(in_leaf, np.maximum(all_there - job.spare_hosts * each, 0))
    if job.segment_hosts:
        in_leaf -= in_leaf % (job.segment_hosts * each)
    pod_of = np.zeros(fabric.num_leaf_groups, np.int64)
    pod_of[group] = fabric.host_pod
    in_pod = np.bincount(fabric.host_pod, weights=give, minlength=fabric.num_pods).astype(np.int64)
    if job.spare_hosts and job.spare_reach == "pod":
        all_there = np.bincount(fabric.host_pod, weights=around, minlength=fabric.num_pods).astype(np.int64)
        in_pod = np.minimum(in_pod, np.maximum(all_there - job.spare_hosts * each, 0))
        if job.segment_hosts:
            in_pod -= in_pod % (job.segment_hosts * each)
    num_leaves = fabric.num_leaf_groups if job.max_leaf_groups is None else job.max_leaf_groups
    num_pods = fabric.num_pods if job.max_pods is None else job.max_pods
    sums = [_largest_sums(in_leaf[pod_of == pod], int(in_pod[pod])) for pod in np.unique(pod_of)]
    if num_leaves >= fabric.num_leaf_groups:
        totals = sorted((int(s[-1]) for s in sums), reverse=True)
        return sum(totals[:num_pods])
    if num_leaves == 1:
        return max((int(s[1]) for s in sums if len(s) > 1), default=0)
    if num_pods == 1:
        return max(int(s[min(num_leaves, len(s) - 1)]) for s in sums)
    if num_pods >= fabric.num_pods and not (job.spare_hosts and job.spare_reach == "pod"):
        return int(np.sort(in_leaf)[::-1][:num_leaves].sum())
    return _choose(sums, num_leaves, min(num_pods, fabric.num_pods))


def _grouped(
    give: Int64s,
    domain: npt.NDArray[np.integer],
    leaf: npt.NDArray[np.integer],
    group: int,
    num_domains: int,
    num_leaves: int,
) -> Int64s:
    """Return what each leaf group gives, in whole rank groups of each scale-up domain, ``(num_leaf_groups,)``."""
    if group == 1:
        return np.bincount(leaf, weights=give, minlength=num_leaves).astype(np.int64)
    in_domain = np.bincount(domain, weights=give, minlength=num_domains).astype(np.int64)
    in_domain -= in_domain % group
    leaf_of = np.zeros(num_domains, np.int64)
    leaf_of[domain] = leaf
    return np.bincount(leaf_of, weights=in_domain, minlength=num_leaves).astype(np.int64)


def _largest_sums(in_leaf: Int64s, cap: int) -> Int64s:
    """Return the most that 0, 1, 2… leaf groups of a pod give together, ``(k + 1,)``."""
    sums = np.concatenate(([0], np.cumsum(np.sort(in_leaf)[::-1])))
    return np.minimum(sums, cap).astype(np.int64)


def _choose(sums: list[Int64s], num_leaves: int, num_pods: int) -> int:
    """Choose pods and leaf groups in them: the largest total within both limits."""
    best = np.full((num_pods + 1, num_leaves + 1), _MINUS, np.int64)
    best[0, 0] = 0
    for s in sums:
        more = best.copy()
        for leaves in range(1, min(len(s) - 1, num_leaves) + 1):
            reach = best[:-1, : num_leaves + 1 - leaves] + s[leaves]
            more[1:, leaves:] = np.maximum(more[1:, leaves:], reach)
        best = more
    return int(best.max())
