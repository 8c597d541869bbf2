"""Who may be beside whom: tenants that want isolation, and labels that keep their distance."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from planner.job import Job, Reach
from planner.problem import Problem
from topologies.fabric import Int64s

__all__ = ["Neighbours"]

_Bools = npt.NDArray[np.bool_]


class Neighbours:
    """Counts jobs by tenant and label in the hosts, leaf groups or pods where somebody minds.

    Parameters
    ----------
    problem
        Whose jobs.
    """

    def __init__(self, problem: Problem) -> None:
        self._tenant = {name: t for t, name in enumerate(dict.fromkeys(job.tenant for job in problem.jobs))}
        labels = dict.fromkeys(job.anti_affinity for job in problem.jobs if job.anti_affinity)
        self._label = {name: n for n, name in enumerate(labels)}
        self._group: dict[Reach, npt.NDArray[np.integer]] = {}
        self._stranger: dict[Reach, _Bools] = {}
        self._present: dict[Reach, Int64s] = {}
        self._sealed: dict[Reach, Int64s] = {}
        self._labelled: dict[Reach, Int64s] = {}
        isolating = dict.fromkeys(job.isolation for job in problem.jobs if job.isolation)
        keeping = dict.fromkeys(job.anti_affinity_reach for job in problem.jobs if job.anti_affinity)
        for reach in (*isolating, *keeping):
            if reach not in self._group:
                self._group[reach] = problem.host_group(reach)
        for reach in isolating:
            group = self._group[reach]
            num = int(group.max()) + 1
            self._stranger[reach] = np.bincount(group[problem.host_is_used], minlength=num) > 0
            self._present[reach] = np.zeros((num, len(self._tenant)), np.int64)
            self._sealed[reach] = np.zeros((num, len(self._tenant)), np.int64)
        for reach in keeping:
            self._labelled[reach] = np.zeros((int(self._group[reach].max()) + 1, len(self._label)), np.int64)

    def blocked(self, job: Job) -> _Bools | None:
        """Return the hosts where a neighbour is in the job's way, ``(num_hosts,)``; None if nobody minds."""
        found: _Bools | None = None
        tenant = self._tenant.get(job.tenant)
        for reach, sealed in self._sealed.items():
            others = sealed.sum(axis=1) - (sealed[:, tenant] if tenant is not None else 0)
            bad = others > 0
            if job.isolation == reach:
                present = self._present[reach]
                bad |= present.sum(axis=1) - (present[:, tenant] if tenant is not None else 0) > 0
                bad |= self._stranger[reach]
            found = _either(found, bad[self._group[reach]])
        if job.anti_affinity:
            reach = job.anti_affinity_reach
            labelled = self._labelled[reach][:, self._label[job.anti_affinity]] > 0
            found = _either(found, labelled[self._group[reach]])
        return found

    def settle(self, job: Job, hosts: Int64s, sign: int) -> None:
        """Count a job in on its hosts (`sign` 1), or out again (−1)."""
        for reach, present in self._present.items():
            groups, tenant = np.unique(self._group[reach][hosts]), self._tenant[job.tenant]
            present[groups, tenant] += sign
            if job.isolation == reach:
                self._sealed[reach][groups, tenant] += sign
        if job.anti_affinity:
            reach = job.anti_affinity_reach
            groups = np.unique(self._group[reach][hosts])
            self._labelled[reach][groups, self._label[job.anti_affinity]] += sign


def _either(one: _Bools | None, other: _Bools) -> _Bools:
    return other if one is None else one | other
