"""Why a job does not fit: every smallest set of things in its way, by exact counts; and remedies, tried out."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import combinations

import numpy as np

from planner.advice import Obstacle, Remedy, Why
from planner.job import Job
from planner.placement import Placement
from planner.problem import Problem
from planner.state import Availability
from solvers.fitting import fit
from solvers.inventory import Inventory
from solvers.policies import BestFit
from solvers.reasons import asked_text, obstacle_text
from solvers.room import could_fit
from topologies.errors import InputError
from topologies.fabric import Int64s

__all__ = ["why"]

_MOST_AT_ONCE = 3
_MOST_TOLD = 6
_STRANGER = 10_000  # price of a host with somebody on it who is not in the batch: above that of any job on one
_Change = tuple[str, object]

# Rules of the job itself: what it is without them.
_JOB_FAMILIES: dict[str, tuple[Callable[[Job], bool], dict[str, object]]] = {
    "kinds": (lambda job: bool(job.kinds), {"kinds": (), "preferred_kinds": ()}),
    "memory_bytes": (lambda job: job.memory_bytes > 0, {"memory_bytes": 0}),
    "same_domain": (lambda job: job.same_domain, {"same_domain": False}),
    "domain_group": (lambda job: job.domain_group > 1, {"domain_group": 1}),
    "segment_hosts": (lambda job: job.segment_hosts is not None, {"segment_hosts": None}),
    "max_leaf_groups": (lambda job: job.max_leaf_groups is not None, {"max_leaf_groups": None}),
    "max_pods": (lambda job: job.max_pods is not None, {"max_pods": None}),
    "isolation": (lambda job: job.isolation is not None, {"isolation": None}),
    "anti_affinity": (lambda job: bool(job.anti_affinity), {"anti_affinity": ""}),
    "exclusive": (lambda job: job.exclusive, {"exclusive": False}),
    "spare_hosts": (lambda job: job.spare_hosts > 0, {"spare_hosts": 0}),
    "accelerators_per_host": (
        lambda job: job.accelerators_per_host is not None,
        {"accelerators_per_host": None, "segment_hosts": None, "spare_hosts": 0},
    ),
}
_STATE_FAMILIES: dict[str, Availability] = {
    "drained": Availability.DRAINED,
    "broken": Availability.BROKEN,
    "reserved": Availability.RESERVED,
}
_WORDS = {
    "kinds": "the kinds it accepts",
    "memory_bytes": "the memory it needs",
    "same_domain": "one scale-up domain",
    "domain_group": "its rank groups in one domain",
    "segment_hosts": "its segments",
    "max_leaf_groups": "its limit of leaf groups",
    "max_pods": "its limit of pods",
    "isolation": "its isolation",
    "anti_affinity": "its distance to jobs of its label",
    "exclusive": "hosts of its own",
    "spare_hosts": "its spare hosts",
    "accelerators_per_host": "its accelerators a host",
    "drained": "drained hosts",
    "broken": "broken hosts",
    "reserved": "reserved hosts",
    "occupied": "who is there already",
}


def why(problem: Problem, placement: Placement, job_id: str) -> Why:
    """Say why a job does not fit beside a placement of the others.

    Parameters
    ----------
    problem, placement
        The batch, and what of it is placed; the job itself is not.

    Raises
    ------
    InputError
        If the job is none of the problem's, or the placement is none of it.
    """
    if job_id not in problem.job_idx:
        raise InputError(what="no such job", found=repr(job_id), allowed=f"{len(problem.jobs)} jobs of the batch")
    placement.check(problem)
    job = problem.jobs[problem.job_idx[job_id]]
    others = placement.only(set(placement) - {job_id})
    inventory = Inventory(problem, others)
    if could_fit(inventory, job):
        return Why(job_id, True, asked_text(job))
    trial = _Trial(problem, others, job, inventory)
    obstacles = tuple(trial.obstacles())[:_MOST_TOLD]
    return Why(job_id, False, asked_text(job), obstacles, tuple(trial.remedies(obstacles)))


class _Trial:
    """Tries a job without some of the things in its way."""

    def __init__(self, problem: Problem, others: Placement, job: Job, inventory: Inventory) -> None:
        self.problem, self.others, self.job, self.inventory = problem, others, job, inventory
        self._inventories: dict[frozenset[str], tuple[Problem, Inventory]] = {}

    def families(self) -> list[str]:
        """Return what could stand in the way at all."""
        mine = [name for name, (has_it, _) in _JOB_FAMILIES.items() if has_it(self.job)]
        there = set(np.unique(self.problem.state.availability).tolist())
        states = [name for name, availability in _STATE_FAMILIES.items() if availability in there]
        return [*mine, *states, "occupied"]

    def without(self, families: tuple[str, ...]) -> tuple[Job, Problem, Inventory]:
        """Return the job, the problem and what is free without some things."""
        changes: dict[str, object] = {}
        for name in families:
            if name in _JOB_FAMILIES:
                changes |= _JOB_FAMILIES[name][1]
        job = replace(self.job, **changes) if changes else self.job  # type: ignore[arg-type]
        states = frozenset(name for name in families if name not in _JOB_FAMILIES)
        if states not in self._inventories:
            self._inventories[states] = self._freed(states)
        problem, inventory = self._inventories[states]
        return job, problem, inventory

    def _freed(self, states: frozenset[str]) -> tuple[Problem, Inventory]:
        if not states:
            return self.problem, self.inventory
        state = self.problem.state
        gone = [Availability.TAKEN] if "occupied" in states else []
        gone += [_STATE_FAMILIES[name] for name in states if name in _STATE_FAMILIES]
        freed = state.with_accelerators(np.flatnonzero(np.isin(state.availability, gone)), Availability.FREE)
        if "occupied" in states:
            freed = replace(freed, used_frac=None)
        problem = replace(self.problem, state=freed, running={} if "occupied" in states else self.problem.running)
        return problem, Inventory(problem, Placement() if "occupied" in states else self.others)

    def obstacles(self) -> Iterator[Obstacle]:
        """Yield every smallest set of things without which the job would fit."""
        families = self.families()
        for size in range(1, _MOST_AT_ONCE + 1):
            found = False
            for chosen in combinations(families, size):
                job, _, inventory = self.without(chosen)
                if could_fit(inventory, job):
                    found = True
                    yield Obstacle(chosen, self._words(chosen))
            if found:
                return

    def _words(self, families: tuple[str, ...]) -> str:
        what = " and ".join(_WORDS[name] for name in families)
        stand = (
            "stand" if len(families) > 1 or _WORDS[families[0]].startswith(("drained", "broken", "res")) else "stands"
        )
        return f"{obstacle_text(self.inventory, self.job)}; {what} {stand} in the way"

    # ---- remedies ----------------------------------------------------------------------------------------------

    def remedies(self, obstacles: tuple[Obstacle, ...]) -> Iterator[Remedy]:
        """Yield remedies for what stands in the way, each tried out."""
        for obstacle in obstacles:
            if len(obstacle.families) > 1:
                remedy = self._several(obstacle.families)
            elif obstacle.families[0] in _STATE_FAMILIES:
                remedy = self._bring_back(obstacle.families[0])
            elif obstacle.families[0] == "occupied":
                remedy = self._make_room()
            else:
                remedy = self._ask_less(obstacle.families[0])
            if remedy is not None:
                yield remedy

    def _tried(self, job: Job, problem: Problem, inventory: Inventory) -> Placement | None:
        """Place the job and hold the answer against every rule."""
        found = fit(inventory, job, BestFit())
        if found is None:
            return None
        trial = inventory.take(job, found.hosts, found.counts, found.spare_hosts)
        inventory.release(job, trial)
        placed = Placement({job.id: trial.ranks}, {job.id: trial.spares})
        jobs = tuple(job if other.id == job.id else other for other in problem.jobs)
        changed = replace(problem, jobs=jobs, running={})
        others = self.others if inventory is self.inventory or problem.running else Placement()
        whole = Placement({**others.ranks, **placed.ranks}, {**others.spares, **placed.spares})
        return placed if not whole.faults(changed) else None

    def _ask_less(self, family: str) -> Remedy | None:
        """Return the smallest change of one of the job's own limits that helps."""
        for change in self._changes(family):
            job = replace(self.job, **dict(change))  # type: ignore[arg-type]
            if could_fit(self.inventory, job) and self._tried(job, self.problem, self.inventory) is not None:
                words = ", ".join(f"{name} {value}" for name, value in change)
                return Remedy(f"with {words} it would fit", changes=change)
        return None

    def _changes(self, family: str) -> Iterator[tuple[_Change, ...]]:
        fabric = self.problem.fabric
        if family == "max_leaf_groups":
            for limit in range((self.job.max_leaf_groups or 0) + 1, fabric.num_leaf_groups + 1):
                yield ((family, limit),)
        elif family == "max_pods":
            for limit in range((self.job.max_pods or 0) + 1, fabric.num_pods + 1):
                yield ((family, limit),)
        elif family == "kinds":
            for kind in sorted({part.id for part in fabric.parts} - set(self.job.kinds)):
                yield ((family, (*self.job.kinds, kind)),)
        elif family == "memory_bytes":
            memory = np.unique(fabric.accelerator_memory_bytes)
            for least in memory[memory < self.job.memory_bytes][::-1].tolist():
                yield ((family, int(least)),)
        elif family == "spare_hosts":
            for number in range(self.job.spare_hosts - 1, -1, -1):
                yield ((family, number),)
        yield tuple(_JOB_FAMILIES[family][1].items())

    def _bring_back(self, family: str) -> Remedy | None:
        """Return hosts that would have to come back, as few as a look at every leaf group, pod and all shows."""
        job, problem, inventory = self.without((family,))
        away = self.problem.state.availability == _STATE_FAMILIES[family]
        fabric = problem.fabric
        is_away = np.bincount(fabric.accelerator_host[away], minlength=fabric.num_hosts) > 0
        found = _fewest(inventory, job, is_away.astype(np.int64))
        if found is None or self._tried(job, problem, inventory) is None:
            return None
        hosts = np.flatnonzero(is_away & np.isin(np.arange(fabric.num_hosts), found))
        names = tuple(fabric.host_names[int(h)] for h in hosts)
        return Remedy(f"{family} {_names(names)} back would free it", hosts=names)

    def _make_room(self) -> Remedy | None:
        """Return jobs of the batch that would have to move, or end, as little as can be."""
        job, problem, inventory = self.without(("occupied",))
        fabric = problem.fabric
        price = np.zeros(fabric.num_hosts, np.int64)
        for other in self.others.used.tolist():
            price[fabric.accelerator_host[other]] += 1
        taken = self.problem.state.availability == Availability.TAKEN
        price += _STRANGER * (np.bincount(fabric.accelerator_host[taken], minlength=fabric.num_hosts) > 0)
        found = _fewest(inventory, job, price)
        if found is None:
            return None
        in_way = [other.id for other in self.problem.jobs if other.id in self.others and self._is_in_way(other, found)]
        cleared = np.isin(np.arange(fabric.num_hosts), found)
        if job.isolation:
            group = self.problem.host_group(job.isolation)
            cleared = np.isin(group, group[found])
        names = tuple(fabric.host_names[int(h)] for h in np.flatnonzero(cleared & (price >= _STRANGER)))
        stays = self.others.only(set(self.others) - set(in_way))
        if names or any(job_id in self.problem.running for job_id in in_way):
            if not in_way:
                return Remedy(f"others on {_names(names)} would have to leave", hosts=names)
            return Remedy(
                f"others on {_names(names)} and {_names(tuple(in_way))} would have to leave", names, tuple(in_way)
            )
        room = Inventory(self.problem, stays)
        here = fit(room, job, BestFit())
        if here is None:
            return None
        room.take(job, here.hosts, here.counts, here.spare_hosts)
        ends = []
        for job_id in in_way:
            other = self.problem.jobs[self.problem.job_idx[job_id]]
            there = fit(room, other, BestFit())
            if there is None:
                ends.append(job_id)
            else:
                room.take(other, there.hosts, there.counts, there.spare_hosts)
        word = "ending" if ends else "moving"
        return Remedy(f"{word} {_names(tuple(ends or in_way))} would free it", job_ids=tuple(ends or in_way))

    def _is_in_way(self, other: Job, hosts: Int64s) -> bool:
        """Tell whether another job must go if this one takes some hosts."""
        there = self.problem.fabric.accelerator_host[self.others.ranks[other.id]]
        if np.isin(there, hosts).any():
            return True
        reaches = [
            reach for reach in (self.job.isolation, other.isolation) if reach and other.tenant != self.job.tenant
        ]
        if self.job.anti_affinity and self.job.anti_affinity == other.anti_affinity:
            reaches.append(self.job.anti_affinity_reach)
        return any(
            np.isin(group[there], group[hosts]).any() for group in (self.problem.host_group(reach) for reach in reaches)
        )

    def _several(self, families: tuple[str, ...]) -> Remedy | None:
        job, problem, inventory = self.without(families)
        if self._tried(job, problem, inventory) is None:
            return None
        return Remedy(f"without {' and '.join(_WORDS[name] for name in families)} it would fit")


def _fewest(inventory: Inventory, job: Job, price: Int64s) -> Int64s | None:
    """Return the hosts of a fit whose prices add up to least, over the scopes that best-fit looks at."""
    best: Int64s | None = None
    least = np.inf
    for scope in ("leaf", "pod", "all"):
        found = fit(inventory, job, _Cheapest(price, scope))
        if found is None:
            continue
        hosts = np.concatenate([found.hosts, found.spare_hosts])
        if price[hosts].sum() < least:
            best, least = hosts, price[hosts].sum()
    return best


class _Cheapest:
    """Looks at scopes of one size, those first whose cheapest hosts cost least."""

    def __init__(self, price: Int64s, scope: str) -> None:
        self._price, self._scope = price, scope

    def scopes(self, inventory: Inventory, job: Job, give: Int64s) -> Iterator[Int64s]:
        """Yield the hosts of each scope, cheap ones first."""
        fabric = inventory.fabric
        ready = np.flatnonzero(give)
        ready = ready[np.argsort(self._price[ready], kind="stable")]
        group = {"leaf": fabric.host_leaf_group, "pod": fabric.host_pod}.get(self._scope)
        if group is None:
            yield ready
            return
        costs = []
        for g in np.unique(group[ready]).tolist():
            hosts = ready[group[ready] == g]
            filled = np.cumsum(give[hosts])
            if len(filled) and filled[-1] >= job.accelerators:
                num = int(np.searchsorted(filled, job.accelerators)) + 1
                costs.append((int(self._price[hosts[:num]].sum()), g))
        for _, g in sorted(costs):
            yield ready[group[ready] == g]


def _names(names: tuple[str, ...], most: int = 4) -> str:
    """Return a few names and how many more."""
    shown = ", ".join(names[:most])
    return shown + (f" and {len(names) - most} more" if len(names) > most else "")
