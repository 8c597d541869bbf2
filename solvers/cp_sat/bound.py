"""Upper bounds on the weight placed that hold for the whole problem, not only for what the model looks at."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import numpy.typing as npt

from planner.problem import Problem

__all__ = ["counting_bound"]

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
