"""Prices and patterns: the cheapest pattern against all of them, and bounds that hold on tiny problems."""

from itertools import product

import numpy as np
import pytest

from planner.job import Job
from planner.problem import Problem
from planner.solver import get_solver
from planner.state import Availability, ClusterState
from solvers.cp_sat import weight as weight_level
from solvers.cp_sat.clock import Clock
from solvers.cp_sat.columns import generate_columns
from solvers.cp_sat.patterns import Shape, cheapest
from solvers.inventory import Inventory
from tests.solvers.tiny_problems import FABRICS, placements, random_problem, weight

POD_OF = np.array([0, 0, 0, 1, 1])


def all_costs(job: Job, num_hosts: int, room: np.ndarray, price: np.ndarray) -> list[float]:
    """Cost of every way to deal hosts out to five leaf groups in two pods."""
    costs = []
    segment = job.segment_hosts or 1
    for hosts in product(*(range(0, int(n) + 1, segment) for n in room)):
        used = [g for g in range(5) if hosts[g]]
        pods = {int(POD_OF[g]) for g in used}
        if sum(hosts) != num_hosts or len(used) > (job.max_leaf_groups or 5) or len(pods) > (job.max_pods or 2):
            continue
        a_leaf = job.spare_hosts if job.spare_reach == "leaf" else 0
        if any(hosts[g] + a_leaf > room[g] for g in used):
            continue
        costs.append(float(sum(price[g] * (hosts[g] + a_leaf) for g in used)))
    return costs


@pytest.mark.parametrize("seed", range(60))
def test_cheapest_is_the_cheapest_of_all(seed: int) -> None:
    rng = np.random.default_rng(seed)
    room = rng.integers(0, 5, 5)
    price = rng.integers(0, 6, 5).astype(float)
    num_hosts = 2 * int(rng.integers(1, 4))
    job = Job(
        "a",
        num_hosts * 8,
        accelerators_per_host=8,
        max_leaf_groups=[None, 1, 2, 3][seed % 4],
        max_pods=[None, 1][seed // 4 % 2],
        segment_hosts=[None, 2][seed // 8 % 2],
        spare_hosts=[0, 1][seed // 16 % 2],
    )
    costs = all_costs(job, num_hosts, room, price)
    found, pattern = cheapest(Shape((job,), num_hosts, room), price, POD_OF)
    if not costs:
        assert not np.isfinite(found)
        return
    assert found == pytest.approx(min(costs))
    assert pattern is not None
    assert sum(pattern.hosts) - sum(pattern.spares) == num_hosts
    assert sum(price[g] * n for g, n in zip(pattern.leaf, pattern.hosts, strict=True)) == pytest.approx(found)


def test_prices_say_that_two_leaves_hold_two_jobs() -> None:
    """Three one-leaf jobs of two hosts; two leaves have two free hosts, two have one: counts hold three, prices two."""
    fabric = FABRICS[False]
    state = ClusterState.empty(fabric).with_hosts(fabric, ["h4", "h6"], Availability.TAKEN)
    jobs = tuple(Job(f"j{i}", 4, accelerators_per_host=2, max_leaf_groups=1) for i in range(3))
    problem = Problem(fabric, state, jobs)
    columns = generate_columns(Inventory(problem), jobs, {}, until_s=float("inf"), clock=Clock())
    assert columns is not None
    assert columns.bound == pytest.approx(8.0)
    result = get_solver("cp-sat").solve(problem, time_limit_s=2, seed=1)
    assert result.status == "optimal"
    assert result.score["placed_weight"] == 8


@pytest.mark.parametrize("seed", range(24))
def test_bounds_hold_where_no_whole_model_is_solved(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(weight_level, "_COMPACT_VARIABLES", 0)
    problem = random_problem(np.random.default_rng(30_000 + seed))
    best = max(weight(problem, placement) for placement in placements(problem))
    result = get_solver("cp-sat").solve(problem, time_limit_s=2, seed=1)
    assert not result.placement.faults(problem)
    assert result.score["placed_weight"] <= best + 1e-9 <= result.bound["placed_weight"] + 2e-9
