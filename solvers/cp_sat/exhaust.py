"""Tries every placement of a small problem, hosts that are alike once: all levels at their best, and proven so."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations

import numpy as np

from planner.evaluate import congestion_of, missed_deadlines
from planner.job import Job
from planner.placement import Placement
from planner.problem import Problem
from solvers.cp_sat.levels import Levels
from solvers.cp_sat.search import Search
from solvers.inventory import Inventory, Taken
from topologies.fabric import Int64s

__all__ = ["exhaust"]

_MOST_JOBS, _MOST_HOSTS = 8, 16  # with anything free
_QUICK_NODES, _MOST_NODES = 8_000, 40_000
_TIME_FRAC = 0.5  # of the time left
_NODE_S = 0.0002  # what a node counts as in a repeatable run
_NOTHING = 1e-9
_NONE = np.empty(0, np.int64)
_Ways = Iterator[tuple[tuple[int, int], ...]]


class _TooManyError(Exception):
    """There is more to try than time or patience for."""


def exhaust(search: Search, *, is_quick: bool = False) -> bool:
    """Find the best placement of a small problem; tell whether all were tried. The bounds are then those of all levels.

    Placements of less weight than the best known are cut off where the weight leads.

    Parameters
    ----------
    is_quick
        Whether to give up early.
    """
    problem = search.problem
    hosts = np.unique(problem.fabric.accelerator_host[problem.state.free_frac > 0])
    if len(problem.jobs) > _MOST_JOBS or len(hosts) > _MOST_HOSTS:
        return False
    trial = _Trial(search, _QUICK_NODES if is_quick else _MOST_NODES)
    try:
        trial.run()
    except _TooManyError:
        return False
    best = trial.best
    if best is not None:
        search.offer(best, "trying every placement")
    search.prove()
    return True


class _Trial:
    def __init__(self, search: Search, most_nodes: int) -> None:
        self.search, self.problem, self.most_nodes = search, search.problem, most_nodes
        problem = search.problem
        self.levels = Levels(problem)
        stays = {i: a for i, a in problem.running.items() if not problem.jobs[problem.job_idx[i]].movable}
        self.inventory = Inventory(problem, Placement(stays))
        self.now: dict[str, Taken] = {job_id: Taken(ranks) for job_id, ranks in stays.items()}
        rest = [job for job in problem.jobs if job.id not in stays]
        self.order = sorted(rest, key=lambda job: (job.is_part, job.id not in problem.running, -job.accelerators))
        self.after = np.concatenate([np.cumsum([job.weight for job in self.order][::-1])[::-1], [0.0]])
        self.least = search.weight if search.leads_by_weight else -np.inf
        self.until_s = search.clock.now_s + _TIME_FRAC * search.left_s
        self.nodes = 0
        self.best: Placement | None = None
        self.best_key: tuple[float, ...] = search.score.key
        self._problem_of: dict[str, Problem] = {}
        self._alone: dict[object, bool] = {}
        self._slow: dict[object, tuple[float, float, float]] = {}

    def run(self) -> None:
        """Try everything.

        Raises
        ------
        _TooManyError
            If there is too much of it.
        """
        self._next(0, sum(self.problem.jobs[self.problem.job_idx[i]].weight for i in self.now))

    def _count(self) -> None:
        self.nodes += 1
        self.search.clock.charge(_NODE_S)
        if self.nodes > self.most_nodes or (self.nodes % 64 == 0 and self.search.clock.now_s > self.until_s):
            raise _TooManyError

    def _next(self, at: int, weight: float) -> None:
        self._count()
        if weight + self.after[at] < self.least - _NOTHING:
            return
        if at == len(self.order):
            self._judge(weight)
            return
        job = self.order[at]
        for taken in self._ways(job):
            self.inventory.occupy(job, taken)
            self.now[job.id] = taken
            self._next(at + 1, weight + job.weight)
            del self.now[job.id]
            self.inventory.release(job, taken)
        if job.id not in self.problem.running:
            self._next(at + 1, weight)

    def _ways(self, job: Job) -> Iterator[Taken]:
        """Yield what a job could get: a running one also exactly what it has."""
        home = self.problem.running.get(job.id)
        if home is not None and self.inventory.free[home].all():
            at = self.problem.fabric.accelerator_host[home]
            if (self.inventory.usable(job)[at] > 0).all():
                yield Taken(home)
        if job.is_part:
            yield from self._part_ways(job)
            return
        usable = self.inventory.usable(job)
        for counts in self._counts(job, usable):
            hosts = np.array([h for h, _ in counts], np.int64)
            sizes = np.array([n for _, n in counts], np.int64)
            for spare_hosts in self._spare_ways(job, hosts, usable):
                taken = self.inventory.take(job, hosts, sizes, spare_hosts)
                self.inventory.release(job, taken)
                if self._holds(job, (counts, spare_hosts), taken):
                    yield taken

    def _part_ways(self, job: Job) -> Iterator[Taken]:
        room = np.flatnonzero(self.inventory.parts.room(job, self.inventory.free))
        usable = self.inventory.usable(job)[self.problem.fabric.accelerator_host[room]] > 0
        for chosen in combinations(room[usable].tolist(), job.accelerators):
            self._count()
            taken = Taken(np.array(chosen, np.int64))
            if self._holds(job, chosen, taken):
                yield taken

    def _holds(self, job: Job, key: object, taken: Taken) -> bool:
        """Tell whether a job keeps its own rules, whoever else is there."""
        if (job.id, key) not in self._alone:
            alone = self._problem_of.setdefault(job.id, self.levels.alone(job))
            self._alone[job.id, key] = not Placement({job.id: taken.ranks}, {job.id: taken.spares}).faults(alone)
        return self._alone[job.id, key]

    def _counts(self, job: Job, usable: Int64s) -> _Ways:
        """Yield ``(host, accelerators)`` pairs that add up to the job; of alike hosts the first give most."""
        ready = [int(h) for h in np.flatnonzero(usable)]
        alike = self._alike(ready)
        each = job.accelerators_per_host

        def of(at: int, left: int, last: dict[object, int]) -> _Ways:
            self._count()
            if not left:
                yield ()
                return
            if at == len(ready) or left > int(usable[ready[at:]].sum()):
                return
            host = ready[at]
            most = min(int(usable[host]), left, last.get(alike[host], left))
            sizes = range(most, 0, -1) if each is None else ((each,) if most >= each else ())
            for size in sizes:
                for rest in of(at + 1, left - size, {**last, alike[host]: size}):
                    yield ((host, size), *rest)
            yield from of(at + 1, left, {**last, alike[host]: 0})

        yield from of(0, job.accelerators, {})

    def _alike(self, hosts: list[int]) -> dict[int, object]:
        """Return what tells hosts apart: where they are, what they are, and who is there."""
        fabric, state = self.problem.fabric, self.problem.state
        there: dict[int, list[object]] = {host: [] for host in hosts}
        for job_id, taken in self.now.items():
            for kind, accelerators in (("r", taken.ranks), ("s", taken.spares)):
                on, counts = np.unique(fabric.accelerator_host[accelerators], return_counts=True)
                for host, count in zip(on.tolist(), counts.tolist(), strict=True):
                    if host in there:
                        there[host].append((job_id, kind, count))
        found: dict[int, object] = {}
        for host in hosts:
            mine = fabric.host_accelerators(host)
            left = np.sort(state.free_frac[mine]).tobytes()
            home = tuple(job_id for job_id, ranks in self.problem.running.items() if np.isin(mine, ranks).any())
            place = (int(fabric.host_leaf_group[host]), int(fabric.host_domain[host]), int(fabric.host_part[host]))
            found[host] = (place, left, np.sort(state.availability[mine]).tobytes(), home, tuple(there[host]))
        return found

    def _spare_ways(self, job: Job, hosts: Int64s, usable: Int64s) -> Iterator[tuple[int, ...]]:
        """Yield spare hosts, just enough in each failure domain that is used."""
        if not job.spare_hosts:
            yield ()
            return
        group = self.problem.host_group(job.spare_reach)
        ready = [int(h) for h in np.flatnonzero(usable >= (job.accelerators_per_host or 1)) if h not in hosts]

        def of(groups: list[int]) -> Iterator[tuple[int, ...]]:
            if not groups:
                yield ()
                return
            inside = [h for h in ready if group[h] == groups[0]]
            for chosen in combinations(inside, job.spare_hosts):
                self._count()
                for rest in of(groups[1:]):
                    yield (*chosen, *rest)

        yield from of(np.unique(group[hosts]).tolist())

    def _judge(self, weight: float) -> None:
        """Compare a placement with the best so far, by the true score of what sends and by counts."""
        senders = [job for job in self.problem.jobs if job.traffic is not None and job.id in self.now]
        key = tuple((job.id, self.now[job.id].ranks.tobytes()) for job in senders)
        if key not in self._slow:
            self._slow[key] = self._congestion(senders)
        missed, worst, excess = self._slow[key]
        components = {
            "placed_weight": weight,
            "missed_deadlines": missed + self._late_silent(),
            "worst_slowdown": worst,
            "excess_slowdown": excess,
            **self.levels.of_counts(self.inventory, self.now),
        }
        found = self.problem.objective.key(components)
        if found > self.best_key and not self._placement().faults(self.problem):
            self.best_key, self.best = found, self._placement()
            if self.search.leads_by_weight:
                self.least = max(self.least, weight)

    def _placement(self) -> Placement:
        return Placement(
            {job_id: taken.ranks for job_id, taken in self.now.items()},
            {job_id: taken.spares for job_id, taken in self.now.items()},
        )

    def _congestion(self, senders: list[Job]) -> tuple[float, float, float]:
        if not senders:
            return 0.0, 1.0, 0.0
        placement = self._placement().only({job.id for job in senders})
        report = congestion_of(self.problem, placement, seed=self.search.seed)
        slow = report.slowdown()
        return float(missed_deadlines(senders, report)), float(slow.max(initial=1.0)), float((slow - 1.0).sum())

    def _late_silent(self) -> int:
        return sum(
            bool(job.duration_s and job.deadline_s and job.duration_s > job.deadline_s)
            for job in self.problem.jobs
            if job.traffic is None and job.id in self.now
        )
