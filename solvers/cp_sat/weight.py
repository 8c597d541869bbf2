"""The first level: place as much weight as can be, and bound it."""

from __future__ import annotations

import numpy as np

from planner.job import Job
from planner.placement import Placement
from solvers.cp_sat.columns import generate_columns
from solvers.cp_sat.expand import expand
from solvers.cp_sat.master import add_cuts, pattern_of, solve_master
from solvers.cp_sat.model import Counts, CountsModel, build_model
from solvers.cp_sat.objective import WEIGHT_SCALE
from solvers.cp_sat.search import Search
from solvers.greedy import in_order, merged, place_in_order
from solvers.inventory import Inventory, Taken
from solvers.policies import BestFit
from solvers.room import could_fit
from topologies.fabric import Int64s

__all__ = ["place_weight"]

_COMPACT_VARIABLES = 30_000  # chunk counts up to which one model of the whole cluster is solved
_WHOLE_FRAC, _RELAXED_FRAC, _PATCH_FRAC = 0.6, 0.3, 0.35  # shares of the time that is left
_RELAXED_S = 0.15  # the least that the relaxation gets, if there is as much
_COLUMNS_FRAC, _MASTER_FRAC, _MOST_CUTS = 0.4, 0.6, 3
_PATCH_S = 1.0
_PATCH_HOSTS, _PATCH_JOBS = 96, 60
_PATIENCE = 60


def place_weight(search: Search) -> None:
    """Place more weight than the greedy starts, or prove that there is no more."""
    if search.is_full or search.left_s <= 0:
        return
    problem = search.problem
    parts = [job for job in problem.jobs if job.is_part]
    fixed = search.placement.only({job_id for job_id in problem.running if not _movable(search, job_id)})
    open_jobs = [job for job in problem.jobs if not job.is_part and not _is_fixed(search, job)]
    base = Inventory(problem, fixed)
    whole = [job for job in open_jobs if could_fit(base, job)]
    running = {job_id: Taken(problem.running[job_id]) for job_id in problem.running if _movable(search, job_id)}
    unknown = sum(job.weight for job in parts) + sum(job.weight for job in problem.jobs if _is_fixed(search, job))
    search.lower_bound(unknown + sum(job.weight for job in whole), "counting")
    _relax(search, whole, fixed, unknown)
    if search.is_full:
        return
    is_compact = _num_variables(search, whole) <= _COMPACT_VARIABLES
    if not is_compact or not parts:
        _by_patterns(search, whole, fixed, unknown)
    if is_compact and not search.is_full:
        _whole_model(search, whole, fixed, running, unknown)
    if not search.is_full:
        _patches(search)


def _movable(search: Search, job_id: str) -> bool:
    return search.problem.jobs[search.problem.job_idx[job_id]].movable


def _is_fixed(search: Search, job: Job) -> bool:
    return job.id in search.problem.running and not job.movable


def _slack(jobs: list[Job]) -> float:
    """Return what whole numbers in the model may hide of the jobs' weight."""
    return sum(abs(job.weight - round(job.weight * WEIGHT_SCALE) / WEIGHT_SCALE) for job in jobs)


def _relax(search: Search, whole: list[Job], fixed: Placement, unknown: float) -> None:
    """Bound the weight without looking at places, and place the jobs that this chooses first."""
    inventory = Inventory(search.problem, fixed)
    model = build_model(inventory, whole, by_place=False)
    counts = model.solve(
        time_limit_s=min(search.left_s, max(_RELAXED_S, _RELAXED_FRAC * search.left_s)),
        seed=search.seed,
        clock=search.clock,
    )
    if counts is None:
        return
    search.lower_bound(counts.bound + model.narrow_weight + unknown + _slack(whole), "bounding by counts")
    chosen = {job.id for r, request in enumerate(model.asked) for job in request.jobs[: counts.placed[r]]}
    kept = search.placement.only(set(search.problem.running))
    waiting = [job for job in search.problem.jobs if job.id not in kept]
    first = sorted((job for job in waiting if job.id in chosen), key=lambda job: -job.accelerators)
    rest = in_order(job for job in waiting if job.id not in chosen)
    placed, _ = place_in_order(Inventory(search.problem, kept), [*first, *rest], BestFit())
    search.offer_weight(merged(kept, placed), "placing what counts chose")


def _by_patterns(search: Search, whole: list[Job], fixed: Placement, unknown: float) -> None:
    """Bound by prices of hosts in each leaf group, and let CP-SAT choose among placement patterns."""
    problem = search.problem
    best = search.placement
    inventory = Inventory(problem, fixed)
    now = {
        job.id: pattern_of(inventory, best.ranks[job.id], best.spares.get(job.id, np.empty(0, np.int64)))
        for job in whole
        if job.id in best
    }
    columns = generate_columns(
        inventory, whole, now, until_s=search.clock.now_s + _COLUMNS_FRAC * search.left_s, clock=search.clock
    )
    if columns is None or search.left_s <= 0:
        return
    able = [job for job in whole if job.id not in columns.impossible]
    model = build_model(inventory, able, by_place=False)
    add_cuts(model, columns.cuts[-_MOST_CUTS:])
    extra = model.narrow_weight + unknown + _slack(whole)
    counts = model.solve(time_limit_s=max(0.05, _RELAXED_FRAC * search.left_s), seed=search.seed, clock=search.clock)
    if counts is not None:
        search.lower_bound(counts.bound + extra, "bounding by prices")
    if search.is_full or search.left_s <= 0:
        return
    kept = search.placement.only(set(problem.running))
    waiting = [job for job in able if job.id not in kept]
    placed = solve_master(
        Inventory(problem, kept),
        waiting,
        columns,
        {job_id: pattern for job_id, pattern in now.items() if job_id not in kept},
        time_limit_s=_MASTER_FRAC * search.left_s,
        seed=search.seed,
        clock=search.clock,
    )
    if placed is not None:
        whole_now = merged(kept, placed)
        inventory = Inventory(problem, whole_now)
        more, _ = place_in_order(inventory, in_order(j for j in problem.jobs if j.id not in whole_now), BestFit())
        search.offer_weight(merged(whole_now, more), "placing by patterns")


def _num_variables(search: Search, whole: list[Job]) -> int:
    fabric = search.problem.fabric
    free = np.bincount(fabric.accelerator_host[search.problem.state.free], minlength=fabric.num_hosts)
    classes = len(np.unique(fabric.host_leaf_group.astype(np.int64) * 1024 + free))
    return classes * len(whole)


def _whole_model(search: Search, whole: list[Job], fixed: Placement, running: dict[str, Taken], unknown: float) -> None:
    """Solve one model of the whole cluster: the bound and the answer are exact where no job is narrow."""
    parts = search.placement.only({job.id for job in search.problem.jobs if job.is_part})
    inventory = Inventory(search.problem, fixed)
    model = build_model(inventory, whole, running=running)
    model.hint(set(search.placement))
    extra = model.narrow_weight + unknown + _slack(whole)

    def told(bound: float) -> None:
        search.lower_bound(bound + extra, "placing by CP-SAT")

    counts = model.solve(time_limit_s=_WHOLE_FRAC * search.left_s, seed=search.seed, clock=search.clock, on_bound=told)
    if counts is None:
        return
    told(counts.bound)
    _complete(search, counts, model, Inventory(search.problem, fixed), fixed)
    if len(parts) and not search.is_full:
        kept = merged(fixed, parts)
        model = build_model(Inventory(search.problem, kept), whole, running=running)
        again = model.solve(time_limit_s=0.5 * search.left_s, seed=search.seed, clock=search.clock)
        if again is not None:
            _complete(search, again, model, Inventory(search.problem, kept), kept)


def _complete(search: Search, counts: Counts, model: CountsModel, inventory: Inventory, kept: Placement) -> None:
    """Expand counts, add what still fits, and offer it."""
    placed = merged(kept, expand(counts, model, inventory))
    if any(job_id not in placed for job_id in search.problem.running):
        return
    missing = in_order(job for job in search.problem.jobs if job.id not in placed)
    more, _ = place_in_order(inventory, missing, BestFit())
    search.offer_weight(merged(placed, more), "placing by CP-SAT")


def _patches(search: Search) -> None:
    """Re-place the jobs of some leaf groups at a time together with jobs that are left out."""
    until = search.left_s * (1 - _PATCH_FRAC)
    fruitless = 0
    while search.left_s > until and fruitless < _PATIENCE and not search.is_full and search.left_out:
        fruitless = 0 if _patch(search, _patch_hosts(search)) else fruitless + 1


def _patch_hosts(search: Search) -> Int64s:
    """Choose whole leaf groups, those with room more often, mostly of one pod."""
    fabric, rng = search.problem.fabric, search.rng
    free = search.problem.state.free.copy()
    free[search.placement.used] = False
    room = np.bincount(fabric.host_leaf_group[fabric.accelerator_host[free]], minlength=fabric.num_leaf_groups)
    first = int(rng.choice(fabric.num_leaf_groups, p=(room + 0.1) / (room + 0.1).sum()))
    pod_of = np.zeros(fabric.num_leaf_groups, np.int64)
    pod_of[fabric.host_leaf_group] = fabric.host_pod
    near = rng.permutation(fabric.num_leaf_groups)
    if rng.random() < 0.5:
        near = near[np.argsort(pod_of[near] != pod_of[first], kind="stable")]
    else:
        near = near[np.argsort(-(room[near] + rng.random(len(near))), kind="stable")]
    size = np.bincount(fabric.host_leaf_group, minlength=fabric.num_leaf_groups)
    order = np.concatenate(([first], near[near != first]))
    num = max(1, int(np.searchsorted(np.cumsum(size[order]), _PATCH_HOSTS)))
    return np.flatnonzero(np.isin(fabric.host_leaf_group, order[:num]))


def _patch(search: Search, hosts: Int64s) -> bool:
    """Free what lies wholly on some hosts, and solve for the most weight there; tell whether there is more."""
    problem, best = search.problem, search.placement
    fabric = problem.fabric
    inside = np.zeros(fabric.num_hosts, bool)
    inside[hosts] = True
    freed = [
        job
        for job in problem.jobs
        if job.id in best
        and job.id not in problem.running
        and not job.is_part
        and inside[fabric.accelerator_host[best.ranks[job.id]]].all()
    ]
    waiting = [job for job in search.left_out if not job.is_part]
    if len(waiting) > _PATCH_JOBS:
        picked = search.rng.choice(len(waiting), _PATCH_JOBS, replace=False)
        waiting = [waiting[i] for i in sorted(picked.tolist())]
    kept = best.only(set(best) - {job.id for job in freed})
    inventory = Inventory(problem, kept)
    model = build_model(inventory, [*freed, *waiting], among=hosts)
    model.hint({job.id for job in freed})
    limit = min(_PATCH_S, search.left_s)
    counts = model.solve(time_limit_s=limit, seed=int(search.rng.integers(2**31)), clock=search.clock)
    if counts is None or counts.weight <= sum(job.weight for job in freed):
        return False
    placed = merged(kept, expand(counts, model, inventory))
    more, _ = place_in_order(inventory, in_order(j for j in problem.jobs if j.id not in placed), BestFit())
    return search.offer_weight(merged(placed, more), "placing by parts")
