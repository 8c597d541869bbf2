"""The levels below the weight: re-place a part of the jobs at a time, keep what the true score calls better."""

from __future__ import annotations

import numpy as np

from planner.job import Job
from planner.objective import LEVELS
from planner.placement import Placement
from solvers.cp_sat.bound import slowdown_bounds
from solvers.cp_sat.exhaust import exhaust
from solvers.cp_sat.expand import expand
from solvers.cp_sat.memory import TooLargeError
from solvers.cp_sat.model import build_model
from solvers.cp_sat.repair import Repair
from solvers.cp_sat.search import Search
from solvers.greedy import merged
from solvers.inventory import Inventory
from solvers.loads import Uplinks
from topologies.fabric import Float64s

__all__ = ["improve"]

_PART_LIMIT_S = 0.5  # one neighbourhood's share of the time
_PART_JOBS = 24
_NOTHING = 1e-9
_REPAIRS, _FEW_REPAIRS = 20, 4  # a round, where somebody is slowed down and where nobody is
_PATIENCE = 12  # rounds without gain before the search ends
_LITTLE_PATIENCE = 3  # the same where nobody is slowed down any more


def improve(search: Search) -> None:
    """Re-place jobs while the time lasts and it helps: many quick repairs, and a model of a part in between."""
    if exhaust(search):
        return
    _bound_slowdown(search)
    fruitless = 0
    rings = Uplinks.of(search.problem.live_fabric).capacity[: search.problem.fabric.num_leaf_groups]
    repair = Repair(search)
    while search.left_s > 0 and _can_improve(search):
        is_slow = _is_slow(search)
        if fruitless >= (_PATIENCE if is_slow else _LITTLE_PATIENCE):
            break
        is_better = False
        for _ in range(_REPAIRS if is_slow else _FEW_REPAIRS):
            if search.left_s <= 0 or not _can_improve(search):
                break
            is_better |= repair.step()
        if not is_better and search.left_s > 0 and (is_slow or search.score["cross_leaf_jobs"] > 0):
            placement = _replaced(search, _neighbourhood(search), rings)
            is_better = placement is not None and search.offer(placement, "improving by parts")
        fruitless = 0 if is_better else fruitless + 1


def _bound_slowdown(search: Search) -> None:
    """Bound the slow-down from below by the jobs that stay."""
    if search.score["excess_slowdown"] <= _NOTHING or not search.problem.running:
        return
    worst, excess = slowdown_bounds(search.problem, seed=search.seed)
    for name, bound in (("worst_slowdown", worst), ("excess_slowdown", excess)):
        if name in search.bounds:
            search.bounds[name] = min(bound, search.score[name])


def _can_improve(search: Search) -> bool:
    """Tell whether a level is not at its bound, or jobs are spread."""
    score = search.score
    if search.problem.objective.weights is not None:
        return True
    return score["cross_leaf_jobs"] > 0 or any(
        LEVELS[name].sense * (search.bounds[name] - score[name]) > _NOTHING
        for name in search.problem.objective.levels
        if name != "placed_weight"
    )


def _is_slow(search: Search) -> bool:
    score, bounds = search.score, search.bounds
    return any(
        score[name] > bounds.get(name, ideal) + _NOTHING
        for name, ideal in (("excess_slowdown", 0.0), ("worst_slowdown", 1.0))
    )


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
    try:
        model = build_model(
            inventory, freed, goal="spread", rings_left=rings_left, least_weight=weight, with_loose=False
        )
    except TooLargeError:
        return None
    model.hint(set(best))
    limit = min(_PART_LIMIT_S, search.left_s)
    counts = model.solve(time_limit_s=limit, seed=int(search.rng.integers(2**31)), clock=search.clock)
    if counts is None:
        return None
    return merged(kept, expand(counts, model, inventory))
