"""Fragmentation gradient descent (Weng et al., USENIX ATC 2023): the host first that strands least for jobs to come."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from planner.job import Job
from planner.problem import Problem
from solvers.greedy import GreedySolver
from solvers.inventory import Inventory
from topologies.fabric import Float64s, Int64s

__all__ = ["Fgd", "FgdSolver", "stranded_by_room"]

_POPULAR_FRAC = 0.95  # typical jobs: the most frequent shapes up to this part of all (the paper's setting)


def stranded_by_room(problem: Problem, *, popular_frac: float = _POPULAR_FRAC) -> Float64s:
    """Return F for every number of free accelerators on a host, ``(largest host + 1,)``.

    Σ over typical shapes of popularity × free accelerators that the shape cannot use there: all of them if the host has
    fewer than the shape takes of one host, none otherwise.

    Parameters
    ----------
    popular_frac
        The most frequent shapes up to this part of all are typical.
    """
    largest = int(problem.fabric.host_num_accelerators.max())
    shapes: dict[int, float] = {}
    expected = problem.expected or tuple(
        (min(job.accelerators_per_host or job.accelerators, largest), 1.0) for job in problem.jobs if not job.is_part
    )
    for size, often in expected:
        shapes[size] = shapes.get(size, 0.0) + often
    total, kept = sum(shapes.values()), 0.0
    room = np.arange(largest + 1)
    stranded = np.zeros(largest + 1)
    for size, often in sorted(shapes.items(), key=lambda item: (-item[1], item[0])):
        if kept >= popular_frac * total:
            break
        kept += often
        stranded += often * np.where(room < size, room, 0)
    return stranded / kept if kept else stranded


class Fgd:
    """Hosts by how much taking the job's share of them raises F; the steepest descent first, then by number."""

    def __init__(self) -> None:
        self._stranded: Float64s | None = None

    def scopes(self, inventory: Inventory, job: Job, give: Int64s) -> Iterator[Int64s]:
        """Yield all hosts by their gradient."""
        if self._stranded is None:
            self._stranded = stranded_by_room(inventory.problem)
        fabric = inventory.fabric
        free = fabric.host_num_accelerators - inventory.host_busy
        ready = np.flatnonzero(give)
        share = np.minimum(give[ready], job.accelerators_per_host or job.accelerators)
        if job.is_part:
            share = np.where(inventory.parts.shared_usable(job, inventory.free)[ready] > 0, 0, share)
        rise = self._stranded[free[ready] - np.minimum(share, free[ready])] - self._stranded[free[ready]]
        yield ready[np.argsort(rise, kind="stable")]


class FgdSolver(GreedySolver):
    """Fragmentation gradient descent."""

    name = "fgd"
    policy = staticmethod(lambda seed: Fgd())
