"""Counts what is alike: hosts into classes, jobs into requests of so many chunks of so many accelerators."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence, Set
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from planner.job import Job
from solvers.inventory import Inventory, usable_key
from topologies.fabric import Int64s

__all__ = ["Cut", "HostClasses", "Request", "asker", "host_classes", "requests"]

Cut = Literal["fixed", "loose", "cover", "narrow"]


@dataclass(frozen=True, eq=False)
class HostClasses:
    """Hosts that no job can tell apart.

    Attributes
    ----------
    hosts
        Members of each class.
    leaf_group, pod, domain
        ``(C,)`` where they sit; domain is −1 where a scale-up domain is no larger than a host.
    free
        ``(C,)`` free accelerators of each member.
    usable
        For each kind of asker (`key`), ``(C,)`` accelerators a member would give.
    """

    hosts: tuple[Int64s, ...]
    leaf_group: Int64s
    pod: Int64s
    domain: Int64s
    free: Int64s
    usable: dict[tuple[object, ...], Int64s]

    def __len__(self) -> int:
        return len(self.hosts)

    def usable_by(self, job: Job) -> Int64s:
        """Return what a member of each class would give a job, ``(C,)``."""
        return self.usable[asker(job)]

    def group(self, reach: str) -> Int64s:
        """Return the leaf group or pod of each class, ``(C,)``."""
        return self.leaf_group if reach == "leaf" else self.pod


def asker(job: Job) -> tuple[object, ...]:
    """Return what decides what a host would give a job now."""
    return (*usable_key(job), job.isolation, job.tenant, job.anti_affinity)


@dataclass(frozen=True, slots=True)
class Request:
    """Alike jobs, and how one of them is cut into chunks: what it takes of a host.

    Attributes
    ----------
    jobs
        The alike jobs; more than one only where each is a single chunk.
    chunks
        ``(accelerators, how many)`` pairs.
    cut
        ``fixed``: no other cut will do. ``loose``: accelerators anywhere will. ``cover``: whole hosts, together large
        enough. ``narrow``: other cuts would do, but the model does not know them.
    """

    jobs: tuple[Job, ...]
    chunks: tuple[tuple[int, int], ...]
    cut: Cut

    @property
    def job(self) -> Job:
        """One of the alike jobs."""
        return self.jobs[0]

    @property
    def num_chunks(self) -> int:
        """Chunks of one job."""
        return sum(count for _, count in self.chunks)

    @property
    def weight(self) -> float:
        """What all its jobs are worth."""
        return sum(job.weight for job in self.jobs)


def host_classes(
    inventory: Inventory,
    jobs: Sequence[Job],
    *,
    mark: Int64s | None = None,
    by_place: bool = True,
    among: Int64s | None = None,
) -> HostClasses:
    """Group the hosts that have something free by where they sit and what they would give each kind of job.

    Parameters
    ----------
    mark
        ``(num_hosts,)`` numbers by which hosts are told apart beside that.
    by_place
        False to look at no leaf group, pod or domain: a relaxation with few classes.
    among
        Host numbers to look at; None for all.
    """
    fabric = inventory.fabric
    here = np.ones(fabric.num_hosts, bool)
    if among is not None:
        here = np.zeros(fabric.num_hosts, bool)
        here[among] = True
    probes = {asker(job): job for job in jobs}
    usable = [inventory.chunk(_uncut(job), inventory.usable(job)) for job in probes.values()]
    free = np.bincount(fabric.accelerator_host[inventory.free], minlength=fabric.num_hosts)
    domain_hosts = np.bincount(fabric.host_domain, minlength=fabric.num_domains)
    domain = np.where(domain_hosts[fabric.host_domain] > 1, fabric.host_domain, -1)
    has_room = np.flatnonzero(here & (np.max(usable, axis=0, initial=0) > 0) & (free > 0))
    distinct: dict[bytes, int] = {}
    places = (fabric.host_leaf_group, fabric.host_pod, domain)
    columns = [*(places if by_place else (np.zeros_like(p) for p in places)), free]
    if not by_place:
        columns[2] = np.full_like(domain, -1)
    columns.append(np.zeros(fabric.num_hosts, np.int64) if mark is None else mark)
    place = []
    for counts in usable:
        data = counts.tobytes()
        if data not in distinct:
            distinct[data] = len(columns)
            columns.append(counts)
        place.append(distinct[data])
    table = np.stack([np.asarray(column, np.int64)[has_room] for column in columns], axis=1)
    rows, inverse = np.unique(table, axis=0, return_inverse=True)
    order = np.argsort(inverse.ravel(), kind="stable")
    cuts = np.cumsum(np.bincount(inverse.ravel(), minlength=len(rows)))[:-1]
    members = tuple(np.split(has_room[order], cuts)) if len(rows) else ()
    return HostClasses(
        members,
        rows[:, 0],
        rows[:, 1],
        rows[:, 2],
        rows[:, 3],
        {key: rows[:, at] for key, at in zip(probes, place, strict=True)},
    )


def _uncut(job: Job) -> Job:
    """Return the job without what makes it take a fixed number a host."""
    return (
        job
        if job.accelerators_per_host is None
        else replace(job, accelerators_per_host=None, segment_hosts=None, spare_hosts=0)
    )


def requests(
    jobs: Sequence[Job], largest_host: int, *, has_wide_domains: bool, apart: Set[str] = frozenset()
) -> list[Request]:
    """Cut jobs into chunks and group the alike ones that are a single chunk.

    Parameters
    ----------
    largest_host
        Accelerators of the largest host.
    has_wide_domains
        Whether some scale-up domain is larger than a host.
    apart
        Ids of jobs that stand for themselves.
    """
    alike: dict[tuple[object, ...], list[Job]] = defaultdict(list)
    chunks = {job.id: _chunks(job, largest_host) for job in jobs}
    cuts = {job.id: _cut(job, largest_host, has_wide_domains=has_wide_domains) for job in jobs}
    for job in jobs:
        is_single = sum(count for _, count in chunks[job.id]) == 1 and not job.spare_hosts and job.id not in apart
        is_bound = cuts[job.id] == "cover" or (cuts[job.id] == "loose" and _is_bound(job))
        alike[_spec(job) if is_single and not is_bound else (job.id,)].append(job)
    return [Request(tuple(group), chunks[group[0].id], cuts[group[0].id]) for group in alike.values()]


def _cut(job: Job, largest_host: int, *, has_wide_domains: bool) -> Cut:
    """Return which other cuts of a job would do."""
    if job.accelerators == 1 or job.accelerators_per_host is not None:
        is_whole = max(job.accelerators_per_host or 1, 1) == largest_host
        return "narrow" if job.isolation == "host" and not is_whole else "fixed"
    if job.isolation == "host" or (job.anti_affinity and job.anti_affinity_reach == "host"):
        return "narrow"
    if job.same_domain or job.domain_group > 1:
        if job.exclusive:
            return "narrow"
        if not has_wide_domains:
            return "fixed" if job.same_domain else "narrow"
        return "loose"
    return "cover" if job.exclusive else "loose"


def _is_bound(job: Job) -> bool:
    """Tell whether the pieces of a job depend on each other, so that alike jobs cannot be mixed."""
    return (
        job.same_domain
        or job.domain_group > 1
        or job.max_leaf_groups is not None
        or job.max_pods is not None
        or bool(job.anti_affinity)
    )


def _spec(job: Job) -> tuple[object, ...]:
    """Return what two alike jobs have in common, as far as their places go."""
    return (
        *asker(job),
        job.accelerators,
        job.accelerators_per_host,
        job.priority,
        job.same_domain,
        job.domain_group,
        job.max_leaf_groups,
        job.max_pods,
        job.anti_affinity_reach,
        job.preferred_kinds,
        job.traffic is None,
    )


def _chunks(job: Job, largest_host: int) -> tuple[tuple[int, int], ...]:
    """Return how a job is cut: as it asks, in one piece if a host can hold it, else into whole hosts and a rest."""
    each = job.accelerators_per_host
    if each is not None:
        return ((each, job.accelerators // each),)
    if job.accelerators <= largest_host:
        return ((job.accelerators, 1),)
    most = largest_host
    if 1 < job.domain_group <= largest_host:
        most -= most % job.domain_group
    whole, rest = divmod(job.accelerators, most)
    return ((most, whole), (rest, 1)) if rest else ((most, whole),)
