"""``cp-sat``: greedy starts; small problems in full; else the weight by the counts model, then congestion by parts."""

from __future__ import annotations

from planner.placement import Placement
from planner.problem import Problem
from planner.result import Result
from planner.solver import ProgressListener
from solvers.cp_sat.exhaust import exhaust
from solvers.cp_sat.improve import improve
from solvers.cp_sat.memory import TooLargeError
from solvers.cp_sat.search import Search
from solvers.cp_sat.starts import greedy_starts
from solvers.cp_sat.weight import place_weight
from solvers.greedy import check_call

__all__ = ["CpSatSolver", "RepeatableCpSatSolver"]


class CpSatSolver:
    """CP-SAT over counts of alike hosts."""

    name = "cp-sat"
    is_repeatable = False

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
        search = Search(problem, time_limit_s, seed, on_progress, solver=self.name, is_repeatable=self.is_repeatable)
        try:
            greedy_starts(search, warm_start)
            phases = () if exhaust(search, is_quick=True) else (place_weight, improve)
            for phase in phases:
                try:
                    phase(search)
                except TooLargeError as error:
                    search.tell("left out", note=f"{error}; the answer goes without that model")
        except KeyboardInterrupt:
            if search.best is None:
                raise
        return search.result()


class RepeatableCpSatSolver(CpSatSolver):
    """The same, but the time limit counts work instead of seconds: the same seed gives the same answer."""

    name = "cp-sat-repeatable"
    is_repeatable = True
