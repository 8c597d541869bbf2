"""Fits one job into what is free: a policy says in which order, this module holds to the job's limits.

A policy orders *scopes* (the whole cluster, a pod, a leaf group, a scale-up domain) and the hosts in a scope. The first
scope that holds the job wins.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from planner.job import Job
from solvers.inventory import Inventory
from topologies.fabric import Int64s

__all__ = ["Fit", "Policy", "fit", "sums_by"]


@dataclass(frozen=True)
class Fit:
    """Where one job goes.

    Attributes
    ----------
    hosts, counts
        ``(k,)`` hosts, and accelerators on each.
    """

    hosts: Int64s
    counts: Int64s


class Policy(Protocol):
    """In which order a scheduler looks at things."""

    def scopes(self, inventory: Inventory, job: Job, give: Int64s) -> Iterator[Int64s]:
        """Yield host numbers, best scope first; within a scope the first hosts are taken first.

        Parameters
        ----------
        give
            ``(num_hosts,)`` accelerators that each host would give the job.
        """
        ...


def sums_by(group: npt.NDArray[np.integer], values: Int64s, num_groups: int) -> Int64s:
    """Return the sum of values a group, ``(num_groups,)``."""
    return np.bincount(group, weights=values, minlength=num_groups).astype(np.int64)


def fit(inventory: Inventory, job: Job, policy: Policy) -> Fit | None:
    """Return where a policy puts a job, or None if no scope it looks at holds it."""
    usable = inventory.usable(job)
    give = inventory.chunk(job, usable)
    if int(give.sum()) < job.accelerators:
        return None
    one_host = _one_host(inventory, job, give, policy)
    if one_host is not None:
        return one_host
    if job.same_domain:
        return _in_one_domain(inventory, job, give, policy)
    for hosts in policy.scopes(inventory, job, give):
        found = _within_limits(inventory, job, give, hosts)
        if found is not None:
            return found
    return None


def _one_host(inventory: Inventory, job: Job, give: Int64s, policy: Policy) -> Fit | None:
    """Return a single host if one holds the whole job: nobody splits what fits in one."""
    if job.accelerators_per_host not in (None, job.accelerators) or int(give.max(initial=0)) < job.accelerators:
        return None
    alone = np.where(give >= job.accelerators, give, 0)
    for hosts in policy.scopes(inventory, job, alone):
        ready = hosts[alone[hosts] > 0]
        ready = ready[_one_domain_holds(inventory, job, ready)] if job.same_domain else ready
        if len(ready):
            return Fit(ready[:1], np.array([job.accelerators], np.int64))
    return None


def _one_domain_holds(inventory: Inventory, job: Job, hosts: Int64s) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    """Tell for each host whether its free accelerators share one scale-up domain, ``(k,)``."""
    fabric = inventory.fabric
    start, end = fabric.host_accelerator_start[hosts], fabric.host_accelerator_start[hosts + 1]
    return np.asarray(fabric.accelerator_domain[start] == fabric.accelerator_domain[end - 1], np.bool_)


def _in_one_domain(inventory: Inventory, job: Job, give: Int64s, policy: Policy) -> Fit | None:
    """Return hosts of one scale-up domain, the domains in the order in which the policy meets their hosts."""
    fabric = inventory.fabric
    domain = fabric.host_domain
    room = sums_by(domain, give, fabric.num_domains)
    fits = np.where(room[domain] >= job.accelerators, give, 0)
    for hosts in policy.scopes(inventory, job, fits):
        ready = hosts[(fits[hosts] > 0)]
        _, first = np.unique(domain[ready], return_index=True)
        for start in np.sort(first).tolist():
            members = ready[domain[ready] == domain[ready[start]]]
            found = _within_limits(inventory, job, give, members)
            if found is not None:
                return found
    return None


def _within_limits(inventory: Inventory, job: Job, give: Int64s, hosts: Int64s) -> Fit | None:
    """Take hosts of a scope in order until the job is full, on no more leaf groups and pods than it allows."""
    fabric = inventory.fabric
    hosts = hosts[give[hosts] > 0]
    for group, limit in ((fabric.host_pod, job.max_pods), (fabric.host_leaf_group, job.max_leaf_groups)):
        if limit is None or len(hosts) == 0:
            continue
        if len(np.unique(group[hosts])) > limit:
            room = sums_by(group[hosts], give[hosts], int(group.max()) + 1)
            best = np.argsort(-room, kind="stable")[:limit]
            hosts = hosts[np.isin(group[hosts], best)]
    filled = np.cumsum(give[hosts])
    if not len(hosts) or filled[-1] < job.accelerators:
        return None
    num = int(np.searchsorted(filled, job.accelerators)) + 1
    chosen = hosts[:num]
    counts = give[chosen].copy()
    counts[-1] -= filled[num - 1] - job.accelerators
    return Fit(chosen, counts)
