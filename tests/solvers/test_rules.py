"""Solvers hold to rules that brute force does not cover: parts of accelerators, preferred kinds, running jobs."""

import numpy as np
import pytest

from planner.job import Job
from planner.placement import Placement
from planner.problem import Problem
from planner.solver import get_solver, solver_names
from planner.state import Availability, ClusterState
from tests.solvers.tiny_problems import FABRICS

FABRIC = FABRICS[False]
EMPTY = ClusterState.empty(FABRIC)


@pytest.mark.parametrize("solver", solver_names())
def test_shares_fill_accelerators_up(solver: str) -> None:
    """Two accelerators are free: two halves and four quarters fill them, and one more quarter has no room."""
    state = EMPTY.with_accelerators(np.arange(2, 16), Availability.TAKEN)
    jobs = [Job(f"half-{i}", 1, share_frac=0.5, priority=2) for i in range(2)]
    jobs += [Job(f"quarter-{i}", 1, share_frac=0.25) for i in range(5)]
    result = get_solver(solver).solve(Problem(FABRIC, state, tuple(jobs)), time_limit_s=2, seed=1)
    assert result.score["placed_jobs"] == 6
    assert len(result.refusals) == 1


@pytest.mark.parametrize("solver", solver_names())
def test_shares_respect_what_is_used(solver: str) -> None:
    state = EMPTY.with_accelerators(np.arange(1, 16), Availability.TAKEN).with_used([0], 0.7)
    jobs = (Job("half", 1, share_frac=0.5), Job("third", 1, share_frac=0.3), Job("whole", 1))
    result = get_solver(solver).solve(Problem(FABRIC, state, jobs), time_limit_s=2, seed=1)
    assert set(result.placement) == {"third"}


@pytest.mark.parametrize("solver", solver_names())
def test_running_jobs_stay(solver: str) -> None:
    jobs = (Job("old", 4, priority=0.1), Job("new", 14))
    running = {"old": np.array([3, 2, 12, 9])}
    result = get_solver(solver).solve(Problem(FABRIC, EMPTY, jobs, running=running), time_limit_s=2, seed=1)
    assert result.placement.ranks["old"].tolist() == [3, 2, 12, 9]
    assert "new" not in result.placement


def test_cp_sat_moves_a_running_job_for_room() -> None:
    """The leaf of h0 and h1 is half taken by a job that may move: only then does the one-leaf job fit."""
    state = EMPTY.with_accelerators(np.r_[4:8, 10:16], Availability.TAKEN)
    jobs = (Job("old", 2, movable=True), Job("new", 4, max_leaf_groups=1))
    running = {"old": np.array([0, 1])}
    result = get_solver("cp-sat").solve(Problem(FABRIC, state, jobs, running=running), time_limit_s=2, seed=1)
    assert result.status == "optimal"
    assert sorted(result.placement.ranks["old"].tolist()) == [8, 9]
    assert result.score["moves"] == 2


def test_warm_start_without_its_running_jobs_is_refused() -> None:
    problem = Problem(FABRIC, EMPTY, (Job("old", 2),), running={"old": np.array([0, 1])})
    with pytest.raises(Exception, match="runs and is left out"):
        get_solver("cp-sat").solve(problem, time_limit_s=1, seed=1, warm_start=Placement())
