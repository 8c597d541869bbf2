"""Fits one job into what is free: a policy says in which order, this module holds to the job's limits.

A policy orders *scopes* (the whole cluster, a pod, a leaf group, a scale-up domain) and the hosts in a scope. The first
scope that holds the job wins.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
import numpy.typing as npt

from planner.job import Job
from solvers.inventory import Inventory
from topologies.fabric import Int64s

__all__ = ["Fit", "Policy", "fit", "spare_hosts", "sums_by"]


@dataclass(frozen=True)
class Fit:
    """Where one job goes.

    Attributes
    ----------
    hosts, counts
        ``(k,)`` hosts, and accelerators on each.
    spare_hosts
        Hosts held idle for it.
    """

    hosts: Int64s
    counts: Int64s
    spare_hosts: Int64s = field(default_factory=lambda: np.empty(0, np.int64))


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


def fit(inventory: Inventory, job: Job, policy: Policy, *, may_split: bool = False) -> Fit | None:
    """Return where a policy puts a job, or None if no scope it looks at holds it.

    Parameters
    ----------
    may_split
        Whether a job that one host holds may be split over several all the same.
    """
    if job.is_part:
        return _fit_parts(inventory, job, policy)
    usable = inventory.usable(job)
    for wanted in _by_preference(inventory, job, usable):
        found = _fit_whole(inventory, job, inventory.chunk(job, wanted), policy, may_split=may_split)
        if found is not None:
            return found
    return None


def _by_preference(inventory: Inventory, job: Job, usable: Int64s) -> Iterator[Int64s]:
    """Yield what hosts of preferred kinds would give, then what all would."""
    if job.preferred_kinds:
        fabric = inventory.fabric
        is_preferred = np.array([part.id in job.preferred_kinds for part in fabric.parts] + [False])
        yield np.where(is_preferred[fabric.host_part], usable, 0)
    yield usable


def _fit_parts(inventory: Inventory, job: Job, policy: Policy) -> Fit | None:
    """Put parts on accelerators that are shared already, or else on whole ones too."""
    usable = inventory.usable(job)
    shared = np.minimum(usable, inventory.parts.shared_usable(job, inventory.free))
    for give in (shared, usable):
        for wanted in _by_preference(inventory, job, give):
            found = _fit_whole(inventory, job, wanted, policy)
            if found is not None:
                return found
    return None


def _fit_whole(inventory: Inventory, job: Job, give: Int64s, policy: Policy, *, may_split: bool = False) -> Fit | None:
    if int(give.sum()) < job.accelerators:
        return None
    one_host = None if job.spare_hosts or job.segment_hosts or may_split else _one_host(inventory, job, give, policy)
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
    if job.spare_hosts:
        hosts = _all_but_last(hosts, inventory.problem.host_group(job.spare_reach)[hosts], job.spare_hosts)
    if job.segment_hosts is not None:
        hosts = _whole_segments(hosts, fabric.host_leaf_group[hosts], job.segment_hosts)
    if job.domain_group > 1:
        hosts, give = _whole_groups(hosts, fabric.host_domain[hosts], give, job.domain_group)
    for group, limit in ((fabric.host_pod, job.max_pods), (fabric.host_leaf_group, job.max_leaf_groups)):
        if limit is None or len(hosts) == 0:
            continue
        if len(np.unique(group[hosts])) > limit:
            seen = np.unique(_first_seen(group[hosts]))[:limit]  # the first that the policy comes to, if they do
            first = hosts[np.isin(group[hosts], group[hosts[seen]])]
            if int(give[first].sum()) >= job.accelerators:
                hosts = first
                continue
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
    return Fit(chosen, counts, spare_hosts(inventory, job, chosen))


def spare_hosts(inventory: Inventory, job: Job, chosen: Int64s) -> Int64s:
    """Return the spare hosts of each failure domain that the chosen hosts lie in: the last that would do."""
    if not job.spare_hosts:
        return np.empty(0, np.int64)
    group = inventory.problem.host_group(job.spare_reach)
    give = inventory.chunk(job, inventory.usable(job))
    give[chosen] = 0
    return np.concatenate(
        [np.flatnonzero((group == g) & (give > 0))[-job.spare_hosts :] for g in np.unique(group[chosen])]
    )


def _all_but_last(hosts: Int64s, group: npt.NDArray[np.integer], num: int) -> Int64s:
    """Leave out the last `num` hosts of each group, the order kept."""
    return hosts[_places_from_end(group) >= num]


def _whole_segments(hosts: Int64s, leaf: npt.NDArray[np.integer], segment: int) -> Int64s:
    """Keep a multiple of `segment` hosts in each leaf group, leaf groups in the order in which they come first."""
    order = np.argsort(_first_seen(leaf), kind="stable")
    hosts, leaf = hosts[order], leaf[order]
    size = np.bincount(leaf, minlength=1)[leaf] if len(leaf) else leaf
    return hosts[_places_from_end(leaf) >= size % segment]


def _whole_groups(hosts: Int64s, domain: npt.NDArray[np.integer], give: Int64s, group: int) -> tuple[Int64s, Int64s]:
    """Cut what the hosts of each scale-up domain give to a multiple of `group`, domains in the order they come."""
    order = np.argsort(_first_seen(domain), kind="stable")
    hosts, domain, give = hosts[order], domain[order], give.copy()
    for d in np.unique(domain).tolist():
        members = hosts[domain == d]
        filled = np.cumsum(give[members])
        most = filled[-1] - filled[-1] % group
        give[members] = np.clip(most - (filled - give[members]), 0, give[members])
    return hosts[give[hosts] > 0], give


def _first_seen(group: npt.NDArray[np.integer]) -> Int64s:
    """Return for each entry where its group comes first, ``(k,)``."""
    _, first, inverse = np.unique(group, return_index=True, return_inverse=True)
    place: Int64s = first[inverse.ravel()]
    return place


def _places_from_end(group: npt.NDArray[np.integer]) -> Int64s:
    """Return for each entry how many of its group follow it, ``(k,)``."""
    order = np.argsort(group, kind="stable")
    _, count = np.unique(group, return_counts=True)
    place = np.empty(len(group), np.int64)
    place[order] = np.concatenate([np.arange(n)[::-1] for n in count.tolist()] or [np.empty(0, np.int64)])
    return place
