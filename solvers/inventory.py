"""What is free while a batch is being placed: counts a host, kept up to date as jobs take and give back."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from planner.job import Job
from planner.problem import Problem
from topologies.fabric import Int64s

__all__ = ["Inventory"]

_Key = tuple[tuple[str, ...], int]


class Inventory:
    """Free accelerators of a problem, mutable.

    Attributes
    ----------
    problem
        Whose.
    free
        ``(num_accelerators,)`` what is free now.
    host_busy
        ``(num_hosts,)`` accelerators of each host that are not free, for whatever reason.
    """

    def __init__(self, problem: Problem) -> None:
        self.problem = problem
        self.fabric = problem.fabric
        self.free = problem.state.free.copy()
        self._host = self.fabric.accelerator_host
        self.host_busy = np.bincount(self._host[~self.free], minlength=self.fabric.num_hosts).astype(np.int64)
        self._usable: dict[_Key, npt.NDArray[np.int64]] = {}
        self._accepts: dict[_Key, npt.NDArray[np.bool_]] = {}
        self._held_exclusively = np.zeros(self.fabric.num_hosts, bool)

    def copy(self) -> Inventory:
        """Return an independent copy."""
        twin = Inventory.__new__(Inventory)
        twin.problem, twin.fabric, twin._host = self.problem, self.fabric, self._host
        twin.free, twin.host_busy = self.free.copy(), self.host_busy.copy()
        twin._usable = {key: counts.copy() for key, counts in self._usable.items()}
        twin._accepts = self._accepts
        twin._held_exclusively = self._held_exclusively.copy()
        return twin

    def usable(self, job: Job) -> Int64s:
        """Return how many free accelerators of each host the job could use, ``(num_hosts,)``.

        Hosts that another job has to itself count as 0; so does a busy host for a job that wants hosts to itself.
        """
        key = (job.kinds, job.memory_bytes)
        counts = self._usable.get(key)
        if counts is None:
            accepted = self._accepts[key] = self.problem.accepts(job)
            counts = np.bincount(self._host[self.free & accepted], minlength=self.fabric.num_hosts).astype(np.int64)
            self._usable[key] = counts
        blocked = self._held_exclusively | (self.host_busy > 0) if job.exclusive else self._held_exclusively
        return np.where(blocked, 0, counts)

    def chunk(self, job: Job, usable: Int64s) -> Int64s:
        """Return how many accelerators each host would give the job: all it can, or exactly the job's share a host."""
        each = job.accelerators_per_host
        return usable if each is None else np.where(usable >= each, each, 0)

    def take(self, job: Job, hosts: npt.ArrayLike, counts: npt.ArrayLike) -> Int64s:
        """Take accelerators for a job; return them in rank order.

        Parameters
        ----------
        hosts, counts
            ``(k,)`` each: so many accelerators on those hosts. Ranks go by pod, leaf group, domain and host, so that a
            ring crosses each leaf once.
        """
        fabric = self.fabric
        host = np.asarray(hosts, np.int64)
        count = np.asarray(counts, np.int64)
        order = np.lexsort((host, fabric.host_domain[host], fabric.host_leaf_group[host], fabric.host_pod[host]))
        accepted = self._accepts.get((job.kinds, job.memory_bytes))
        if accepted is None:
            accepted = self.problem.accepts(job)
        taken = []
        for h, wanted in zip(host[order].tolist(), count[order].tolist(), strict=True):
            first, last = fabric.host_accelerator_start[h], fabric.host_accelerator_start[h + 1]
            ready = np.flatnonzero(self.free[first:last] & accepted[first:last])[:wanted]
            taken.append(first + ready)
        accelerators: Int64s = np.concatenate(taken)
        self._change(accelerators, free=False)
        if job.exclusive:
            self._held_exclusively[host] = True
        return accelerators

    def give_back(self, job: Job, accelerators: Int64s) -> None:
        """Free a job's accelerators again."""
        self._change(accelerators, free=True)
        if job.exclusive:
            self._held_exclusively[self._host[accelerators]] = False

    def occupy(self, job: Job, accelerators: Int64s) -> None:
        """Take exactly these accelerators for a job."""
        self._change(accelerators, free=False)
        if job.exclusive:
            self._held_exclusively[self._host[accelerators]] = True

    def _change(self, accelerators: Int64s, *, free: bool) -> None:
        self.free[accelerators] = free
        host = self._host[accelerators]
        sign = 1 if free else -1
        np.add.at(self.host_busy, host, -sign)
        for key, counts in self._usable.items():
            np.add.at(counts, host[self._accepts[key][accelerators]], sign)
