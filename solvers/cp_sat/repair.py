"""A quick search on the levels below the weight: take some jobs out, put them back where uplinks have room.

Candidates are compared by the linear form of `solvers.loads`; the best of a handful is put to `evaluate`. A candidate
that the linear form flattered is remembered, so that it is not put forward again.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from planner.job import Job
from planner.placement import Placement
from solvers.cp_sat.search import Search
from solvers.fgd import stranded_by_room
from solvers.fitting import Policy, fit
from solvers.inventory import Inventory, Taken
from solvers.loads import Loads
from topologies.fabric import Int64s

__all__ = ["Repair"]

_MOST_FREED = 6
_CRUMBS_FRAC = 0.25  # of the tries go for whole hosts kept whole
_TRIES = 24  # candidates for one call of `evaluate`
_TRY_S = 0.002  # what a try counts as in a repeatable run
_NONE = np.empty(0, np.int64)


class LoadAware:
    """Leaf groups whose uplinks have room first, in pods with room; a single leaf group if one holds the job.

    Parameters
    ----------
    loads
        What the jobs that stay put on the uplinks.
    rng
        Breaks ties, and blurs the order for variety.
    """

    def __init__(self, loads: Loads, rng: np.random.Generator) -> None:
        self.loads, self.rng = loads, rng

    def scopes(self, inventory: Inventory, job: Job, give: Int64s) -> Iterator[Int64s]:
        """Yield leaf groups that hold the job, the tightest first; then pods, then everything, by load."""
        fabric = inventory.fabric
        ready = np.flatnonzero(give)
        if self.rng.random() < 0.5:  # the fullest hosts first, as they strand most
            ready = ready[np.argsort(-inventory.host_busy[ready], kind="stable")]
        leaf, pod = fabric.host_leaf_group, fabric.host_pod
        room = np.bincount(leaf[ready], weights=give[ready], minlength=fabric.num_leaf_groups)
        holds = np.flatnonzero(room >= job.accelerators)
        for one in holds[np.argsort(room[holds] + self.rng.random(len(holds)), kind="stable")].tolist():
            yield ready[leaf[ready] == one]
        load = self.loads.total
        blur = 0.3 * self.rng.random(fabric.num_leaf_groups)
        wants = np.ceil(job.accelerators / np.maximum(room, 1)) - 0.5 * (room / max(1.0, room.max(initial=1.0)))
        cost = (
            np.maximum(load[: fabric.num_leaf_groups], 0.0) * float(self.rng.choice((0.5, 1.0, 3.0)))
            + wants * 0.2
            + blur
        )
        by_leaf = ready[np.argsort(cost[leaf[ready]], kind="stable")]
        pod_room = np.bincount(pod[ready], weights=give[ready], minlength=fabric.num_pods)
        pods = np.flatnonzero(pod_room >= job.accelerators)
        for one in pods[np.argsort(load[fabric.num_leaf_groups + pods] + self.rng.random(len(pods)))].tolist():
            yield by_leaf[pod[by_leaf] == one]
        yield by_leaf


class Crumbs:
    """Hosts with least free first, blurred, whatever they hang on: leaves whole hosts whole.

    Parameters
    ----------
    rng
        Of the blur.
    """

    def __init__(self, rng: np.random.Generator) -> None:
        self.rng = rng

    def scopes(self, inventory: Inventory, job: Job, give: Int64s) -> Iterator[Int64s]:
        """Yield leaf groups in random order, or everything."""
        del job
        fabric = inventory.fabric
        ready = np.flatnonzero(give)
        free = fabric.host_num_accelerators[ready] - inventory.host_busy[ready]
        ready = ready[np.argsort(free + 1.5 * self.rng.random(len(ready)), kind="stable")]
        if self.rng.random() < 0.5:
            leaf = fabric.host_leaf_group[ready]
            for one in self.rng.permutation(np.unique(leaf)).tolist():
                yield ready[leaf == one]
        yield ready


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
        problem, fabric = search.problem, search.problem.fabric
        taken = np.bincount(
            fabric.host_leaf_group[fabric.accelerator_host[~problem.state.free]], minlength=fabric.num_leaf_groups
        )
        self._was_free = taken == 0
        self._stranded = stranded_by_room(problem, popular_frac=1.0)
        self.reset()

    def reset(self) -> None:
        """Start from the search's best placement."""
        search = self.search
        self.start = search.placement
        self.inventory = Inventory(search.problem, self.start)
        self.loads = Loads(search.problem, self.start)
        self.movable = [
            job
            for job in search.problem.jobs
            if job.id in self.start and job.id not in search.problem.running and not job.is_part
        ]

    def step(self) -> bool:
        """Try some candidates and put the best to `evaluate`; tell whether it is better."""
        search = self.search
        if search.placement is not self.start:
            self.reset()
        if not self.movable:
            return False
        now = self._key()
        best_key, best = now, None
        for _ in range(_TRIES):
            if search.left_s <= 0:
                break
            search.clock.charge(_TRY_S)
            tried = self._try(self._choose())
            if tried is not None and tried[0] < best_key and self._mark(tried[1]) not in self._flattered:
                best_key, best = tried
        if best is None:
            return False
        changed = Placement(
            {**self.start.ranks, **{job_id: taken.ranks for job_id, taken in best.items()}},
            {**self.start.spares, **{job_id: taken.spares for job_id, taken in best.items()}},
        )
        if search.offer(changed, "improving by repair"):
            self.reset()
            return True
        self._flattered.add(self._mark(best))
        return False

    @staticmethod
    def _mark(taken: dict[str, Taken]) -> tuple[tuple[str, bytes], ...]:
        return tuple(sorted((job_id, t.ranks.tobytes()) for job_id, t in taken.items()))

    def _key(self) -> tuple[float, ...]:
        """Return what candidates are compared by, less is better: the levels as far as counts tell, then spread."""
        slow = self.loads.slowdown()
        problem, inventory = self.search.problem, self.inventory
        fabric = problem.fabric
        busy = np.bincount(fabric.host_leaf_group, weights=inventory.host_busy, minlength=fabric.num_leaf_groups) > 0
        free = fabric.host_num_accelerators - inventory.host_busy
        return (
            round(float(slow.max(initial=1.0)), 6),
            round(float((slow - 1).sum()), 6),
            float(np.count_nonzero(busy & self._was_free)),
            round(float(self._stranded[free].sum()), 6),
            float(self.loads.of_job.sum()),
        )

    def _choose(self) -> list[Job]:
        """Choose jobs that are slowed down or share the uplinks of those that are, and some others."""
        rng, problem = self.search.rng, self.search.problem
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

    def _try(self, freed: list[Job]) -> tuple[tuple[float, ...], dict[str, Taken]] | None:
        """Place some jobs anew, note how it would be, and put everything back."""
        before = {job.id: Taken(self.start.ranks[job.id], self.start.spares.get(job.id, _NONE)) for job in freed}
        for job in freed:
            self.inventory.release(job, before[job.id])
            self.loads.put(job.id, None)
        rng = self.search.rng
        by_crumbs = bool(rng.random() < _CRUMBS_FRAC)
        policy: Policy = Crumbs(rng) if by_crumbs else LoadAware(self.loads, rng)
        order = list(rng.permutation(len(freed)))
        if rng.random() < 0.5:
            order.sort(key=lambda i: -freed[i].accelerators)
        after: dict[str, Taken] = {}
        for i in order:
            job = freed[i]
            found = fit(self.inventory, job, policy, may_split=by_crumbs)
            if found is None:
                break
            after[job.id] = self.inventory.take(job, found.hosts, found.counts, found.spare_hosts)
            self.loads.put(job.id, after[job.id].ranks)
        key = self._key() if len(after) == len(freed) else None
        for job in freed:
            if job.id in after:
                self.inventory.release(job, after[job.id])
        for job in freed:
            self.inventory.occupy(job, before[job.id])
            self.loads.put(job.id, before[job.id].ranks)
        return None if key is None else (key, after)
