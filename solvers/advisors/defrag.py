"""Fewest moves of running jobs that make room, and an order in which they can be made."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np

from planner.advice import Move, Moves
from planner.evaluate import evaluate
from planner.job import Job
from planner.placement import Placement
from planner.problem import Problem
from solvers.advisors.eviction import Eviction, EvictionModel, groups_to_try
from solvers.cp_sat.expand import expand
from solvers.cp_sat.model import build_model
from solvers.fitting import fit
from solvers.inventory import Inventory, Taken
from solvers.policies import BestFit
from topologies.errors import InfeasibleError, InputError
from topologies.fabric import Int64s

__all__ = ["defrag", "ordered_steps"]

_NONE = np.empty(0, np.int64)
_MOST_TRIES = 30  # choices of jobs to evict before one model of everything is tried
_EVICTION_FRAC = 0.5  # of the time left
_LEAST_S = 0.2


def defrag(
    problem: Problem, placement: Placement, job: Job, *, copies: int = 1, time_limit_s: float = 10.0, seed: int = 1
) -> Moves:
    """Return the cheapest moves found that make room for more jobs, with a bound on the cost of any.

    Parameters
    ----------
    problem, placement
        Jobs and where they run. A job moves only if it is movable, at its cost a move.
    job, copies
        What room is wanted for; it starts in the last steps.

    Raises
    ------
    InputError
        If the placement is none of the problem's, or the job's id is taken.
    InfeasibleError
        If no moves make room, or none were found in time.
    """
    placement.check(problem)
    wanted = [replace(job, id=job.id if copies == 1 else f"{job.id}#{i}") for i in range(copies)]
    taken = [new.id for new in wanted if new.id in problem.job_idx]
    if taken:
        raise InputError(what="room is wanted for a job that is there already", found=repr(taken[0]))
    stays = [there for there in problem.jobs if there.id in placement]
    movable = [there for there in stays if _can_move(there)]
    fixed = placement.only({there.id for there in stays if not _can_move(there)})
    asked = replace(
        problem,
        jobs=(*stays, *wanted),
        running={there.id: placement.ranks[there.id] for there in movable},
    )
    after, bound = _replaced(
        asked, placement, fixed, movable, wanted, until_s=time.monotonic() + time_limit_s, seed=seed
    )
    after.check(asked)
    cost = sum(
        there.move_cost * there.accelerators
        for there in movable
        if not np.array_equal(np.sort(after.ranks[there.id]), np.sort(placement.ranks[there.id]))
    )
    return Moves(
        tuple(ordered_steps(placement, after)),
        after,
        cost,
        min(cost, bound),
        dict(evaluate(replace(asked, jobs=tuple(stays)), placement.only({s.id for s in stays})).components),
        dict(evaluate(asked, after).components),
    )


def _replaced(
    asked: Problem,
    placement: Placement,
    fixed: Placement,
    movable: Sequence[Job],
    wanted: Sequence[Job],
    *,
    until_s: float,
    seed: int,
) -> tuple[Placement, float]:
    """Return where everybody is in the end, and the least that it could cost.

    First the jobs are chosen that would make room by leaving, cheapest first, until those chosen find other places; if
    none do, one model of the whole cluster says who stays and who goes where.
    """
    places = {there.id: placement.ranks[there.id] for there in movable}
    before = placement.only({*places, *fixed})
    inventory = Inventory(asked, before)
    bound = 0.0
    if not any(job.spare_hosts or job.domain_group > 1 for job in wanted):
        groups = groups_to_try(asked, wanted)
        share_s = _EVICTION_FRAC * (until_s - time.monotonic()) / len(groups)
        models = [EvictionModel(asked, inventory, places, wanted, among=hosts) for hosts in groups]
        answers = [(model, model.solve(time_limit_s=share_s, seed=seed)) for model in models]
        known = [(model, answer) for model, answer in answers if answer is not None]
        is_open = any(answer is None and not model.is_impossible for model, answer in answers)
        bound = 0.0 if is_open else min((answer.bound for _, answer in known), default=0.0)
        for _ in range(_MOST_TRIES):
            if not known or time.monotonic() > until_s:
                break
            at = min(range(len(known)), key=lambda i: known[i][1].cost)
            model, chosen = known[at]
            found = _found_places(asked, before, wanted, chosen)
            if found is not None:
                return found, bound
            model.forbid(chosen.moved)
            again = model.solve(time_limit_s=share_s, seed=seed)
            known = [pair for i, pair in enumerate(known) if i != at] + ([(model, again)] if again else [])
    return _by_one_model(asked, placement, fixed, movable, wanted, bound, until_s=until_s, seed=seed)


def _found_places(asked: Problem, before: Placement, wanted: Sequence[Job], chosen: Eviction) -> Placement | None:
    """Put the new jobs where they were meant to go, and the evicted ones elsewhere; None if they find no place."""
    stays = before.only(set(before) - chosen.moved)
    inventory = Inventory(asked, stays)
    ranks, spares = dict(stays.ranks), dict(stays.spares)
    for job, pairs in zip(wanted, chosen.hosts, strict=True):
        hosts, counts = np.array([h for h, _ in pairs], np.int64), np.array([n for _, n in pairs], np.int64)
        if (inventory.usable(job)[hosts] < counts).any():
            return None
        ranks[job.id] = inventory.take(job, hosts, counts).ranks
    evicted = sorted((asked.jobs[asked.job_idx[i]] for i in chosen.moved), key=lambda job: -job.accelerators)
    for job in evicted:
        found = fit(inventory, job, BestFit())
        if found is None:
            return None
        ranks[job.id] = inventory.take(job, found.hosts, found.counts).ranks
    after = Placement(ranks, spares)
    return None if after.faults(asked) else after


def _by_one_model(
    asked: Problem,
    placement: Placement,
    fixed: Placement,
    movable: Sequence[Job],
    wanted: Sequence[Job],
    bound: float,
    *,
    until_s: float,
    seed: int,
) -> tuple[Placement, float]:
    running = {there.id: Taken(placement.ranks[there.id]) for there in movable}
    model = build_model(
        Inventory(asked, fixed),
        [*movable, *wanted],
        goal="moves",
        least_weight=sum(there.weight for there in (*movable, *wanted)),
        running=running,
    )
    counts = model.solve(time_limit_s=max(_LEAST_S, until_s - time.monotonic()), seed=seed)
    if counts is None:
        raise InfeasibleError(
            what="no moves that make room were found",
            where=f"job {wanted[0].id!r}",
            found=f"{len(movable)} jobs may move",
            fix="let more jobs move, ask for less, or give more time",
        )
    moved = expand(counts, model, Inventory(asked, fixed))
    left = [new.id for new in (*movable, *wanted) if new.id not in moved]
    if left:
        raise InfeasibleError(what="the moves found could not be carried out", where=f"job {left[0]!r}")
    after = Placement({**fixed.ranks, **moved.ranks}, {**fixed.spares, **moved.spares})
    return after, max(bound, counts.bound)


def _can_move(job: Job) -> bool:
    return job.movable and not job.is_part and not job.spare_hosts


def ordered_steps(before: Placement, after: Placement) -> Iterator[Move]:
    """Yield the steps from one placement to another in an order in which no accelerator is ever held twice.

    A job goes as soon as all it goes to is free of others. Where jobs wait for each other in a ring, the one with
    fewest accelerators stops first and starts again at the end of the ring.
    """
    held = {
        int(a): job_id for lists in (before.ranks, before.spares) for job_id, all_of in lists.items() for a in all_of
    }
    waiting = {
        job_id: ranks
        for job_id, ranks in after.ranks.items()
        if job_id not in before or not np.array_equal(np.sort(ranks), np.sort(before.ranks[job_id]))
    }
    where: dict[str, Int64s] = {job_id: before.ranks.get(job_id, _NONE) for job_id in waiting}
    while waiting:
        ready = [
            job_id
            for job_id, target in waiting.items()
            if all(held.get(int(a), job_id) == job_id for a in (*target, *after.spares.get(job_id, _NONE)))
        ]
        if not ready:
            job_id = min((i for i in waiting if len(where[i])), key=lambda i: (len(where[i]), i))
            yield Move(job_id, "stop", where[job_id], _NONE)
            _leave(held, np.concatenate([where[job_id], before.spares.get(job_id, _NONE)]))
            where[job_id] = _NONE
            continue
        job_id = sorted(ready, key=lambda i: (not len(where[i]), i))[0]
        source, target = where.pop(job_id), waiting.pop(job_id)
        if len(source):
            _leave(held, np.concatenate([source, before.spares.get(job_id, _NONE)]))
        held.update((int(a), job_id) for a in (*target, *after.spares.get(job_id, _NONE)))
        yield Move(job_id, "move" if len(source) else "start", source, target)


def _leave(held: dict[int, str], accelerators: Int64s) -> None:
    for accelerator in accelerators.tolist():
        held.pop(accelerator, None)
