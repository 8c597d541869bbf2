"""Counts what is alike: hosts into classes, jobs into requests of so many chunks of so many accelerators."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from planner.job import Job
from solvers.inventory import Inventory
from topologies.fabric import Int64s

__all__ = ["HostClasses", "Request", "host_classes", "requests"]


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
    is_idle
        ``(C,)`` whether a member holds nothing yet.
    usable
        For each pair of kinds and memory that jobs ask for, ``(C,)`` accelerators a member would give.
    """

    hosts: tuple[Int64s, ...]
    leaf_group: Int64s
    pod: Int64s
    domain: Int64s
    free: Int64s
    is_idle: Int64s
    usable: dict[tuple[tuple[str, ...], int], Int64s]

    def __len__(self) -> int:
        return len(self.hosts)


@dataclass(frozen=True, slots=True)
class Request:
    """Alike jobs, and how one of them is cut into chunks: what it takes of a host.

    Attributes
    ----------
    jobs
        The alike jobs; more than one only where each is a single chunk.
    chunks
        ``(accelerators, how many)`` pairs.
    is_open
        True if the job would also take other cuts, so that the model is narrower than the problem.
    """

    jobs: tuple[Job, ...]
    chunks: tuple[tuple[int, int], ...]
    is_open: bool

    @property
    def job(self) -> Job:
        """One of the alike jobs."""
        return self.jobs[0]

    @property
    def num_chunks(self) -> int:
        """Chunks of one job."""
        return sum(count for _, count in self.chunks)


def host_classes(inventory: Inventory, jobs: Sequence[Job]) -> HostClasses:
    """Group the hosts that have something free by where they sit and what they would give each kind of job."""
    fabric = inventory.fabric
    keys = sorted({(job.kinds, job.memory_bytes) for job in jobs})
    probes = {key: Job("probe", 1, kinds=key[0], memory_bytes=key[1]) for key in keys}
    usable = [inventory.usable(probes[key]) for key in keys]
    free = np.bincount(fabric.accelerator_host[inventory.free], minlength=fabric.num_hosts)
    domain_hosts = np.bincount(fabric.host_domain, minlength=fabric.num_domains)
    domain = np.where(domain_hosts[fabric.host_domain] > 1, fabric.host_domain, -1)
    is_idle = inventory.host_busy == 0
    has_room = np.flatnonzero(np.max(usable, axis=0, initial=0) > 0)
    columns = [fabric.host_leaf_group, fabric.host_pod, domain, free, is_idle, *usable]
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
        rows[:, 4],
        {key: rows[:, 5 + i] for i, key in enumerate(keys)},
    )


def requests(jobs: Sequence[Job], largest_host: int) -> list[Request]:
    """Cut jobs into chunks and group the alike ones that are a single chunk."""
    alike: dict[tuple[object, ...], list[Job]] = defaultdict(list)
    for job in jobs:
        spec = (
            job.accelerators,
            job.accelerators_per_host,
            job.memory_bytes,
            job.kinds,
            job.priority,
            job.same_domain,
            job.exclusive,
        )
        is_single = _chunks(job, largest_host)[0][1] == 1 and len(_chunks(job, largest_host)) == 1
        alike[spec if is_single else (job.id,)].append(job)
    return [
        Request(
            tuple(group),
            _chunks(group[0], largest_host),
            group[0].accelerators > 1 and group[0].accelerators_per_host is None and not group[0].same_domain,
        )
        for group in alike.values()
    ]


def _chunks(job: Job, largest_host: int) -> tuple[tuple[int, int], ...]:
    """Return how a job is cut: as it asks, in one piece if a host can hold it, else into whole hosts and a rest."""
    each = job.accelerators_per_host
    if each is not None:
        return ((each, job.accelerators // each),)
    if job.accelerators <= largest_host:
        return ((job.accelerators, 1),)
    whole, rest = divmod(job.accelerators, largest_host)
    return ((largest_host, whole), (rest, 1)) if rest else ((largest_host, whole),)
