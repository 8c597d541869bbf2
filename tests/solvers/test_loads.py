r"""Loads of uplinks by counts, worked out by hand, and beside the true score.

spine0        spine1        two pods of two leaves of two hosts; one NIC of 25 GB/s a host,
/    \        /    \        25 GB/s a leaf up, 25 GB/s a spine up: one full-rate ring each
leaf0 leaf1   leaf2 leaf3
h0 h1 h2 h3   h4 h5 h6 h7
"""

import numpy as np
import pytest

from planner.collectives.traffic import Demand
from planner.evaluate import evaluate
from planner.job import Job
from planner.placement import Placement
from planner.problem import Problem
from planner.solver import get_solver
from planner.state import ClusterState
from solvers.cp_sat.bound import _least_excess, slowdown_bounds
from solvers.loads import Loads, Uplinks, multiplicities
from tests.solvers.tiny_problems import FABRICS, RING

FABRIC = FABRICS[False]
EMPTY = ClusterState.empty(FABRIC)


def test_uplinks_carry_one_ring_each() -> None:
    assert Uplinks.of(FABRIC).capacity.tolist() == [1.0] * 6


def test_multiplicities_by_hand() -> None:
    uplinks = Uplinks.of(FABRIC)
    ring = Job("a", 6, traffic=RING)
    exchange = Job("a", 8, traffic=Demand(1e9, "all-to-all"))
    assert multiplicities(uplinks, ring, np.array([0, 2, 4])).tolist() == [1, 1, 1, 0, 1, 1]
    assert multiplicities(uplinks, ring, np.array([0, 1])).tolist() == [0] * 6
    # four hosts, two on leaf0, one on leaf1, one on leaf2: h·(4 − h)/3
    assert multiplicities(uplinks, exchange, np.array([0, 1, 2, 4])) == pytest.approx([4 / 3, 1, 1, 0, 1, 1])
    assert multiplicities(uplinks, Job("a", 4), np.array([0, 2])).tolist() == [0] * 6


def test_linear_slow_down_is_the_true_one_for_rings() -> None:
    jobs = tuple(Job(name, 4, traffic=RING) for name in "abc")
    placement = Placement({"a": np.array([0, 1, 4, 5]), "b": np.array([2, 3, 8, 9]), "c": np.array([12, 13, 14, 15])})
    problem = Problem(FABRIC, EMPTY, jobs)
    slow = Loads(problem, placement).slowdown()
    assert slow.tolist() == [2.0, 2.0, 1.0]
    assert slow == pytest.approx(evaluate(problem, placement).congestion.slowdown(), rel=1e-3)


@pytest.mark.parametrize(
    ("part", "excess"), [([1.0], 0.0), ([1.0, 1.0], 2.0), ([4.0], 3.0), ([0.25, 1.0], 1 / 3), ([1.0, 4.0], 7.0)]
)
def test_least_excess_by_hand(part: list[float], excess: float) -> None:
    """Of 1 and 1 both run at half; of ¼ and 1 only the larger is slowed down; 1 and 4 go at 1/3 + 4/6 = 1."""
    one = np.zeros(len(part), np.int64)
    assert _least_excess(np.array(part), one, np.arange(len(part)), len(part)) == pytest.approx(excess, abs=1e-5)


def test_least_excess_of_two_links_at_once() -> None:
    """One job on both links, one more on each: it runs at 1 / (1 + √2), they at the rest; Σ (s − 1) = 2 √2."""
    link, job = np.array([0, 0, 1, 1]), np.array([0, 1, 0, 2])
    assert _least_excess(np.ones(4), link, job, 3) == pytest.approx(2 * 2**0.5, abs=1e-5)


def test_running_jobs_bound_the_slow_down() -> None:
    """Two running rings share the uplinks of leaf0: both at half, whatever else is placed."""
    jobs = (Job("a", 4, traffic=RING), Job("b", 4, traffic=RING), Job("c", 4, traffic=RING))
    running = {"a": np.array([0, 1, 4, 5]), "b": np.array([2, 3, 8, 9])}
    problem = Problem(FABRIC, EMPTY, jobs, running=running)
    worst, excess = slowdown_bounds(problem, seed=1)
    assert worst == pytest.approx(2.0, rel=1e-3)
    assert excess == pytest.approx(2.0, rel=1e-2)
    result = get_solver("cp-sat").solve(problem, time_limit_s=2, seed=1)
    assert result.score["excess_slowdown"] == pytest.approx(2.0, rel=1e-2)
    assert result.bound["excess_slowdown"] == pytest.approx(2.0, rel=1e-2)
    assert result.bound["worst_slowdown"] <= result.score["worst_slowdown"]


@pytest.mark.parametrize("seed", range(20))
def test_slow_down_bounds_hold(seed: int) -> None:
    """Jobs anywhere beside the running ones never get below the bounds."""
    rng = np.random.default_rng(seed)
    kinds = [RING, Demand(1e9, "all-to-all"), Demand(1e9, "all-reduce", "hierarchical")]
    order = rng.permutation(16)
    cuts = np.sort(rng.choice(np.arange(1, 16), 4, replace=False))
    ranks = {f"j{i}": part for i, part in enumerate(np.split(order, cuts))}
    jobs = tuple(Job(i, len(a), traffic=kinds[int(rng.integers(3))]) for i, a in ranks.items())
    running = {i: a for i, a in ranks.items() if i != "j4"}
    problem = Problem(FABRIC, EMPTY, jobs, running=running)
    worst, excess = slowdown_bounds(problem, seed=1)
    score = evaluate(problem, Placement(ranks))
    assert score["worst_slowdown"] >= worst - 1e-9
    assert score["excess_slowdown"] >= excess - 1e-9
