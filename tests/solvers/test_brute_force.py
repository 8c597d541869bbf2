"""On tiny problems with every rule a job may have, no solver beats brute force, and cp-sat reaches it."""

import numpy as np
import pytest

from planner.solver import get_solver
from tests.solvers.tiny_problems import placements, random_problem, weight

QUICK, BLOCK, BLOCKS = 24, 25, 20


def compare(seed: int) -> None:
    problem = random_problem(np.random.default_rng(seed))
    best = max(weight(problem, placement) for placement in placements(problem))
    for name in ("first-fit", "best-fit", "slurm-tree", "random", "cp-sat"):
        result = get_solver(name).solve(problem, time_limit_s=5, seed=1)
        assert not result.placement.faults(problem), (seed, name)
        assert result.score["placed_weight"] <= best + 1e-9, (seed, name)
        assert result.bound["placed_weight"] >= best - 1e-9, (seed, name)
    assert result.score["placed_weight"] >= best - 1e-9, (seed, problem.jobs)


@pytest.mark.parametrize("seed", range(QUICK))
def test_some_problems(seed: int) -> None:
    compare(seed)


@pytest.mark.slow
@pytest.mark.parametrize("block", range(BLOCKS))
def test_five_hundred_problems(block: int) -> None:
    for seed in range(1000 + block * BLOCK, 1000 + (block + 1) * BLOCK):
        compare(seed)
