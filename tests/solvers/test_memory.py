"""Memory is foreseen: a model that would not fit is left out, and that is said, with figures."""

import pytest

from planner.job import Job
from planner.placement import Placement
from planner.problem import Problem
from planner.solver import Progress, get_solver
from planner.state import ClusterState
from solvers.advisors.defrag import defrag
from solvers.cp_sat.memory import TooLargeError, available_bytes, needed_bytes, require_room
from tests.solvers.tiny_problems import FABRICS

FABRIC = FABRICS[False]


def test_what_a_model_takes_grows_with_its_counts() -> None:
    assert needed_bytes(0) == 20_000_000
    assert needed_bytes(100_000) == 1_020_000_000
    assert 0 < available_bytes() < 2**50


def test_a_model_that_would_not_fit_is_refused_with_figures(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("solvers.cp_sat.memory.available_bytes", lambda: 1.5e9)
    require_room(100_000)
    with pytest.raises(TooLargeError, match=r"about 2.0 GB for 200,000 counts .*the 1.5 GB that are there; fix: place"):
        require_room(200_000)


def test_cp_sat_answers_without_the_model_and_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ten jobs of three, each in one leaf of four: counts alone do not show that only four fit."""
    monkeypatch.setattr("solvers.cp_sat.memory.available_bytes", lambda: 1e6)
    jobs = tuple(Job(f"j{i}", 3, max_leaf_groups=1) for i in range(10))
    heard: list[Progress] = []
    problem = Problem(FABRIC, ClusterState.empty(FABRIC), jobs)
    result = get_solver("cp-sat").solve(problem, time_limit_s=5, seed=1, on_progress=heard.append)
    assert result.score["placed_jobs"] == 4
    assert any("the model would not fit into memory" in told.note for told in heard)


def test_defrag_says_so_too(monkeypatch: pytest.MonkeyPatch) -> None:
    import numpy as np

    monkeypatch.setattr("solvers.cp_sat.memory.available_bytes", lambda: 1e6)
    jobs = (Job("a", 1, movable=True),)
    problem = Problem(FABRIC, ClusterState.empty(FABRIC), jobs)
    with pytest.raises(TooLargeError, match="would not fit"):
        defrag(problem, Placement({"a": np.array([0])}), Job("new", 14, domain_group=2), time_limit_s=1)
