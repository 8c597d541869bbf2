"""Bounds that hold for the whole problem, not only for what a model looks at: weight placed, and slow-down."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import numpy.typing as npt

from planner.collectives.traffic import Demand, job_flows
from planner.congestion.loads import loads_of
from planner.congestion.score import alone_rates
from planner.problem import Problem
from topologies.fabric import Float64s

__all__ = ["counting_bound", "slowdown_bounds"]

_MOST_KINDS = 8


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

    Let d be the part of a link that a job would fill alone, times the part of its time that it uses the link. If no
    job is slowed down more than S times, the link carries at least Σ d / S, so S ≥ Σ d over the jobs on any link. And
    Σ (s − 1) over the jobs of one link is least, given Σ d / s ≤ 1, where s = max(1, μ √d) for one μ (Lagrange); links
    without a job in common add up. Whatever is placed beside them only adds to the link.
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
    excess, seen = 0.0, np.zeros(len(jobs), bool)
    start = np.searchsorted(link, np.arange(incidence.num_links + 1))
    for tight in np.argsort(-full, kind="stable").tolist():
        if full[tight] <= 1:
            break
        here = slice(start[tight], start[tight + 1])
        if not seen[job_of[here]].any():
            excess += _least_excess(amount[here].astype(np.float64))
            seen[job_of[here]] = True
    return worst, excess


def _least_excess(part: Float64s) -> float:
    """Return the least Σ (s − 1) with s ≥ 1 and Σ part / s ≤ 1."""
    order = np.sort(part)[::-1]
    for num in range(1, len(order) + 1):  # the `num` largest are slowed down, the others are not
        left = 1.0 - float(order[num:].sum())
        if left <= 0:
            continue
        scale = float(np.sqrt(order[:num]).sum()) / left
        slow = scale * np.sqrt(order[:num])
        if slow[-1] >= 1 - 1e-12 and (num == len(order) or scale * float(np.sqrt(order[num])) <= 1 + 1e-12):
            return max(0.0, float((slow - 1).sum()))
    return 0.0
