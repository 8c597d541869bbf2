"""Few moves of running jobs that cut the total slow-down by a given part."""

from __future__ import annotations

import time
from dataclasses import replace

import numpy as np

from planner.advice import Moves
from planner.evaluate import evaluate
from planner.job import Job
from planner.objective import Objective
from planner.placement import Placement
from planner.problem import Problem
from solvers.advisors.defrag import ordered_steps
from solvers.cp_sat.improve import improve
from solvers.cp_sat.scopes import LoadAware
from solvers.cp_sat.search import Search
from solvers.fitting import fit
from solvers.inventory import Inventory, Taken
from solvers.loads import Loads
from topologies.errors import InfeasibleError, InputError
from topologies.fabric import Int64s

__all__ = ["calm"]

_NONE = np.empty(0, np.int64)
_PLACES = 4  # places tried for a job at a time
_JUDGED = 8  # moves that the linear form likes best and that `evaluate` judges
_NOTHING = 1e-9


def calm(
    problem: Problem, placement: Placement, *, cut_frac: float, time_limit_s: float = 10.0, seed: int = 1
) -> Moves:
    """Return moves that cut the total slow-down by a part, those that gain most for their cost first.

    Each step judges, by `evaluate`, the single moves that a linear form of uplink loads likes best. If that is not
    enough, `cp-sat`'s repairs move several jobs at once. In the end moves that turn out not to be needed are taken
    back. The bound of the cost is 0: that no moves are needed is all that is known.

    Parameters
    ----------
    problem, placement
        Jobs and where they run. A job moves only if it is movable, at its cost a move.
    cut_frac
        Part of Σ (slow-down − 1) that must go, above 0 to 1.

    Raises
    ------
    InputError
        If the placement is none of the problem's, or the part is out of range.
    InfeasibleError
        If the moves found in time do not cut as much.
    """
    if not 0 < cut_frac <= 1:
        raise InputError(what="the part to cut is out of range", found=cut_frac, allowed="above 0 to 1")
    placement.check(problem)
    run = _Run(problem, placement, seed)
    goal = (1 - cut_frac) * run.excess
    until_s = time.monotonic() + time_limit_s
    while run.excess > goal + _NOTHING and time.monotonic() < until_s:
        if not run.move_one():
            break
    if run.excess > goal + _NOTHING:
        run.move_several(until_s - time.monotonic())
    if run.excess > goal + _NOTHING:
        raise InfeasibleError(
            what="no moves that cut the slow-down as much were found",
            found=f"{1 - run.excess / run.first_excess:.0%}" if run.first_excess else "nobody is slowed down",
            allowed=f"{cut_frac:.0%} wanted",
            fix="let more jobs move, or give more time",
        )
    run.take_back(goal)
    return run.plan()


class _Run:
    def __init__(self, problem: Problem, placement: Placement, seed: int) -> None:
        self.problem = replace(problem, running={i: a for i, a in placement.ranks.items() if _can_move(problem, i)})
        self.before = self.now = placement
        self.rng = np.random.default_rng(seed)
        self.seed = seed
        self.inventory = Inventory(self.problem, placement)
        self.loads = Loads(self.problem, placement)
        self.score = evaluate(self.problem, placement, seed=seed)
        self.first_excess = self.excess

    @property
    def excess(self) -> float:
        return self.score["excess_slowdown"]

    def move_one(self) -> bool:
        """Make the move that gains most for its cost; tell whether any gains."""
        tried: list[tuple[float, Job, Int64s]] = []
        base = float((self.loads.slowdown() - 1).sum())
        for job_id in self.problem.running:
            job = self.problem.jobs[self.problem.job_idx[job_id]]
            if not self.loads.of_job[self.problem.job_idx[job_id]].any():
                continue
            for ranks in self._places(job):
                self.loads.put(job_id, ranks)
                gain = base - float((self.loads.slowdown() - 1).sum())
                self.loads.put(job_id, self.now.ranks[job_id])
                if gain > _NOTHING:
                    tried.append((gain / max(job.move_cost * job.accelerators, _NOTHING), job, ranks))
        best: tuple[float, Job, Placement] | None = None
        for _, job, ranks in sorted(tried, key=lambda item: -item[0])[:_JUDGED]:
            changed = Placement({**self.now.ranks, job.id: ranks}, self.now.spares)
            excess = evaluate(self.problem, changed, seed=self.seed)["excess_slowdown"]
            gain = (self.excess - excess) / max(job.move_cost * job.accelerators, _NOTHING)
            if gain > _NOTHING and (best is None or gain > best[0]):
                best = (gain, job, changed)
        if best is None:
            return False
        self._go(best[1], best[2])
        return True

    def move_several(self, time_limit_s: float) -> None:
        """Let repairs move jobs together, as where two change places."""
        problem, now = self.problem, self.now
        there = [replace(j, movable=_can_move(problem, j.id)) for j in problem.jobs if j.id in now]
        if time_limit_s <= 0 or any(job.is_part or job.spare_hosts for job in there):
            return
        asked = replace(
            problem,
            jobs=tuple(there),
            running={job.id: self.before.ranks[job.id] for job in there},
            objective=Objective(("placed_weight", "excess_slowdown", "moves")),
        )
        search = Search(asked, time_limit_s, self.seed, None, solver="calm")
        search.offer(now, "as it is")
        improve(search)
        if search.score["excess_slowdown"] < self.excess - _NOTHING:
            self.now = search.placement
            self.inventory = Inventory(problem, self.now)
            self.loads = Loads(problem, self.now)
            self.score = evaluate(problem, self.now, seed=self.seed)

    def _places(self, job: Job) -> list[Int64s]:
        here = Taken(self.now.ranks[job.id])
        self.inventory.release(job, here)
        self.loads.put(job.id, None)
        found = []
        for _ in range(_PLACES):
            there = fit(self.inventory, job, LoadAware(self.loads, self.rng))
            if there is not None:
                taken = self.inventory.take(job, there.hosts, there.counts)
                self.inventory.release(job, taken)
                found.append(taken.ranks)
        self.inventory.occupy(job, here)
        self.loads.put(job.id, here.ranks)
        return found

    def _go(self, job: Job, changed: Placement) -> None:
        self.inventory.release(job, Taken(self.now.ranks[job.id]))
        self.inventory.occupy(job, Taken(changed.ranks[job.id]))
        self.loads.put(job.id, changed.ranks[job.id])
        self.now = changed
        self.score = evaluate(self.problem, changed, seed=self.seed)

    def take_back(self, goal: float) -> None:
        """Undo moves, dear ones first, that the goal does not need."""
        moved = [i for i in self.problem.running if not np.array_equal(self.now.ranks[i], self.before.ranks[i])]
        jobs = [self.problem.jobs[self.problem.job_idx[i]] for i in moved]
        for job in sorted(jobs, key=lambda job: -job.move_cost * job.accelerators):
            changed = Placement({**self.now.ranks, job.id: self.before.ranks[job.id]}, self.now.spares)
            if not changed.faults(self.problem) and (
                evaluate(self.problem, changed, seed=self.seed)["excess_slowdown"] <= goal + _NOTHING
            ):
                self._go(job, changed)

    def plan(self) -> Moves:
        """Return the moves in an order that can be made."""
        return Moves(
            tuple(ordered_steps(self.before, self.now)),
            self.now,
            self.score["moves"],
            0.0,
            dict(evaluate(self.problem, self.before, seed=self.seed).components),
            dict(self.score.components),
        )


def _can_move(problem: Problem, job_id: str) -> bool:
    job = problem.jobs[problem.job_idx[job_id]]
    return job.movable and not job.is_part and not job.spare_hosts
