"""Arnold's placement (arXiv:2509.15940): keep pipeline and data-parallel groups of a job on few pods.

The ranks of a job are a matrix of hosts, a row for each pipeline group and a column for each stage; the score is
α × most pods of a column (data-parallel group) + (1 − α) × most pods of a row (pipeline group).
"""

from __future__ import annotations

import time
from dataclasses import dataclass, replace

import numpy as np

from planner.job import Job
from planner.placement import Placement
from planner.problem import Problem
from planner.result import Refusal, Result
from planner.solver import ProgressListener
from solvers.fitting import fit
from solvers.greedy import check_call, in_order, judged, merged, start_of
from solvers.inventory import Inventory, Taken
from solvers.policies import BestFit
from solvers.reasons import refusal
from topologies.fabric import Int64s

__all__ = ["ArnoldSolver", "Grid", "best_grid", "spread_of"]

_ALPHA = 0.5


@dataclass(frozen=True)
class Grid:
    """Pods of a matrix of hosts.

    Attributes
    ----------
    pod
        ``(rows, stages)``.
    """

    pod: Int64s

    @property
    def data_spread(self) -> int:
        """Most pods of a column."""
        return max(len(np.unique(column)) for column in self.pod.T)

    @property
    def pipeline_spread(self) -> int:
        """Most pods of a row."""
        return max(len(np.unique(row)) for row in self.pod)


def spread_of(grid: Grid, *, alpha: float = _ALPHA) -> float:
    """Return α × data-parallel spread + (1 − α) × pipeline spread."""
    return alpha * grid.data_spread + (1 - alpha) * grid.pipeline_spread


def best_grid(room: Int64s, rows: int, stages: int, *, alpha: float = _ALPHA) -> Grid | None:
    """Return the matrix with least spread; None if the pods do not hold it.

    Four ways are tried: pipeline groups as wholes on few pods, columns as wholes, and rows or columns one after the
    other on as few pods as hold the matrix.

    Parameters
    ----------
    room
        ``(P,)`` hosts free in each pod.
    """
    found = [
        grid
        for grid in (
            _whole_lines(room, rows, stages),
            _transposed(_whole_lines(room, stages, rows)),
            _filled(room, rows, stages),
            _transposed(_filled(room, stages, rows)),
        )
        if grid is not None
    ]
    return min(found, key=lambda grid: spread_of(grid, alpha=alpha)) if found else None


def _whole_lines(room: Int64s, lines: int, length: int) -> Grid | None:
    """Put lines as wholes on the pods that hold most, the last on the pod that just holds the rest."""
    holds = room // length
    if int(holds.sum()) < lines:
        return None
    pods: list[int] = []
    left = lines
    ready = set(np.flatnonzero(holds).tolist())
    while left > 0:
        enough = [p for p in ready if holds[p] >= left]
        pick = min(enough, key=lambda p: (room[p], p)) if enough else max(ready, key=lambda p: (holds[p], -p))
        ready.discard(pick)
        num = min(left, int(holds[pick]))
        pods += [pick] * num
        left -= num
    return Grid(np.repeat(np.array(pods, np.int64)[:, None], length, axis=1))


def _filled(room: Int64s, lines: int, length: int) -> Grid | None:
    """Fill line after line on as few pods as hold the matrix; a line may be split at a pod's end."""
    if int(room.sum()) < lines * length:
        return None
    order = np.argsort(-room, kind="stable")
    need = int(np.searchsorted(np.cumsum(room[order]), lines * length)) + 1
    cells = np.repeat(order[:need], room[order[:need]])[: lines * length]
    return Grid(cells.reshape(lines, length).astype(np.int64))


def _transposed(grid: Grid | None) -> Grid | None:
    return None if grid is None else Grid(np.ascontiguousarray(grid.pod.T))


class ArnoldSolver:
    """Arnold's objective for jobs with pipeline stages on whole hosts; best-fit for all others."""

    name = "arnold"

    def solve(
        self,
        problem: Problem,
        *,
        time_limit_s: float,
        seed: int,
        warm_start: Placement | None = None,
        on_progress: ProgressListener | None = None,
    ) -> Result:
        """Place jobs by falling priority, each with least spread of its groups. Raises as `planner.solver.Solver`."""
        check_call(problem, time_limit_s, warm_start)
        began = time.monotonic()
        kept = start_of(problem, warm_start)
        inventory = Inventory(problem, kept)
        ranks: dict[str, Int64s] = {}
        spares: dict[str, Int64s] = {}
        refusals: list[Refusal] = []
        for job in in_order(job for job in problem.jobs if job.id not in kept):
            taken = _place(inventory, job) if time.monotonic() < began + time_limit_s else None
            if taken is None:
                refusals.append(refusal(inventory, job))
            else:
                ranks[job.id], spares[job.id] = taken.ranks, taken.spares
        placement = merged(kept, Placement(ranks, spares))
        return judged(problem, placement, refusals, self.name, seed=seed, began_s=began, on_progress=on_progress)


def _place(inventory: Inventory, job: Job) -> Taken | None:
    found = _by_grid(inventory, job)
    if found is not None:
        return found
    here = fit(inventory, job, BestFit())
    return None if here is None else inventory.take(job, here.hosts, here.counts, here.spare_hosts)


def _by_grid(inventory: Inventory, job: Job) -> Taken | None:
    """Place a job as a matrix of hosts; None if it is none, or its other rules forbid the best matrix."""
    each = job.accelerators_per_host
    if job.pipeline == 1 or each is None or each % job.domain_group or job.spare_hosts or job.segment_hosts:
        return None
    replicas_a_host = each // job.domain_group
    replicas = job.accelerators // (job.pipeline * job.domain_group)
    if replicas % replicas_a_host:
        return None
    rows = replicas // replicas_a_host
    fabric = inventory.fabric
    ready = np.flatnonzero(inventory.chunk(job, inventory.usable(job)) >= each)
    grid = best_grid(
        np.bincount(fabric.host_pod[ready], minlength=fabric.num_pods).astype(np.int64), rows, job.pipeline
    )
    if grid is None:
        return None
    leaf_first = ready[np.lexsort((ready, fabric.host_leaf_group[ready]))]
    hosts = np.empty(grid.pod.shape, np.int64)
    for pod in np.unique(grid.pod).tolist():
        cells = grid.pod == pod
        hosts[cells] = leaf_first[fabric.host_pod[leaf_first] == pod][: int(cells.sum())]
    picked = np.array([inventory.pick(job, int(h), each) for h in hosts.ravel()])
    # (row, stage, replica in the host, place) → rank order (replica, stage, place)
    cube = picked.reshape(rows, job.pipeline, replicas_a_host, job.domain_group).transpose(0, 2, 1, 3)
    taken = Taken(cube.reshape(-1).copy())
    alone = replace(inventory.problem, jobs=(job,), running={})
    if Placement({job.id: taken.ranks}).faults(alone):
        return None
    inventory.occupy(job, taken)
    return taken
