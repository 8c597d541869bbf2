"""``cp-sat``: greedy starts, the weight placed by the counts model with its bound, then congestion by parts."""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from planner.evaluate import evaluate
from planner.job import Job
from planner.placement import Placement
from planner.problem import Problem
from planner.result import Result
from planner.score import Score
from planner.solver import Progress, ProgressListener
from solvers.cp_sat.bound import counting_bound
from solvers.cp_sat.expand import expand
from solvers.cp_sat.model import build_model
from solvers.cp_sat.objective import uplink_rings
from solvers.fitting import Policy
from solvers.greedy import check_call, place_in_order, trivial_bound
from solvers.inventory import Inventory
from solvers.policies import BestFit, FirstFit, SlurmTree
from solvers.reasons import refusal
from topologies.fabric import Float64s

__all__ = ["CpSatSolver"]

_PART_LIMIT_S = 2.0  # one neighbourhood's share of the time
_PART_JOBS = 24
_PATIENCE = 12  # neighbourhoods without gain before the search ends


@dataclass
class _Best:
    placement: Placement
    score: Score


class CpSatSolver:
    """CP-SAT over counts of alike hosts."""

    name = "cp-sat"

    def solve(
        self,
        problem: Problem,
        *,
        time_limit_s: float,
        seed: int,
        warm_start: Placement | None = None,
        on_progress: ProgressListener | None = None,
    ) -> Result:
        """Return the best placement found and a bound that holds. Raises as `planner.solver.Solver`."""
        check_call(problem, time_limit_s, warm_start)
        search = _Search(problem, time_limit_s, seed, on_progress)
        try:
            search.start(warm_start)
            search.place_weight()
            search.improve()
        except KeyboardInterrupt:
            if search.best is None:
                raise
        return search.result()


class _Search:
    """One run: the best so far, the bound so far, and the clock."""

    def __init__(self, problem: Problem, time_limit_s: float, seed: int, listener: ProgressListener | None) -> None:
        self.problem, self.seed, self.listener = problem, seed, listener
        self.began = time.monotonic()
        self.until = self.began + time_limit_s
        self.best: _Best | None = None
        self.bound = counting_bound(problem)
        self.rng = np.random.default_rng(seed)

    # ---- phases ------------------------------------------------------------------------------------------------

    def start(self, warm_start: Placement | None) -> None:
        """Take the best of the warm start and of greedy placements in several orders."""
        if warm_start is not None:
            self._offer(warm_start, "warm start")
        jobs = self.problem.jobs
        by_priority = sorted(jobs, key=lambda job: -job.priority)
        by_size = sorted(jobs, key=lambda job: (-job.priority, -job.accelerators))
        policies: tuple[Policy, ...] = (BestFit(), SlurmTree(), FirstFit())
        for order in (by_priority, by_size):
            for policy in policies:
                if self.best is None or time.monotonic() < self.until:
                    ranks, _ = place_in_order(Inventory(self.problem), order, policy)
                    self._offer(Placement(ranks), "greedy starts")

    def place_weight(self) -> None:
        """Place more weight than the greedy starts, or prove that there is no more."""
        if self._is_full() or self._left_s() <= 0:
            return
        inventory = Inventory(self.problem)
        model = build_model(inventory, self.problem.jobs)
        model.hint(set(self._best().placement))
        is_narrow = any(request.is_open for request in model.asked)

        def told(bound: float) -> None:
            if not is_narrow:
                self.bound = min(self.bound, bound)
            self._tell("placing by CP-SAT")

        counts = model.solve(time_limit_s=0.7 * self._left_s(), seed=self.seed, repeatable=False, on_bound=told)
        if counts is None:
            return
        if not is_narrow:
            self.bound = min(self.bound, counts.bound)
        ranks = expand(counts, model, inventory)
        missing = [job for job in self.problem.jobs if job.id not in ranks]
        more, _ = place_in_order(inventory, sorted(missing, key=lambda job: -job.priority), BestFit())
        self._offer(Placement({**ranks, **more}), "placing by CP-SAT")

    def improve(self) -> None:
        """Re-place a part of the jobs at a time, keeping what the true score says is better."""
        fruitless = 0
        rings = uplink_rings(self.problem.fabric)
        while self._left_s() > 0 and fruitless < _PATIENCE and self._can_improve():
            freed = self._neighbourhood()
            before = self._best().score.key
            self._offer(self._replaced(freed, rings), "improving by parts")
            fruitless = 0 if self._best().score.key > before else fruitless + 1

    # ---- one neighbourhood -------------------------------------------------------------------------------------

    def _neighbourhood(self) -> list[Job]:
        """Choose jobs to re-place: those that are slowed down or spread, and some beside them."""
        problem, best = self.problem, self._best()
        placed = [job for job in problem.jobs if job.id in best.placement]
        slow = best.score.congestion.slowdown() - 1.0
        fabric = problem.fabric
        groups = [
            len(np.unique(fabric.host_leaf_group[fabric.accelerator_host[best.placement.ranks[job.id]]]))
            for job in placed
        ]
        interest = 0.05 + np.maximum(slow, 0) * 4 + (np.array(groups) - 1)
        num = min(_PART_JOBS, len(placed))
        chosen = self.rng.choice(len(placed), num, replace=False, p=interest / interest.sum())
        left_out = [job for job in problem.jobs if job.id not in best.placement]
        return [placed[i] for i in sorted(chosen.tolist())] + left_out[:_PART_JOBS]

    def _replaced(self, freed: list[Job], rings: Float64s) -> Placement:
        """Return the best placement with some jobs placed anew by CP-SAT, all others as they are."""
        problem, best = self.problem, self._best()
        freed_ids = {job.id for job in freed}
        kept = {job_id: ranks for job_id, ranks in best.placement.ranks.items() if job_id not in freed_ids}
        inventory = Inventory(problem)
        for job_id, accelerators in kept.items():
            inventory.occupy(problem.jobs[problem.job_idx[job_id]], accelerators)
        fabric = problem.fabric
        rings_left = rings.copy()
        for job_id, accelerators in kept.items():
            if problem.jobs[problem.job_idx[job_id]].traffic is not None:
                used = np.unique(fabric.host_leaf_group[fabric.accelerator_host[accelerators]])
                if len(used) > 1:
                    rings_left[used] -= 1
        weight = sum(job.weight for job in freed if job.id in best.placement)
        model = build_model(inventory, freed, rings_left=rings_left, least_weight=weight)
        model.hint(set(best.placement))
        limit = min(_PART_LIMIT_S, self._left_s())
        counts = model.solve(time_limit_s=limit, seed=int(self.rng.integers(2**31)), repeatable=False)
        if counts is None:
            return best.placement
        return Placement({**kept, **expand(counts, model, inventory)})

    # ---- bookkeeping -------------------------------------------------------------------------------------------

    def _best(self) -> _Best:
        if self.best is None:
            msg = "no placement yet"
            raise RuntimeError(msg)
        return self.best

    def _left_s(self) -> float:
        return self.until - time.monotonic()

    def _is_full(self) -> bool:
        return self._best().score["placed_weight"] >= self.bound - 1e-9

    def _can_improve(self) -> bool:
        """Tell whether any lower level is above its ideal, or spread is left to undo."""
        score = self._best().score
        return score["excess_slowdown"] > 1e-9 or score["cross_leaf_jobs"] > 0

    def _offer(self, placement: Placement, phase: str) -> None:
        """Keep a placement if `evaluate` says that it is better."""
        score = evaluate(self.problem, placement, seed=self.seed)
        if self.best is None or self._rank(score) > self._rank(self.best.score):
            self.best = _Best(placement, score)
        self._tell(phase)

    @staticmethod
    def _rank(score: Score) -> tuple[float, ...]:
        """Compare by the objective, then by jobs spread over leaf groups."""
        return (*score.key, -score["cross_leaf_jobs"])

    def _tell(self, phase: str) -> None:
        if self.listener is not None and self.best is not None:
            elapsed = time.monotonic() - self.began
            self.listener(Progress(elapsed, self.best.score["placed_weight"], self.bound, phase))

    def result(self) -> Result:
        """Return the answer with reasons for what is left out."""
        problem, best = self.problem, self._best()
        inventory = Inventory(problem)
        for job_id, accelerators in best.placement.ranks.items():
            inventory.occupy(problem.jobs[problem.job_idx[job_id]], accelerators)
        left_out: Iterable[Job] = (job for job in problem.jobs if job.id not in best.placement)
        bound = {**trivial_bound(problem)}
        if "placed_weight" in bound:
            bound["placed_weight"] = max(self.bound, best.score["placed_weight"])
        return Result(
            status="optimal" if self._is_full() else "feasible",
            placement=best.placement,
            score=best.score,
            objective=problem.objective,
            bound=bound,
            refusals=tuple(refusal(inventory, job) for job in left_out),
            run_time_s=time.monotonic() - self.began,
            seed=self.seed,
            solver="cp-sat",
            fabric_fingerprint=problem.fabric.fingerprint,
        )
