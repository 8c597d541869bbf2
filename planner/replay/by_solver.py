"""Any registered solver as a scheduler of a replay: it gets the cluster as it stands and the job that is next."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from planner.job import Job
from planner.problem import Problem
from planner.replay.fragmentation import Mix
from planner.replay.pool import WHOLE_MILLI, Ask, Grant, HostPool
from planner.solver import get_solver
from planner.state import Availability, ClusterState
from topologies.errors import InputError
from topologies.fabric import Fabric

__all__ = ["PREFIX", "SolverScheduler"]

PREFIX = "solver:"
"""A policy called ``solver:NAME`` is the solver NAME."""


class SolverScheduler:
    """Asks a solver for each job that comes up. Whole accelerators only.

    Parameters
    ----------
    fabric
        Where.
    solver
        Name of a registered solver.
    time_limit_s
        For each job.

    Raises
    ------
    InputError
        If there is no such solver.
    """

    def __init__(self, fabric: Fabric, solver: str, *, time_limit_s: float = 5.0) -> None:
        self.name = PREFIX + solver
        self._fabric = fabric
        self._solver = get_solver(solver)
        self._time_limit_s = time_limit_s

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
        wanted = sum(ask.gpus for ask in asks)
        if not wanted or any(ask.is_share for ask in asks):
            raise InputError(
                what="a solver places whole accelerators in a replay",
                where=f"--policy {self.name}",
                found=str(asks[0]),
                fix="take a scheduler, as fgd, for parts of accelerators",
            )
        if int(np.where(pool.is_up, pool.whole, 0).sum()) < wanted:
            return None
        fabric = self._fabric
        free = (pool.gpu_left == WHOLE_MILLI) & pool.is_up[:, None]
        availability = np.where(free[pool.exists], Availability.FREE, Availability.TAKEN).astype(np.uint8)
        job = Job("next", wanted, kinds=asks[0].models)
        problem = Problem(fabric, ClusterState(availability), (job,))
        result = self._solver.solve(problem, time_limit_s=self._time_limit_s, seed=self._seed)
        if job.id not in result.placement:
            return None
        ranks = np.sort(result.placement.ranks[job.id])
        host = fabric.accelerator_host[ranks]
        grants = []
        for h in np.unique(host).tolist():
            gpus = (ranks[host == h] - fabric.host_accelerator_start[h]).tolist()
            grants.append(Grant(h, tuple(gpus), Ask(len(gpus), models=asks[0].models)))
        return grants
