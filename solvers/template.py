"""A solver to fill in: copy this file, change what is marked, register it, and hold it to the contract.

1. Give it a name and place jobs in `TemplateSolver._place`.
2. Register it in your package's ``pyproject.toml``::

    [project.entry-points."scaleplan.solvers"]
    my-solver = "my_package.my_solver:TemplateSolver"

3. Test it with ``solvers.contract.check_solver(TemplateSolver())``.
"""

from __future__ import annotations

import time

from planner.evaluate import evaluate
from planner.placement import Placement
from planner.problem import Problem
from planner.result import Result
from planner.solver import Progress, ProgressListener
from solvers.fitting import fit
from solvers.greedy import check_call, in_order, start_of, trivial_bound
from solvers.inventory import Inventory
from solvers.policies import FirstFit
from solvers.reasons import refusal

__all__ = ["TemplateSolver"]


class TemplateSolver:
    """Says here how it places."""  # change

    name = "template"  # change: the name it is registered under

    def solve(
        self,
        problem: Problem,
        *,
        time_limit_s: float,
        seed: int,
        warm_start: Placement | None = None,
        on_progress: ProgressListener | None = None,
    ) -> Result:
        """Return the placement found. Raises as `planner.solver.Solver`."""
        check_call(problem, time_limit_s, warm_start)
        began = time.monotonic()
        placement = self._place(problem, start_of(problem, warm_start), until_s=began + time_limit_s)
        bound = trivial_bound(problem)  # change if it knows a better one that always holds
        score = evaluate(problem, placement, seed=seed)  # the only judge
        inventory = Inventory(problem, placement)
        left_out = [job for job in problem.jobs if job.id not in placement]
        elapsed = time.monotonic() - began
        if on_progress is not None:
            on_progress(Progress(elapsed, score["placed_weight"], bound.get("placed_weight", float("inf")), "done"))
        return Result(
            status="feasible" if left_out else "optimal",
            placement=placement,
            score=score,
            objective=problem.objective,
            bound=bound,
            refusals=tuple(refusal(inventory, job) for job in left_out),
            run_time_s=elapsed,
            seed=seed,
            solver=self.name,
            fabric_fingerprint=problem.fabric.fingerprint,
        )

    def _place(self, problem: Problem, kept: Placement, *, until_s: float) -> Placement:
        """Return `kept` and what is placed beside it: whole jobs by all their rules, until time is up."""
        inventory = Inventory(problem, kept)
        ranks, spares = dict(kept.ranks), dict(kept.spares)
        for job in in_order(job for job in problem.jobs if job.id not in kept):  # change the order…
            if time.monotonic() > until_s:
                break
            found = fit(inventory, job, FirstFit())  # …and the place
            if found is not None:
                taken = inventory.take(job, found.hosts, found.counts, found.spare_hosts)
                ranks[job.id], spares[job.id] = taken.ranks, taken.spares
        return Placement(ranks, spares)
