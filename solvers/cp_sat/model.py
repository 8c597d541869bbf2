"""Builds the counts model of an inventory and a list of jobs, solves it, and reads the answer."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from planner.job import Job
from solvers.cp_sat.classes import HostClasses, Request, host_classes, requests
from solvers.cp_sat.constraints import Constraints
from solvers.cp_sat.objective import WEIGHT_SCALE, placed_weight, spread_penalty
from solvers.cp_sat.variables import Variables, make_variables
from solvers.inventory import Inventory
from topologies.fabric import Float64s

__all__ = ["Counts", "CountsModel", "build_model"]

_NUM_WORKERS = 2  # the smallest machine we promise speed on; one on request for a repeatable search


@dataclass(frozen=True, eq=False)
class Counts:
    """An answer of the counts model.

    Attributes
    ----------
    chunks
        ``(request, size, class)`` → how many.
    placed
        For each request how many of its jobs.
    weight, bound
        Priority-weighted accelerators placed, and the most there could be.
    is_proven
        True if no better answer of the model exists.
    """

    chunks: dict[tuple[int, int, int], int]
    placed: list[int]
    weight: float
    bound: float
    is_proven: bool


@dataclass(frozen=True, eq=False)
class CountsModel:
    """A CP-SAT model with what is needed to read its answer."""

    model: Any
    variables: Variables
    asked: list[Request]
    classes: HostClasses
    has_penalty: bool

    def hint(self, placed_jobs: set[str]) -> None:
        """Tell CP-SAT which jobs a known placement holds."""
        for request, variable in zip(self.asked, self.variables.placed, strict=True):
            self.model.add_hint(variable, sum(job.id in placed_jobs for job in request.jobs))

    def solve(
        self,
        *,
        time_limit_s: float,
        seed: int,
        repeatable: bool,
        on_bound: Callable[[float], None] | None = None,
    ) -> Counts | None:
        """Return the best answer found, or None if none was."""
        from ortools.sat.python import cp_model

        solver = cp_model.CpSolver()
        solver.parameters.random_seed = seed % 2**31
        solver.parameters.num_workers = 1 if repeatable else _NUM_WORKERS
        if repeatable:
            solver.parameters.max_deterministic_time = time_limit_s
        else:
            solver.parameters.max_time_in_seconds = max(time_limit_s, 0.01)
        if on_bound is not None and not self.has_penalty:
            solver.best_bound_callback = lambda bound: on_bound(bound / WEIGHT_SCALE)
        status = solver.solve(self.model)
        if status not in (cp_model.OPTIMAL, cp_model.FEASIBLE):
            return None
        placed = [int(solver.value(v)) for v in self.variables.placed]
        chunks = {key: int(solver.value(v)) for key, v in self.variables.chunks.items()}
        weight = sum(n * request.job.weight for n, request in zip(placed, self.asked, strict=True))
        bound = weight if status == cp_model.OPTIMAL else solver.best_objective_bound / WEIGHT_SCALE
        return Counts({key: n for key, n in chunks.items() if n}, placed, weight, bound, status == cp_model.OPTIMAL)


def build_model(
    inventory: Inventory,
    jobs: Sequence[Job],
    *,
    rings_left: Float64s | None = None,
    least_weight: float = 0.0,
) -> CountsModel:
    """Build the model.

    Parameters
    ----------
    rings_left
        If given, spread and overflowing uplinks are minimised among placements worth at least `least_weight`;
        otherwise the weight placed is maximised.
    """
    from ortools.sat.python import cp_model

    model = cp_model.CpModel()
    largest = int(inventory.fabric.host_num_accelerators.max())
    asked = requests(jobs, largest)
    classes = host_classes(inventory, jobs)
    variables = make_variables(model, asked, classes)
    constraints = Constraints(model, variables, asked, classes)
    constraints.all_or_nothing()
    constraints.host_capacity()
    constraints.same_domain()
    constraints.spread_limits()
    weight = placed_weight(variables, asked)
    if rings_left is None:
        model.maximize(weight)
    else:
        model.add(weight >= int(least_weight * WEIGHT_SCALE))
        model.minimize(spread_penalty(constraints, asked, classes, rings_left))
    return CountsModel(model, variables, asked, classes, rings_left is not None)
