"""Why a job does not fit: every smallest set of things in its way, by exact counts; and remedies, tried out."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import combinations
from typing import Any

import numpy as np

from planner.advice import Obstacle, Why
from planner.job import Job
from planner.placement import Placement
from planner.problem import Problem
from planner.state import Availability
from solvers.advisors.remedies import JOB_FAMILIES, STATE_FAMILIES, remedies
from solvers.inventory import Inventory
from solvers.reasons import asked_text, obstacle_text
from solvers.room import could_fit
from topologies.errors import InputError

__all__ = ["Trial", "why"]

_MOST_AT_ONCE = 3
_PAIRS = 2
_MOST_TOLD = 6
_HAS: dict[str, Callable[[Job], bool]] = {
    "kinds": lambda job: bool(job.kinds),
    "memory_bytes": lambda job: job.memory_bytes > 0,
    "same_domain": lambda job: job.same_domain,
    "domain_group": lambda job: job.domain_group > 1,
    "segment_hosts": lambda job: job.segment_hosts is not None,
    "max_leaf_groups": lambda job: job.max_leaf_groups is not None,
    "max_pods": lambda job: job.max_pods is not None,
    "isolation": lambda job: job.isolation is not None,
    "anti_affinity": lambda job: bool(job.anti_affinity),
    "exclusive": lambda job: job.exclusive,
    "spare_hosts": lambda job: job.spare_hosts > 0,
    "accelerators_per_host": lambda job: job.accelerators_per_host is not None,
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
    trial = Trial(problem, others, job, inventory)
    obstacles = tuple(trial.obstacles())[:_MOST_TOLD]
    return Why(job_id, False, asked_text(job), obstacles, tuple(remedies(trial, obstacles)))


class Trial:
    """Tries a job without some of the things in its way."""

    def __init__(self, problem: Problem, others: Placement, job: Job, inventory: Inventory) -> None:
        self.problem, self.others, self.job, self.inventory = problem, others, job, inventory
        self._inventories: dict[frozenset[str], tuple[Problem, Inventory]] = {}

    def families(self) -> list[str]:
        """Return what could stand in the way at all."""
        mine = [name for name, has_it in _HAS.items() if has_it(self.job)]
        there = set(np.unique(self.problem.state.availability).tolist())
        states = [name for name, availability in STATE_FAMILIES.items() if availability in there]
        return [*mine, *states, "occupied"]

    def without(self, families: tuple[str, ...]) -> tuple[Job, Problem, Inventory]:
        """Return the job, the problem and what is free without some things."""
        changes: dict[str, Any] = {}
        for name in families:
            if name in JOB_FAMILIES:
                changes |= JOB_FAMILIES[name]
        job = replace(self.job, **changes) if changes else self.job
        states = frozenset(name for name in families if name not in JOB_FAMILIES)
        if states not in self._inventories:
            self._inventories[states] = self._freed(states)
        problem, inventory = self._inventories[states]
        return job, problem, inventory

    def _freed(self, states: frozenset[str]) -> tuple[Problem, Inventory]:
        if not states:
            return self.problem, self.inventory
        state = self.problem.state
        gone = [Availability.TAKEN] if "occupied" in states else []
        gone += [STATE_FAMILIES[name] for name in states if name in STATE_FAMILIES]
        freed = state.with_accelerators(np.flatnonzero(np.isin(state.availability, gone)), Availability.FREE)
        if "occupied" in states:
            freed = replace(freed, used_frac=None)
        problem = replace(self.problem, state=freed, running={} if "occupied" in states else self.problem.running)
        return problem, Inventory(problem, Placement() if "occupied" in states else self.others)

    def obstacles(self) -> Iterator[Obstacle]:
        """Yield sets of things without which the job would fit, none holding another: singles and pairs, or triples."""
        families = self.families()
        found: list[set[str]] = []
        for size in range(1, _MOST_AT_ONCE + 1):
            if found and size > _PAIRS:
                return
            for chosen in combinations(families, size):
                if any(smaller <= set(chosen) for smaller in found):
                    continue
                job, _, inventory = self.without(chosen)
                if could_fit(inventory, job):
                    found.append(set(chosen))
                    yield Obstacle(chosen, self._words(chosen))

    def _words(self, families: tuple[str, ...]) -> str:
        what = " and ".join(_WORDS[name] for name in families)
        stand = (
            "stand" if len(families) > 1 or _WORDS[families[0]].startswith(("drained", "broken", "res")) else "stands"
        )
        return f"{obstacle_text(self.inventory, self.job)}; {what} {stand} in the way"
