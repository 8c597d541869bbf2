"""Any registered solver as a scheduler of a replay: job by job, or all that waits at once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from planner.collectives.traffic import Demand
from planner.job import Job
from planner.objective import Objective
from planner.problem import Problem
from planner.replay.batches import Wanted
from planner.replay.fragmentation import Mix
from planner.replay.journal import Journal
from planner.replay.pool import WHOLE_MILLI, Ask, Bools, Grant, HostPool
from planner.replay.running import Running
from planner.replay.scheduler import Scheduler, get_scheduler
from planner.replay.site import Site
from planner.solver import get_solver
from planner.state import Availability, ClusterState
from topologies.errors import InputError
from topologies.fabric import Fabric, Int64s

__all__ = ["BATCH", "PREFIX", "BatchSolver", "SolverScheduler"]

PREFIX = "solver:"
"""A policy called ``solver:NAME`` is the solver NAME, asked for each job that comes up."""

BATCH = "batch:"
"""A policy called ``batch:NAME`` is the solver NAME, asked for all jobs that wait and might fit."""


def _whole_only(name: str, asks: Sequence[Ask]) -> None:
    if not sum(ask.gpus for ask in asks) or any(ask.is_share for ask in asks):
        raise InputError(
            what="a solver places whole accelerators in a replay",
            where=f"--policy {name}",
            found=str(asks[0]),
            fix="take a scheduler, as fgd, for parts of accelerators",
        )


def _availability(pool: HostPool, closed: Bools | None) -> ClusterState:
    open_ = pool.is_up if closed is None else pool.is_up & ~closed
    free = (pool.gpu_left == WHOLE_MILLI) & open_[:, None]
    return ClusterState(np.where(free[pool.exists], Availability.FREE, Availability.TAKEN).astype(np.uint8))


def _grants(fabric: Fabric, ranks: Int64s, models: tuple[str, ...]) -> list[Grant]:
    ranks = np.sort(ranks)
    host = fabric.accelerator_host[ranks]
    grants = []
    for h in np.unique(host).tolist():
        gpus = (ranks[host == h] - fabric.host_accelerator_start[h]).tolist()
        grants.append(Grant(h, tuple(gpus), Ask(len(gpus), models=models)))
    return grants


def _job(name: str, asks: Sequence[Ask], width: int, priority: float, traffic: Demand | None) -> Job:
    wanted = sum(ask.gpus for ask in asks)
    each = wanted if len(asks) == 1 else width if wanted % width == 0 else None
    return Job(
        name,
        wanted,
        accelerators_per_host=each,
        kinds=asks[0].models,
        priority=priority,
        traffic=traffic if len(asks) > 1 else None,
    )


class SolverScheduler:
    """Asks a solver for each job that comes up. Whole accelerators only.

    Parameters
    ----------
    fabric
        Where.
    solver
        Name of a registered solver.
    time_limit_s
        For each call.
    journal
        Where its answers are kept.

    Raises
    ------
    InputError
        If there is no such solver.
    """

    prefix = PREFIX

    def __init__(
        self, fabric: Fabric, solver: str, *, time_limit_s: float = 5.0, journal: Journal | None = None
    ) -> None:
        self.name = self.prefix + solver
        self._fabric = fabric
        self._solver = get_solver(solver)
        self._time_limit_s = time_limit_s
        self._journal = journal

    def prepare(self, pool: HostPool, mix: Mix, *, seed: int) -> None:
        """Keep the seed."""
        self._seed = seed

    def choose(self, pool: HostPool, asks: Sequence[Ask]) -> list[Grant] | None:
        """Return what the solver says, as grants; see `Scheduler`.

        Raises
        ------
        InputError
            If a job asks for a part of an accelerator, or for none.
        """
        _whole_only(self.name, asks)
        open_ = pool.is_up if pool.closed is None else pool.is_up & ~pool.closed
        if int(np.where(open_, pool.whole, 0).sum()) < sum(ask.gpus for ask in asks):
            return None
        job = _job("next", asks, pool.width, 1.0, None)
        return self._solved([job], pool, pool.closed).get("next")

    def _solved(self, jobs: Sequence[Job], pool: HostPool, closed: Bools | None) -> dict[str, list[Grant]]:
        """Return grants by job of those that were placed, from the journal if they are there."""
        kinds = {job.id: job.kinds for job in jobs}
        told = self._journal.known("placed") if self._journal is not None else None
        if told is None:
            problem = Problem(self._fabric, _availability(pool, closed), tuple(jobs), self._objective())
            result = self._solver.solve(problem, time_limit_s=self._time_limit_s, seed=self._seed)
            found = {id: _grants(self._fabric, ranks, kinds[id]) for id, ranks in result.placement.ranks.items()}
            if self._journal is not None:
                self._journal.add("placed", {id: [(g.host, g.gpus) for g in grants] for id, grants in found.items()})
            return found
        return {
            id: [Grant(host, tuple(gpus), Ask(len(gpus), models=kinds[id])) for host, gpus in grants]
            for id, grants in told.items()
        }

    def _objective(self) -> Objective:
        return Objective()


class BatchSolver(SolverScheduler):
    """Asks a solver for all jobs that wait and might fit, those first in line weighing more; see `SolverScheduler`.

    Parameters
    ----------
    traffic
        The collective of jobs on more than one host, for the solver to keep them off each other's links; None: silent.
    """

    prefix = BATCH

    def __init__(
        self,
        fabric: Fabric,
        solver: str,
        *,
        time_limit_s: float = 5.0,
        journal: Journal | None = None,
        traffic: Demand | None = None,
    ) -> None:
        super().__init__(fabric, solver, time_limit_s=time_limit_s, journal=journal)
        self.planner: Scheduler = get_scheduler("best-fit")
        self._traffic = traffic

    def choose_batch(
        self, site: Site, wanted: Sequence[Wanted], running: Mapping[int, Running], now_s: float
    ) -> dict[int, list[Grant]]:
        """Return grants by number; see `planner.replay.batches.BatchScheduler`.

        Jobs that may use the same hosts are placed together; groups of them one after the other.

        Raises
        ------
        InputError
            If a job asks for a part of an accelerator, or for none.
        """
        pool = site.pool
        groups: dict[bytes, tuple[Bools | None, list[tuple[int, Wanted]]]] = {}
        for place, one in enumerate(wanted):
            _whole_only(self.name, one.asks)
            site.admit(one.job, now_s)
            key = b"" if pool.closed is None else pool.closed.tobytes()
            groups.setdefault(key, (pool.closed, []))[1].append((place, one))
        found: dict[int, list[Grant]] = {}
        try:
            for closed, members in groups.values():
                jobs = [
                    _job(str(one.number), one.asks, pool.width, 1 + (len(wanted) - place) / len(wanted), self._traffic)
                    for place, one in members
                ]
                placed = {int(id): grants for id, grants in self._solved(jobs, pool, closed).items()}
                for one in (one for _, one in members if one.number in placed):
                    site.take(placed[one.number], one.job.tenant)
                found |= placed
        finally:
            for grants in found.values():
                site.give_back(grants)
        return found
