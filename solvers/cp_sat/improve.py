"""The levels below the weight: re-place a part of the jobs at a time, keep what the true score calls better."""

from __future__ import annotations

import numpy as np

from planner.job import Job
from planner.placement import Placement
from solvers.cp_sat.expand import expand
from solvers.cp_sat.model import build_model
from solvers.cp_sat.objective import uplink_rings
from solvers.cp_sat.search import Search
from solvers.greedy import merged
from solvers.inventory import Inventory
from topologies.fabric import Float64s

__all__ = ["improve"]

_PART_LIMIT_S = 2.0  # one neighbourhood's share of the time
_PART_JOBS = 24
_PATIENCE = 12  # neighbourhoods without gain before the search ends


def improve(search: Search) -> None:
    """Re-place jobs while the time lasts and it helps."""
    fruitless = 0
    rings = uplink_rings(search.problem.fabric)
    while search.left_s > 0 and fruitless < _PATIENCE and _can_improve(search):
        placement = _replaced(search, _neighbourhood(search), rings)
        is_better = placement is not None and search.offer(placement, "improving by parts")
        fruitless = 0 if is_better else fruitless + 1


def _can_improve(search: Search) -> bool:
    """Tell whether any lower level is above its ideal, or spread is left to undo."""
    score = search.score
    return score["excess_slowdown"] > 1e-9 or score["cross_leaf_jobs"] > 0


def _neighbourhood(search: Search) -> list[Job]:
    """Choose jobs to re-place: those that are slowed down or spread, and some beside them."""
    problem, best, fabric = search.problem, search.placement, search.problem.fabric
    placed = [job for job in problem.jobs if job.id in best]
    slow = search.score.congestion.slowdown() - 1.0
    spread = [len(np.unique(fabric.host_leaf_group[fabric.accelerator_host[best.ranks[job.id]]])) for job in placed]
    interest = 0.05 + np.maximum(slow, 0) * 4 + (np.array(spread) - 1)
    interest[[job.is_part or job.id in problem.running for job in placed]] = 0
    num = min(_PART_JOBS, int(np.count_nonzero(interest)))
    if not num:
        return []
    chosen = search.rng.choice(len(placed), num, replace=False, p=interest / interest.sum())
    left_out = [job for job in search.left_out if not job.is_part]
    return [placed[i] for i in sorted(chosen.tolist())] + left_out[:_PART_JOBS]


def _replaced(search: Search, freed: list[Job], rings: Float64s) -> Placement | None:
    """Return the best placement with some jobs placed anew by CP-SAT, all others as they are."""
    problem, best, fabric = search.problem, search.placement, search.problem.fabric
    if not freed:
        return None
    freed_ids = {job.id for job in freed}
    kept = best.only(set(best) - freed_ids)
    inventory = Inventory(problem, kept)
    rings_left = rings.copy()
    for job_id, accelerators in kept.ranks.items():
        if problem.jobs[problem.job_idx[job_id]].traffic is not None:
            used = np.unique(fabric.host_leaf_group[fabric.accelerator_host[accelerators]])
            if len(used) > 1:
                rings_left[used] -= 1
    weight = sum(job.weight for job in freed if job.id in best)
    model = build_model(inventory, freed, goal="spread", rings_left=rings_left, least_weight=weight, with_loose=False)
    model.hint(set(best))
    limit = min(_PART_LIMIT_S, search.left_s)
    counts = model.solve(time_limit_s=limit, seed=int(search.rng.integers(2**31)), repeatable=False)
    if counts is None:
        return None
    return merged(kept, expand(counts, model, inventory))
