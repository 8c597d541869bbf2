"""On tiny problems, with every rule a job may have: no solver beats brute force; cp-sat reaches it on each level."""

from collections.abc import Callable
from dataclasses import replace
from itertools import islice

import numpy as np
import pytest

from planner.evaluate import evaluate
from planner.objective import Objective
from planner.problem import Problem
from planner.solver import get_solver
from tests.solvers.tiny_problems import placements, random_problem, rich_problem, weight

QUICK, BLOCK, BLOCKS = 16, 25, 10
NOTHING = 1e-6
MOST = 300  # placements looked at for an objective that does not let the weight cut them off


def compare(problem: Problem) -> None:
    """Hold solvers against every placement: none is better, cp-sat is as good on each level, and knows that it is."""
    best, heaviest = [], 0.0
    for placement in placements(problem):
        told = weight(problem, placement)
        if told > heaviest + NOTHING:
            best, heaviest = [], told
        if told >= heaviest - NOTHING:
            best.append(placement)
    for name in ("first-fit", "best-fit", "slurm-tree", "random", "cp-sat"):
        result = get_solver(name).solve(problem, time_limit_s=30, seed=1)
        assert not result.placement.faults(problem), name
        assert result.score["placed_weight"] <= heaviest + NOTHING, name
        assert result.bound["placed_weight"] >= heaviest - NOTHING, name
    assert result.status == "optimal"
    key = max(evaluate(problem, placement, seed=1).key for placement in best)
    for level, ours, theirs in zip(problem.objective.levels, result.score.key, key, strict=True):
        assert ours == pytest.approx(theirs, abs=NOTHING), (level, problem.jobs, result.placement)


@pytest.mark.parametrize("make", [random_problem, rich_problem])
@pytest.mark.parametrize("seed", range(QUICK))
def test_some_problems(seed: int, make: Callable[[np.random.Generator], Problem]) -> None:
    compare(make(np.random.default_rng(seed)))


@pytest.mark.parametrize("seed", range(8))
def test_levels_of_ones_own_and_weights(seed: int) -> None:
    """The worst slow-down first, or one weighted sum: then it may be best to leave a job out."""
    problem = (random_problem if seed % 2 else rich_problem)(np.random.default_rng(50 + seed))
    for objective in (
        Objective(("worst_slowdown", "placed_weight", "stranded_accelerators")),
        Objective(
            ("placed_weight", "excess_slowdown", "opened_leaf_groups"),
            weights={"placed_weight": 1.0, "excess_slowdown": 8.0, "opened_leaf_groups": 1.5},
        ),
    ):
        asked = replace(problem, objective=objective)
        best = max(evaluate(asked, placement, seed=1).key for placement in islice(placements(asked), MOST))
        result = get_solver("cp-sat").solve(asked, time_limit_s=30, seed=1)
        assert result.score.key >= tuple(value - NOTHING for value in best), objective


@pytest.mark.slow
@pytest.mark.parametrize("make", [random_problem, rich_problem])
@pytest.mark.parametrize("block", range(BLOCKS))
def test_five_hundred_problems(block: int, make: Callable[[np.random.Generator], Problem]) -> None:
    for seed in range(1000 + block * BLOCK, 1000 + (block + 1) * BLOCK):
        compare(make(np.random.default_rng(seed)))
