"""Bounds that hold for the whole problem, not only for what a model looks at: weight placed, and slow-down."""

from __future__ import annotations

from itertools import combinations
from typing import Any

import numpy as np
import numpy.typing as npt

from planner.collectives.traffic import Demand, job_flows
from planner.congestion.loads import loads_of
from planner.congestion.score import alone_rates
from planner.problem import Problem
from topologies.fabric import Float64s, Int64s

__all__ = ["counting_bound", "slowdown_bounds"]

_MOST_KINDS = 8
_MOST_STEPS = 500


def counting_bound(problem: Problem) -> float:
    """Return a bound from counts of accelerators alone.

    A job larger than all that it accepts cannot be placed at all. Jobs that accept only some set of accelerators cannot
    take more than it has free; the rest is a fractional knapsack (Dantzig 1957): by falling priority until the room is
    full. The least over all unions of the sets that jobs accept holds.
    """
    free = problem.state.free
    masks: dict[tuple[tuple[str, ...], int], npt.NDArray[np.bool_]] = {}
    for job in problem.jobs:
        masks.setdefault((job.kinds, job.memory_bytes), problem.accepts(job) & free)
    room_of = {key: int(mask.sum()) for key, mask in masks.items()}
    able = [job for job in problem.jobs if job.accelerators <= room_of[job.kinds, job.memory_bytes]]
    total = float(sum(job.weight for job in able))
    keys = list(masks)
    best = total
    sizes = range(1, len(keys) + 1) if len(keys) <= _MOST_KINDS else (1, len(keys))
    for size in sizes:
        for chosen in combinations(keys, size):
            union = np.logical_or.reduce([masks[key] for key in chosen])
            inside = {key for key, mask in masks.items() if not np.any(mask & ~union)}
            jobs = [job for job in able if (job.kinds, job.memory_bytes) in inside]
            room, kept = int(union.sum()), total - sum(job.weight for job in jobs)
            for job in sorted(jobs, key=lambda job: -job.priority):
                part = min(room, job.accelerators)
                kept += job.priority * part
                room -= part
            best = min(best, kept)
    return best


def slowdown_bounds(problem: Problem, *, seed: int) -> tuple[float, float]:
    """Return what worst and excess slow-down are at least, from the jobs that run and may not move.

    Let d be the part of a link that a job would fill alone, times the part of its time that it uses the link. If job j
    is slowed down s_j times, a link carries Σ_j d_j / s_j, which is 1 at most. So no job less than Σ d on any link is
    the worst; and Σ (s − 1) is at least the minimum of Σ (1 / x_j − 1) over 0 < x_j ≤ 1 with Σ_j d_jl x_j ≤ 1 on every
    link l. Its Lagrangian dual Σ_j φ(Σ_l d_jl λ_l) − Σ_l λ_l, where φ(q) = q up to 1 and 2 √q − 1 beyond, holds for any
    λ ≥ 0, and is maximized. Whatever is placed beside these jobs only adds to the links.
    """
    fixed = {i: a for i, a in problem.running.items() if not problem.jobs[problem.job_idx[i]].movable}
    if not fixed:
        return 1.0, 0.0
    fabric = problem.live_fabric
    jobs = [problem.jobs[problem.job_idx[job_id]] for job_id in fixed]
    flows = job_flows(fabric, list(fixed.values()), [job.traffic or Demand(0.0) for job in jobs])
    loads = loads_of(fabric, flows, problem.routing_at(seed))
    incidence, capacity = loads.incidence, loads.channels.capacity_bytes_per_s
    rate = alone_rates(incidence, capacity).rate_bytes_per_s
    total_s = np.repeat(loads.times_at(rate), loads.num_phases)
    sends = loads.row_bytes > 0
    row_s = np.divide(loads.row_bytes, rate, out=np.zeros(len(rate)), where=sends)
    used = np.divide(row_s, total_s, out=np.zeros(len(rate)), where=total_s > 0) * np.where(sends, rate, 0.0)
    row = incidence.entry_row()
    shared = np.flatnonzero((np.bincount(incidence.link, minlength=incidence.num_links) > 1)[incidence.link])
    if not len(shared):
        return 1.0, 0.0
    filled = incidence.multiplicity[shared] * used[row[shared]] / capacity[incidence.link[shared]]
    job = row[shared] // loads.num_phases
    key, place = np.unique(incidence.link[shared] * np.int64(len(jobs)) + job, return_inverse=True)
    amount = np.bincount(place.ravel(), weights=filled)
    link, job_of = key // len(jobs), key % len(jobs)
    full = np.bincount(link, weights=amount, minlength=incidence.num_links)
    worst = max(1.0, float(full.max(initial=0.0)))
    tight = full > 1
    entry = tight[link]
    return worst, _least_excess(amount[entry].astype(np.float64), link[entry], job_of[entry], len(jobs))


def _least_excess(part: Float64s, link: Int64s, job: Int64s, num_jobs: int) -> float:
    """Return a lower bound on Σ (s − 1) over jobs with s ≥ 1 and Σ part / s ≤ 1 on each link.

    Parameters
    ----------
    part, link, job
        ``(entries,)`` what a job would fill of a link alone; only of links that are over-full.
    """
    if not len(part):
        return 0.0
    from scipy.optimize import minimize
    from scipy.sparse import coo_array

    links, row = np.unique(link, return_inverse=True)
    matrix: Any = coo_array((part, (job, row.ravel())), shape=(num_jobs, len(links))).tocsr()

    def value(price: Float64s) -> tuple[float, Float64s]:
        q = matrix @ price
        root = np.sqrt(np.maximum(q, 1.0))
        total = float(np.where(q <= 1, q, 2 * root - 1).sum() - price.sum())
        slope: Float64s = matrix.T @ (1.0 / root) - 1.0
        return -total, -slope

    found = minimize(
        value,
        np.zeros(len(links)),
        jac=True,
        method="L-BFGS-B",
        bounds=[(0.0, None)] * len(links),
        options={"maxiter": _MOST_STEPS},
    )
    return max(0.0, -value(np.maximum(found.x, 0.0))[0])
