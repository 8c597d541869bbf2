"""One run of ``cp-sat``: the best placement so far, the bounds so far, and the clock."""

from __future__ import annotations

import time

import numpy as np

from planner.evaluate import evaluate
from planner.job import Job
from planner.objective import LEVELS
from planner.placement import Placement
from planner.problem import Problem
from planner.result import Result
from planner.score import Score
from planner.solver import Progress, ProgressListener
from solvers.cp_sat.bound import counting_bound
from solvers.cp_sat.clock import Clock
from solvers.greedy import trivial_bound
from solvers.inventory import Inventory
from solvers.reasons import refusal

__all__ = ["Search"]

_PROVEN = 1e-9
_EVALUATE_S = 0.05  # what a call of `evaluate` counts as in a repeatable run


class Search:
    """What all phases of a run share.

    Parameters
    ----------
    problem, seed, listener
        As given to `planner.solver.Solver.solve`.
    time_limit_s
        From now.
    solver
        Name that the result bears.
    is_repeatable
        Whether work is counted instead of seconds.

    Attributes
    ----------
    best, score
        The best placement so far, and its score once it is asked for.
    bounds
        For each level the best value that no placement can beat.
    rng
        Random numbers of this run.
    """

    def __init__(
        self,
        problem: Problem,
        time_limit_s: float,
        seed: int,
        listener: ProgressListener | None,
        *,
        solver: str,
        is_repeatable: bool = False,
    ) -> None:
        self.problem, self.seed, self.listener, self.solver = problem, seed, listener, solver
        self.began = time.monotonic()
        self.clock = Clock(is_repeatable=is_repeatable)
        self.until_s = self.clock.now_s + time_limit_s
        self.best: Placement | None = None
        self._score: Score | None = None
        self._evaluate_s = 0.0
        self.bounds = trivial_bound(problem)
        self.bound = counting_bound(problem)
        self.rng = np.random.default_rng(seed)

    @property
    def leads_by_weight(self) -> bool:
        """Whether the weight placed outranks all else, as it does unless the objective says otherwise."""
        objective = self.problem.objective
        return objective.weights is None and objective.levels[0] == "placed_weight"

    def _is_proven(self, bounds: dict[str, float]) -> bool:
        """Tell whether the first level, or the weighted sum, meets its bound."""
        objective = self.problem.objective
        if objective.weights is not None:
            best = objective.total(bounds)
            return best - self.score.total <= _PROVEN * max(1.0, abs(best))
        first = objective.levels[0]
        missing = LEVELS[first].sense * (bounds[first] - self.score[first])
        return missing <= _PROVEN * max(1.0, abs(bounds[first]))

    @property
    def left_s(self) -> float:
        """Seconds left."""
        return self.until_s - self.clock.now_s

    @property
    def placement(self) -> Placement:
        """The best placement.

        Raises
        ------
        RuntimeError
            If there is none yet.
        """
        if self.best is None:
            msg = "no placement yet"
            raise RuntimeError(msg)
        return self.best

    @property
    def score(self) -> Score:
        """What `evaluate` says of the best placement."""
        if self._score is None:
            self._score = evaluate(self.problem, self.placement, seed=self.seed)
        return self._score

    @property
    def weight(self) -> float:
        """Weight that the best placement holds."""
        return self.weight_of(self.placement)

    def weight_of(self, placement: Placement) -> float:
        """Return what a placement's jobs are worth."""
        return float(sum(job.weight for job in self.problem.jobs if job.id in placement))

    @property
    def is_full(self) -> bool:
        """Whether no more weight can be placed."""
        return self.weight >= self.bound - _PROVEN * max(1.0, abs(self.bound))

    @property
    def left_out(self) -> list[Job]:
        """Jobs that the best placement does not hold."""
        return [job for job in self.problem.jobs if job.id not in self.placement]

    def lower_bound(self, bound: float, phase: str) -> None:
        """Take note that no placement holds more weight than `bound`."""
        if bound < self.bound - _PROVEN:
            self.bound = bound
            self.tell(phase)

    def offer_weight(self, placement: Placement, phase: str) -> bool:
        """Keep a placement if it holds more weight; tell whether it does."""
        if not self.leads_by_weight:
            return self.offer(placement, phase)
        if self.best is not None and self.weight_of(placement) <= self.weight + _PROVEN:
            return False
        self.best, self._score = placement, None
        self.tell(phase)
        return True

    def offer(self, placement: Placement, phase: str) -> bool:
        """Keep a placement if `evaluate` says that it is better; tell whether it is."""
        if self.leads_by_weight and self.best is not None and self.weight_of(placement) < self.weight - _PROVEN:
            return False
        if self.best is not None and not self.clock.is_repeatable and self._evaluate_s > self.left_s:
            return False  # it would end after the time is up
        began = time.monotonic()
        score = evaluate(self.problem, placement, seed=self.seed)
        self._evaluate_s = time.monotonic() - began
        self.clock.charge(_EVALUATE_S)
        if self.best is not None and rank(score) <= rank(self.score):
            return False
        self.best, self._score = placement, score
        self.tell(phase)
        return True

    def prove(self) -> None:
        """Take note that no placement is better on the whole: the bounds are what the best one has."""
        self.bound = self.weight if self.leads_by_weight else self.bound
        self.bounds = {name: self.score[name] for name in self.problem.objective.levels}

    def tell(self, phase: str, *, note: str = "") -> None:
        """Tell the listener where the run stands."""
        if self.listener is not None and self.best is not None:
            elapsed_s = time.monotonic() - self.began
            self.listener(Progress(elapsed_s, self.weight, max(self.bound, self.weight), phase, note))

    def result(self) -> Result:
        """Return the answer with reasons for what is left out."""
        bounds = dict(self.bounds)
        if "placed_weight" in bounds:
            bounds["placed_weight"] = max(min(self.bound, bounds["placed_weight"]), self.score["placed_weight"])
        inventory = Inventory(self.problem, self.placement)
        return Result(
            status="optimal" if self._is_proven(bounds) else "feasible",
            placement=self.placement,
            score=self.score,
            objective=self.problem.objective,
            bound=bounds,
            refusals=tuple(refusal(inventory, job) for job in self.left_out),
            run_time_s=time.monotonic() - self.began,
            seed=self.seed,
            solver=self.solver,
            fabric_fingerprint=self.problem.fabric.fingerprint,
        )


def rank(score: Score) -> tuple[float, ...]:
    """Return what scores are compared by: the objective, then jobs spread over leaf groups."""
    return (*score.key, -score["cross_leaf_jobs"])
