"""One change at a time: a job placed into a running cluster, a failed host patched, nobody else touched."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from planner.job import Job
from planner.placement import Placement
from planner.problem import Problem
from planner.result import Refusal
from solvers.fitting import Policy, fit
from solvers.inventory import Inventory, Taken
from solvers.policies import BestFit
from solvers.reasons import refusal
from topologies.errors import InfeasibleError, InputError
from topologies.fabric import Int64s

__all__ = ["LiveCluster"]

_MOST_CANDIDATES = 64


class LiveCluster:
    """A cluster whose counts are kept up to date, so that one change costs milliseconds whatever its size.

    Parameters
    ----------
    problem
        The fabric, its state, and every job that may come (rules between jobs are looked up there).
    placement
        Where jobs run now.
    policy
        How places are chosen; best-fit if left out.

    Raises
    ------
    InputError
        If the placement is none of the problem's.
    """

    def __init__(self, problem: Problem, placement: Placement | None = None, *, policy: Policy | None = None) -> None:
        start = placement if placement is not None else Placement(problem.running)
        start.check(problem)
        self.problem = problem
        self._inventory = Inventory(problem, start)
        self._policy = policy or BestFit()
        self._taken = {i: Taken(a, start.spares.get(i, np.empty(0, np.int64))) for i, a in start.ranks.items()}
        for job in problem.jobs:
            self._inventory.usable(job)  # counts by kind are made once, here

    @property
    def placement(self) -> Placement:
        """Where jobs run now."""
        return Placement(
            {job_id: taken.ranks for job_id, taken in self._taken.items()},
            {job_id: taken.spares for job_id, taken in self._taken.items()},
        )

    def place(self, job_id: str) -> Int64s | Refusal:
        """Place one job; return its accelerators in rank order, or why it does not fit.

        Raises
        ------
        InputError
            If the job is none of the problem's, or runs already.
        """
        job = self._job(job_id)
        if job_id in self._taken:
            raise InputError(what="the job runs already", where=f"job {job_id!r}")
        found = fit(self._inventory, job, self._policy)
        if found is None:
            return refusal(self._inventory, job)
        taken = self._taken[job_id] = self._inventory.take(job, found.hosts, found.counts, found.spare_hosts)
        return taken.ranks

    def end(self, job_id: str) -> None:
        """Free what a job had.

        Raises
        ------
        InputError
            If the job does not run.
        """
        job = self._job(job_id)
        if job_id not in self._taken:
            raise InputError(what="the job does not run", where=f"job {job_id!r}")
        self._inventory.release(job, self._taken.pop(job_id))

    def replace_host(self, job_id: str, host: str) -> Int64s:
        """Patch a job after a host failed: its ranks there go to another host, all others stay; return all its ranks.

        A spare host of the job is taken first, then one in the same leaf group, the same pod, anywhere. The failed host
        gives nothing to anybody from now on.

        Raises
        ------
        InputError
            If the job does not run, or not on that host.
        InfeasibleError
            If no other host can take its place by the job's rules.
        """
        job = self._job(job_id)
        fabric = self.problem.fabric
        failed = fabric.host_idx(host)
        taken = self._taken.get(job_id)
        if taken is None or not (fabric.accelerator_host[taken.ranks] == failed).any():
            raise InputError(what="the job does not run there", where=f"job {job_id!r}", found=repr(host))
        lost = np.flatnonzero(fabric.accelerator_host[taken.ranks] == failed)
        self._inventory.release(job, taken)
        self._inventory.retire(failed)
        for candidate in self._candidates(job, taken, failed, len(lost)):
            changed = self._with_host(job, taken, lost, candidate)
            if changed is not None:
                self._inventory.occupy(job, changed)
                self._taken[job_id] = changed
                return changed.ranks
        del self._taken[job_id]
        raise InfeasibleError(
            what="no other host can take the place of the failed one",
            where=f"job {job_id!r}",
            found=host,
            fix="the job has ended; place it anew",
        )

    def _candidates(self, job: Job, taken: Taken, failed: int, num: int) -> list[int]:
        """Return hosts that could give as many accelerators: spare ones, then near ones first."""
        fabric = self.problem.fabric
        spare_hosts = np.unique(fabric.accelerator_host[taken.spares]).astype(np.int64)
        give = self._inventory.usable(job)
        give[np.unique(fabric.accelerator_host[taken.ranks])] = 0
        give[spare_hosts] = 0
        ready = np.flatnonzero(give >= num)
        far = 2 * (fabric.host_leaf_group[ready] != fabric.host_leaf_group[failed]).astype(np.int64)
        far += fabric.host_pod[ready] != fabric.host_pod[failed]
        order = np.lexsort((ready, give[ready], far))
        away = fabric.host_leaf_group[spare_hosts] != fabric.host_leaf_group[failed]
        return [*spare_hosts[np.argsort(away, kind="stable")].tolist(), *ready[order][:_MOST_CANDIDATES].tolist()]

    def _with_host(self, job: Job, taken: Taken, lost: Int64s, host: int) -> Taken | None:
        """Return what the job has with some ranks on another host, or None if its rules forbid that.

        A spare host that steps in is no longer held; the count of spares is made up when the failed host is back.
        """
        at = self.problem.fabric.accelerator_host
        is_held = at[taken.spares] == host
        there = taken.spares[is_held] if is_held.any() else self._inventory.pick(job, host, len(lost))
        if len(there) < len(lost):
            return None
        ranks = taken.ranks.copy()
        ranks[lost] = there[: len(lost)]
        rules = replace(job, spare_hosts=0)
        alone = replace(self.problem, jobs=(rules,), running={})
        return Taken(ranks, taken.spares[~is_held]) if not Placement({job.id: ranks}).faults(alone) else None

    def _job(self, job_id: str) -> Job:
        if job_id not in self.problem.job_idx:
            raise InputError(what="no such job", found=repr(job_id))
        return self.problem.jobs[self.problem.job_idx[job_id]]
