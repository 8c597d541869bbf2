"""Moving running jobs together inside a replay: the moves that the placement advisor ``defrag`` finds."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

import numpy as np

from planner.advice import get_advisor
from planner.job import Job
from planner.placement import Placement
from planner.problem import Problem
from planner.replay.journal import Journal
from planner.replay.pool import WHOLE_MILLI, Ask, Grant, HostPool
from planner.replay.running import Running
from planner.state import Availability, ClusterState
from planner.traces.trace import TraceJob
from topologies.errors import InfeasibleError
from topologies.fabric import Fabric, Int64s

__all__ = ["AdvisedMover", "Mover"]

_WANTED = "wanted"


class Mover(Protocol):
    """Says which running jobs to move where so that a job fits."""

    def moves(self, pool: HostPool, running: Mapping[int, Running], job: TraceJob) -> dict[int, list[Grant]]:
        """Return new grants by number of the jobs that move; nothing if that does not help or is not known."""
        ...


class AdvisedMover:
    """Asks the advisor ``defrag`` for the cheapest moves.

    Parts of accelerators, and what stands on hosts that are down, stay where they are.

    Parameters
    ----------
    fabric
        Where.
    time_limit_s
        For each call.
    seed
        Of the advisor.
    journal
        Where moves are kept.
    """

    def __init__(
        self, fabric: Fabric, *, time_limit_s: float = 5.0, seed: int = 1, journal: Journal | None = None
    ) -> None:
        self._fabric = fabric
        self._time_limit_s = time_limit_s
        self._seed = seed
        self._journal = journal

    def moves(self, pool: HostPool, running: Mapping[int, Running], job: TraceJob) -> dict[int, list[Grant]]:
        """See `Mover`."""
        if job.gpu_milli < WHOLE_MILLI or not job.gpus:
            return {}
        movable = {
            number: run
            for number, run in sorted(running.items())
            if run.job.gpus and run.job.gpu_milli == WHOLE_MILLI and all(pool.is_up[g.host] for g in run.grants)
        }
        told = None if self._journal is None else self._journal.known("moved")
        if told is None:
            told = self._advised(pool, movable, job)
            if self._journal is not None:
                self._journal.add("moved", told)
        return {
            int(number): [Grant(host, tuple(gpus), self._ask(movable[int(number)], len(gpus))) for host, gpus in grants]
            for number, grants in told.items()
        }

    def _ask(self, run: Running, gpus: int) -> Ask:
        each = run.job.cpu_milli // run.job.gpus, run.job.memory_mib // run.job.gpus
        return Ask(gpus, WHOLE_MILLI, each[0] * gpus, each[1] * gpus, run.job.models)

    def _advised(
        self, pool: HostPool, movable: Mapping[int, Running], job: TraceJob
    ) -> dict[str, list[tuple[int, list[int]]]]:
        start = self._fabric.host_accelerator_start
        free = (pool.gpu_left == WHOLE_MILLI) & pool.is_up[:, None]
        ranks: dict[str, Int64s] = {}
        for number, run in movable.items():
            ranks[str(number)] = np.array([int(start[g.host]) + gpu for g in run.grants for gpu in g.gpus], np.int64)
            for grant in run.grants:
                free[grant.host, list(grant.gpus)] = True
        availability = np.where(free[pool.exists], Availability.FREE, Availability.TAKEN).astype(np.uint8)
        jobs = tuple(_as_job(str(number), run.job, pool.width, movable=True) for number, run in movable.items())
        problem = Problem(self._fabric, ClusterState(availability), jobs)
        wanted = _as_job(_WANTED, job, pool.width, movable=False)
        try:
            found = get_advisor("defrag")(
                problem, Placement(ranks), wanted, time_limit_s=self._time_limit_s, seed=self._seed
            )
        except InfeasibleError:
            return {}
        moved = {}
        for name, after in found.placement.ranks.items():
            if name != _WANTED and not np.array_equal(np.sort(after), np.sort(ranks[name])):
                host = self._fabric.accelerator_host[np.sort(after)]
                moved[name] = [(h, (np.sort(after)[host == h] - start[h]).tolist()) for h in np.unique(host).tolist()]
        return moved


def _as_job(name: str, job: TraceJob, width: int, *, movable: bool) -> Job:
    each = job.gpus if job.gpus <= width else width if job.gpus % width == 0 else None
    return Job(name, job.gpus, accelerators_per_host=each, kinds=job.models, movable=movable)
