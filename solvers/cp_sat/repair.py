"""A quick search on the levels below the weight: take some jobs out, put them back where uplinks have room.

Candidates are compared by the linear form of `solvers.loads` and by counts; the best of a handful is put to `evaluate`.
A candidate that the linear form flattered is remembered, so that it is not put forward again.
"""

from __future__ import annotations

import numpy as np

from planner.job import Job
from planner.placement import Placement
from solvers.cp_sat.levels import Levels
from solvers.cp_sat.scopes import Crumbs, LoadAware
from solvers.cp_sat.search import Search
from solvers.fitting import Policy, fit
from solvers.inventory import Inventory, Taken
from solvers.loads import Loads
from solvers.policies import RandomFit

__all__ = ["Repair"]

_MOST_FREED = 6
_CRUMBS_FRAC, _RANDOM_FRAC = 0.25, 0.1  # of the tries go for whole hosts kept whole, and anywhere
_HOME_FRAC = 0.3  # of the tries a running job that was freed goes back to where it runs, if it can
_OTHERS_FRAC = 0.3  # of the tries jobs that are left out may step in for others, if there are any
_MOST_OTHERS = 3
_TRIES = 24  # candidates for one call of `evaluate`
_TRY_S = 0.002  # what a try counts as in a repeatable run
_NONE = np.empty(0, np.int64)
_Changes = dict[str, Taken | None]


class Repair:
    """Takes jobs out of the best placement and puts them back.

    Parameters
    ----------
    search
        The run; its best placement must not change behind this object's back between `step` calls without `reset`.
    """

    def __init__(self, search: Search) -> None:
        self.search = search
        self._flattered: set[tuple[tuple[str, bytes], ...]] = set()
        problem = search.problem
        self._levels = Levels(problem)
        self._has_deadline = any(job.duration_s and job.deadline_s for job in problem.jobs)
        self.reset()

    def reset(self) -> None:
        """Start from the search's best placement."""
        search, problem = self.search, self.search.problem
        self.start = search.placement
        self.inventory = Inventory(problem, self.start)
        self.loads = Loads(problem, self.start)
        self.now = {
            job.id: Taken(self.start.ranks[job.id], self.start.spares.get(job.id, _NONE))
            for job in problem.jobs
            if job.id in self.start
        }
        self.movable = [
            job for job in problem.jobs if job.id in self.now and (job.movable or job.id not in problem.running)
        ]
        self.left_out = [job for job in problem.jobs if job.id not in self.now]
        self._compute_frac = np.zeros(len(problem.jobs))
        if self._has_deadline:
            report = search.score.congestion
            placed = [problem.job_idx[job_id] for job_id in self.start]
            order = np.sort(np.array(placed, np.int64))
            compute = np.array([problem.jobs[i].compute_s for i in order.tolist()])
            alone = compute + report.isolated.time_s
            self._compute_frac[order] = np.divide(compute, alone, out=np.zeros(len(order)), where=alone > 0)

    def step(self) -> bool:
        """Try some candidates and put the best to `evaluate`; tell whether it is better."""
        search = self.search
        if search.placement is not self.start:
            self.reset()
        if not self.movable and (search.leads_by_weight or not self.left_out):
            return False
        best_key = self._key()
        best: _Changes | None = None
        for _ in range(_TRIES):
            if search.left_s <= 0:
                break
            search.clock.charge(_TRY_S)
            tried = self._try(self._choose())
            if tried is not None and tried[0] < best_key and self._mark(tried[1]) not in self._flattered:
                best_key, best = tried
        if best is None:
            return False
        ranks, spares = dict(self.start.ranks), dict(self.start.spares)
        for job_id, taken in best.items():
            ranks.pop(job_id, None)
            spares.pop(job_id, None)
            if taken is not None:
                ranks[job_id], spares[job_id] = taken.ranks, taken.spares
        if search.offer(Placement(ranks, spares), "improving by repair"):
            self.reset()
            return True
        self._flattered.add(self._mark(best))
        return False

    @staticmethod
    def _mark(taken: _Changes) -> tuple[tuple[str, bytes], ...]:
        return tuple(sorted((job_id, b"" if t is None else t.ranks.tobytes()) for job_id, t in taken.items()))

    def _key(self) -> tuple[float, ...]:
        """Return what candidates are compared by, less is better: the objective as far as counts tell, then spread."""
        slow = self.loads.slowdown()
        problem = self.search.problem
        components = {
            "placed_weight": round(sum(problem.jobs[problem.job_idx[i]].weight for i in self.now), 6),
            "missed_deadlines": float(self._missed(slow)) if self._has_deadline else 0.0,
            "worst_slowdown": round(float(slow.max(initial=1.0)), 6),
            "excess_slowdown": round(float((slow - 1).sum()), 6),
            **self._levels.of_counts(self.inventory, self.now),
        }
        key = tuple(-value for value in problem.objective.key(components))
        return (*key, float(self.loads.of_job.sum()))

    def _missed(self, slow: np.ndarray[tuple[int], np.dtype[np.float64]]) -> int:
        stretch = self._compute_frac + (1 - self._compute_frac) * slow
        jobs = self.search.problem.jobs
        return sum(
            bool(job.duration_s and job.deadline_s and job.duration_s * stretch[i] > job.deadline_s)
            for i, job in enumerate(jobs)
            if job.id in self.now
        )

    def _choose(self) -> list[Job]:
        """Choose jobs that are slowed down or share the uplinks of those that are, and some others."""
        rng, problem = self.search.rng, self.search.problem
        if not self.movable:
            return []
        idx = np.array([problem.job_idx[job.id] for job in self.movable])
        slow = self.loads.slowdown() - 1.0
        heat = (self.loads.of_job[idx] > 0) @ np.maximum(self.loads.total - 1.0, 0.0)
        interest = (
            0.02
            + np.minimum(slow[idx], 10.0)
            + np.minimum(heat, 10.0)
            + 0.05 * (self.loads.of_job[idx] > 0).sum(axis=1)
        )
        num = min(int(rng.integers(1, _MOST_FREED + 1)), len(idx))
        return [self.movable[i] for i in rng.choice(len(idx), num, replace=False, p=interest / interest.sum())]

    def _try(self, freed: list[Job]) -> tuple[tuple[float, ...], _Changes] | None:
        """Place some jobs anew, note how it would be, and put everything back."""
        problem, rng = self.search.problem, self.search.rng
        before = {job.id: self.now[job.id] for job in freed}
        for job in freed:
            self._take_out(job)
        kind = rng.random()
        by_crumbs = bool(kind < _CRUMBS_FRAC)
        policy: Policy = LoadAware(self.loads, rng)
        if by_crumbs:
            policy = Crumbs(rng)
        elif kind > 1 - _RANDOM_FRAC:
            policy = RandomFit(int(rng.integers(2**31)))
        may_split = by_crumbs or bool(rng.random() < _RANDOM_FRAC)
        after: _Changes = {}
        for job in self._order(freed):
            taken = self._put(job, policy, may_split=may_split)
            if taken is not None:
                after[job.id] = taken
            elif job.id in before:
                after[job.id] = None
        is_whole = all(after[job.id] is not None for job in freed if job.id in problem.running)
        lost = any(taken is None for taken in after.values())
        key = None
        if is_whole and (not lost or not self.search.leads_by_weight or len(after) > len(freed)):
            key = self._key()
        for job_id, taken in after.items():
            if taken is not None:
                self._take_out(problem.jobs[problem.job_idx[job_id]])
        for job in freed:
            self.inventory.occupy(job, before[job.id])
            self._hold(job, before[job.id])
        return None if key is None else (key, after)

    def _order(self, freed: list[Job]) -> list[Job]:
        """Return in which order jobs are put back, now and then with some that are left out."""
        rng = self.search.rng
        order = [freed[i] for i in rng.permutation(len(freed))]
        if rng.random() < 0.5:
            order.sort(key=lambda job: -job.accelerators)
        if not self.left_out or rng.random() > _OTHERS_FRAC:
            return order
        num = min(int(rng.integers(1, _MOST_OTHERS + 1)), len(self.left_out))
        others = [self.left_out[i] for i in rng.choice(len(self.left_out), num, replace=False)]
        return [*others, *order] if rng.random() < 0.5 else [*order, *others]

    def _put(self, job: Job, policy: Policy, *, may_split: bool) -> Taken | None:
        """Put a job where a policy says, or a running one back where it runs; None if it does not fit."""
        rng = self.search.rng
        home = self.search.problem.running.get(job.id)
        if home is not None and rng.random() < _HOME_FRAC and self.inventory.free[home].all():
            taken = Taken(home)
            blocked = self.inventory.usable(job)[self.search.problem.fabric.accelerator_host[home]] == 0
            if blocked.any():
                return None
            self.inventory.occupy(job, taken)
        else:
            found = fit(self.inventory, job, policy, may_split=may_split)
            if found is None:
                return None
            taken = self.inventory.take(job, found.hosts, found.counts, found.spare_hosts)
        self._hold(job, taken)
        return taken

    def _hold(self, job: Job, taken: Taken) -> None:
        self.now[job.id] = taken
        self.loads.put(job.id, taken.ranks)

    def _take_out(self, job: Job) -> None:
        self.inventory.release(job, self.now.pop(job.id))
        self.loads.put(job.id, None)
