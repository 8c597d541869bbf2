"""Parts of accelerators while a batch is being placed: shares and MIG slices, accelerator by accelerator."""

from __future__ import annotations

from collections import defaultdict

import numpy as np
import numpy.typing as npt

from planner.job import Job
from planner.problem import Problem
from planner.sharing import mig_fits, mig_profile, mig_slices
from topologies.fabric import Int64s

__all__ = ["Parts"]

_SLACK_FRAC = 1e-9
_Bools = npt.NDArray[np.bool_]


class Parts:
    """What is left of accelerators that jobs share.

    Parameters
    ----------
    problem
        Whose.

    Attributes
    ----------
    left_frac
        ``(num_accelerators,)`` what is left of the compute of each.
    """

    def __init__(self, problem: Problem) -> None:
        self.problem = problem
        fabric = problem.fabric
        self._memory = np.where(np.isfinite(fabric.accelerator_memory_bytes), fabric.accelerator_memory_bytes, 1e18)
        self.left_frac = problem.state.free_frac
        self._memory_left = self.left_frac * self._memory
        self._is_shared = (self.left_frac > 0) & (self.left_frac < 1)
        self._on: dict[int, list[Job]] = defaultdict(list)

    def needed_bytes(self, job: Job) -> npt.NDArray[np.float64]:
        """Memory that one part takes of each accelerator, ``(num_accelerators,)``."""
        if job.memory_bytes:
            return np.full(len(self._memory), float(job.memory_bytes))
        return job.share_frac * self._memory

    def room(self, job: Job, free: _Bools) -> _Bools:
        """Return the accelerators that could hold one more such part, ``(num_accelerators,)``."""
        accepted = self.problem.accepts(job)
        if job.mig_profile:
            room = free & accepted
            for accelerator, jobs in self._on.items():
                if jobs and accepted[accelerator] and all(other.mig_profile for other in jobs):
                    room[accelerator] = mig_fits([*self._slices(accelerator, jobs), *self._slices(accelerator, [job])])
            return room
        shared = self._is_shared & (self.left_frac >= job.share_frac - _SLACK_FRAC)
        shared &= self._memory_left >= self.needed_bytes(job) * (1 - _SLACK_FRAC)
        fits: _Bools = accepted & (free | shared) & (self._memory >= self.needed_bytes(job))
        return fits

    def usable(self, job: Job, free: _Bools) -> Int64s:
        """Return how many accelerators of each host could hold one more such part, ``(num_hosts,)``."""
        host = self.problem.fabric.accelerator_host
        return np.bincount(host[self.room(job, free)], minlength=self.problem.fabric.num_hosts).astype(np.int64)

    def shared_usable(self, job: Job, free: _Bools) -> Int64s:
        """Return the same of accelerators that are shared already."""
        host = self.problem.fabric.accelerator_host
        room = self.room(job, free) & ~free
        return np.bincount(host[room], minlength=self.problem.fabric.num_hosts).astype(np.int64)

    def choose(self, job: Job, first: int, last: int, free: _Bools, wanted: int) -> Int64s:
        """Return the accelerators of a host, from `first` to `last`, that hold such parts with least left over."""
        ready = first + np.flatnonzero(self.room(job, free)[first:last])
        used = np.array([len(self._on[a]) if a in self._on else 0 for a in ready.tolist()], np.int64)
        order = np.lexsort((ready, -used, self.left_frac[ready], free[ready]))
        return np.sort(ready[order[:wanted]])

    def settle(self, job: Job, accelerators: Int64s, sign: int) -> Int64s:
        """Put parts on accelerators (`sign` 1) or take them off (−1); return those that stop, or start, to be free."""
        changed = []
        needed = self.needed_bytes(job)
        for accelerator in accelerators.tolist():
            jobs = self._on[accelerator]
            if sign > 0:
                if not jobs and self.left_frac[accelerator] == 1:
                    changed.append(accelerator)
                jobs.append(job)
            else:
                jobs.remove(job)
            if not job.mig_profile:
                self.left_frac[accelerator] -= sign * job.share_frac
                self._memory_left[accelerator] -= sign * needed[accelerator]
                self._is_shared[accelerator] = bool(jobs) or 0 < self.left_frac[accelerator] < 1
            if not jobs:
                del self._on[accelerator]
                if abs(self.left_frac[accelerator] - 1) <= _SLACK_FRAC:
                    self.left_frac[accelerator] = 1.0
                    if sign < 0:
                        changed.append(accelerator)
        return np.array(changed, np.int64)

    def _slices(self, accelerator: int, jobs: list[Job]) -> list[tuple[int, int]]:
        memory = float(self._memory[accelerator])
        slices = [mig_slices(mig_profile(job.mig_profile), memory) for job in jobs]
        return [s for s in slices if s is not None]
