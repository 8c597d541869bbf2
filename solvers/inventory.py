"""What is free while a batch is being placed: counts a host, kept up to date as jobs take and give back."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import numpy.typing as npt

from planner.job import Job
from planner.placement import Placement
from planner.problem import Problem
from solvers.neighbours import Neighbours
from solvers.parts import Parts
from topologies.fabric import Int64s

__all__ = ["Inventory", "Taken", "usable_key"]

_Key = tuple[object, ...]
_NONE = np.empty(0, np.int64)


@dataclass(frozen=True, eq=False)
class Taken:
    """What a job got: accelerators in rank order, and those held idle for it."""

    ranks: Int64s
    spares: Int64s = field(default_factory=lambda: _NONE)


def usable_key(job: Job) -> tuple[object, ...]:
    """Return what decides, beside who else is there, which accelerators of a host a job could use."""
    return (job.kinds, job.memory_bytes, job.mig_profile, job.share_frac, job.exclusive)


class Inventory:
    """Free accelerators of a problem, mutable.

    Parameters
    ----------
    problem
        Whose.
    placement
        What of it is placed already; running jobs take their place only if they stand in it.

    Attributes
    ----------
    free
        ``(num_accelerators,)`` what is free as a whole now.
    host_busy
        ``(num_hosts,)`` accelerators of each host that are not free, for whatever reason.
    """

    def __init__(self, problem: Problem, placement: Placement | None = None) -> None:
        self.problem = problem
        self.fabric = problem.fabric
        self.free = problem.state.free.copy()
        self._host = self.fabric.accelerator_host
        self.host_busy = np.bincount(self._host[~self.free], minlength=self.fabric.num_hosts).astype(np.int64)
        self._usable: dict[_Key, Int64s] = {}
        self._accepts: dict[_Key, npt.NDArray[np.bool_]] = {}
        self._held = np.zeros(self.fabric.num_hosts, np.int64)
        self.neighbours = Neighbours(problem)
        self.parts = Parts(problem)
        if placement is not None:
            for job_id, ranks in placement.ranks.items():
                job = problem.jobs[problem.job_idx[job_id]]
                self.occupy(job, Taken(ranks, placement.spares.get(job_id, _NONE)))

    def usable(self, job: Job) -> Int64s:
        """Return how many accelerators of each host the job could use now, ``(num_hosts,)``.

        0 where another job has the host to itself, a neighbour is in the way, or the host is busy and the job wants
        hosts to itself.
        """
        blocked = self._held > 0
        if job.exclusive:
            blocked |= self.host_busy > 0
        stands_in_way = self.neighbours.blocked(job)
        if stands_in_way is not None:
            blocked |= stands_in_way
        counts = self.parts.usable(job, self.free) if job.is_part else self._counts(job)
        return np.where(blocked, 0, counts)

    def _counts(self, job: Job) -> Int64s:
        key = (job.kinds, job.memory_bytes)
        counts = self._usable.get(key)
        if counts is None:
            accepted = self._accepts[key] = self.problem.accepts(job)
            counts = np.bincount(self._host[self.free & accepted], minlength=self.fabric.num_hosts).astype(np.int64)
            self._usable[key] = counts
        return counts

    def chunk(self, job: Job, usable: Int64s) -> Int64s:
        """Return how many accelerators each host would give the job: all it can, or exactly the job's share a host.

        Groups of ranks that must share a scale-up domain no larger than a host come as wholes.
        """
        each = job.accelerators_per_host
        give = usable if each is None else np.where(usable >= each, each, 0)
        if job.domain_group == 1 and not job.same_domain:
            return give
        give = np.where(self._has_one_domain, give, 0)
        if job.domain_group > 1:
            give = np.where(self._has_wide_domain, give, give - give % job.domain_group)
            if each is not None and each % job.domain_group and job.domain_group % each:
                give = np.zeros_like(give)
        return give

    @cached_property
    def _has_one_domain(self) -> npt.NDArray[np.bool_]:
        """Whether all accelerators of each host share one scale-up domain, ``(num_hosts,)``."""
        fabric = self.fabric
        first = np.minimum(fabric.host_accelerator_start[:-1], fabric.num_accelerators - 1)
        last = fabric.host_accelerator_start[1:] - 1
        return np.asarray(fabric.accelerator_domain[first] == fabric.accelerator_domain[last], np.bool_)

    @cached_property
    def _has_wide_domain(self) -> npt.NDArray[np.bool_]:
        """Whether each host shares its scale-up domain with another host, ``(num_hosts,)``."""
        domain = self.fabric.host_domain
        return np.asarray(np.bincount(domain)[domain] > 1, np.bool_)

    def take(self, job: Job, hosts: npt.ArrayLike, counts: npt.ArrayLike, spare_hosts: npt.ArrayLike = ()) -> Taken:
        """Take accelerators for a job; return them in rank order.

        Parameters
        ----------
        hosts, counts
            ``(k,)`` each: so many accelerators on those hosts. Ranks go by pod, leaf group, domain and host, so that a
            ring crosses each leaf once.
        spare_hosts
            Hosts held idle for it.
        """
        fabric = self.fabric
        host, count = np.asarray(hosts, np.int64), np.asarray(counts, np.int64)
        order = np.lexsort((host, fabric.host_domain[host], fabric.host_leaf_group[host], fabric.host_pod[host]))
        ranks = [self._on_host(job, h, n) for h, n in zip(host[order].tolist(), count[order].tolist(), strict=True)]
        each = job.accelerators_per_host or 0
        spares = [self._on_host(job, h, each) for h in np.asarray(spare_hosts, np.int64).tolist()]
        taken = Taken(np.concatenate([*ranks, _NONE]), np.concatenate([*spares, _NONE]))
        self.occupy(job, taken)
        return taken

    def _on_host(self, job: Job, host: int, wanted: int) -> Int64s:
        first, last = int(self.fabric.host_accelerator_start[host]), int(self.fabric.host_accelerator_start[host + 1])
        if job.is_part:
            return self.parts.choose(job, first, last, self.free, wanted)
        accepted = self.problem.accepts(job)
        return first + np.flatnonzero(self.free[first:last] & accepted[first:last])[:wanted]

    def occupy(self, job: Job, taken: Taken) -> None:
        """Take exactly these accelerators for a job."""
        self._settle(job, taken, 1)

    def release(self, job: Job, taken: Taken) -> None:
        """Give a job's accelerators back."""
        self._settle(job, taken, -1)

    def retire(self, host: int) -> None:
        """Take what is free on a host out of use for good."""
        accelerators = self.fabric.host_accelerators(host)
        gone = accelerators[self.free[accelerators]]
        self._mark(gone, 1)

    def pick(self, job: Job, host: int, wanted: int) -> Int64s:
        """Return the accelerators of a host that the job would get, at most `wanted`; nothing is taken."""
        return self._on_host(job, host, wanted)

    def _settle(self, job: Job, taken: Taken, sign: int) -> None:
        accelerators = np.concatenate([taken.ranks, taken.spares])
        hosts = np.unique(self._host[accelerators]).astype(np.int64)
        changed = self.parts.settle(job, accelerators, sign) if job.is_part else accelerators
        self._mark(changed, sign)
        if job.exclusive:
            self._held[hosts] += sign
        self.neighbours.settle(job, hosts, sign)

    def _mark(self, accelerators: Int64s, sign: int) -> None:
        """Count accelerators as busy (`sign` 1) or free again (−1)."""
        self.free[accelerators] = sign < 0
        host = self._host[accelerators]
        np.add.at(self.host_busy, host, sign)
        for key, counts in self._usable.items():
            np.add.at(counts, host[self._accepts[key][accelerators]], -sign)
