"""Greedy solvers: one job after the other, by a policy. The baselines that every placement is set beside."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence

from planner.evaluate import evaluate
from planner.job import Job
from planner.objective import LEVELS
from planner.placement import Placement
from planner.problem import Problem
from planner.result import Refusal, Result
from planner.solver import Progress, ProgressListener
from solvers.fitting import Policy, fit
from solvers.inventory import Inventory
from solvers.policies import BestFit, FirstFit, RandomFit, SlurmTree
from solvers.reasons import refusal
from topologies.errors import InputError
from topologies.fabric import Int64s

__all__ = [
    "BestFitSolver",
    "FirstFitSolver",
    "GreedySolver",
    "RandomSolver",
    "SlurmTreeSolver",
    "check_call",
    "in_order",
    "judged",
    "merged",
    "place_in_order",
    "start_of",
    "trivial_bound",
]


def check_call(problem: Problem, time_limit_s: float, warm_start: Placement | None) -> None:
    """Refuse what no solver can start from.

    Raises
    ------
    InputError
        If the time limit is not positive or the warm start is no placement of the problem.
    """
    if not 0 < time_limit_s < float("inf"):
        raise InputError(what="a time limit is above 0 seconds", where="time_limit_s", found=time_limit_s)
    if warm_start is not None:
        warm_start.check(problem)


def trivial_bound(problem: Problem) -> dict[str, float]:
    """Return for each level what no placement can beat: every job placed, and nothing in anybody's way."""
    bound: dict[str, float] = {name: LEVELS[name].ideal for name in problem.objective.levels}
    if "placed_weight" in bound:
        bound["placed_weight"] = float(sum(job.weight for job in problem.jobs))
    return bound


def place_in_order(
    inventory: Inventory, jobs: Sequence[Job], policy: Policy, *, until_s: float = float("inf")
) -> tuple[Placement, list[Job]]:
    """Place jobs one after the other; return what was placed and which were not."""
    ranks: dict[str, Int64s] = {}
    spares: dict[str, Int64s] = {}
    left_out = []
    for job in jobs:
        found = fit(inventory, job, policy) if time.monotonic() < until_s else None
        if found is None:
            left_out.append(job)
        else:
            taken = inventory.take(job, found.hosts, found.counts, found.spare_hosts)
            ranks[job.id], spares[job.id] = taken.ranks, taken.spares
    return Placement(ranks, spares), left_out


def start_of(problem: Problem, warm_start: Placement | None) -> Placement:
    """Return what stands before anything is placed: the warm start, or the jobs that run already where they run."""
    return warm_start if warm_start is not None else Placement(problem.running)


def merged(one: Placement, other: Placement) -> Placement:
    """Return two placements of different jobs as one."""
    return Placement({**one.ranks, **other.ranks}, {**one.spares, **other.spares})


def in_order(jobs: Iterable[Job]) -> list[Job]:
    """Return jobs by falling priority, then by deadline, as they stand within both."""
    return sorted(jobs, key=lambda job: (-job.priority, job.deadline_s or float("inf")))


class GreedySolver:
    """Places jobs by falling priority, as they stand within one priority, each where the policy says."""

    name = "greedy"
    policy: Callable[[int], Policy]
    rule = ""

    def solve(
        self,
        problem: Problem,
        *,
        time_limit_s: float,
        seed: int,
        warm_start: Placement | None = None,
        on_progress: ProgressListener | None = None,
    ) -> Result:
        """Return the greedy placement; a warm start is kept and added to. Raises as `planner.solver.Solver`."""
        check_call(problem, time_limit_s, warm_start)
        began = time.monotonic()
        kept = start_of(problem, warm_start)
        inventory = Inventory(problem, kept)
        waiting = in_order(job for job in problem.jobs if job.id not in kept)
        placed, left_out = place_in_order(inventory, waiting, self.policy(seed), until_s=began + time_limit_s)
        placement = merged(kept, placed)
        refusals: tuple[Refusal, ...] = tuple(refusal(inventory, job, rule=self.rule) for job in left_out)
        return judged(problem, placement, refusals, self.name, seed=seed, began_s=began, on_progress=on_progress)


def judged(
    problem: Problem,
    placement: Placement,
    refusals: Sequence[Refusal],
    solver: str,
    *,
    seed: int,
    began_s: float,
    on_progress: ProgressListener | None,
) -> Result:
    """Return the result of a solver that knows no bound but the trivial one, scored as all are.

    Parameters
    ----------
    began_s
        When the solver began, by `time.monotonic`.
    """
    bound = trivial_bound(problem)
    score = evaluate(problem, placement, seed=seed)
    elapsed = time.monotonic() - began_s
    if on_progress is not None:
        on_progress(Progress(elapsed, score["placed_weight"], bound.get("placed_weight", float("inf")), "done"))
    return Result(
        status="feasible" if refusals else "optimal",
        placement=placement,
        score=score,
        objective=problem.objective,
        bound=bound,
        refusals=tuple(refusals),
        run_time_s=elapsed,
        seed=seed,
        solver=solver,
        fabric_fingerprint=problem.fabric.fingerprint,
    )


class FirstFitSolver(GreedySolver):
    """Hosts by number."""

    name = "first-fit"
    policy = staticmethod(lambda seed: FirstFit())


class BestFitSolver(GreedySolver):
    """The tightest leaf group, then the tightest pod."""

    name = "best-fit"
    policy = staticmethod(lambda seed: BestFit())


class SlurmTreeSolver(GreedySolver):
    """Slurm's topology/tree."""

    name = "slurm-tree"
    policy = staticmethod(lambda seed: SlurmTree())


class RandomSolver(GreedySolver):
    """Hosts in random order: what placing without looking costs."""

    name = "random"
    policy = staticmethod(lambda seed: RandomFit(seed))
