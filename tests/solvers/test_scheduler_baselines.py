"""Schedulers with rules of their own, on examples worked out from their sources."""

from itertools import product

import numpy as np
import pytest

from planner.evaluate import evaluate
from planner.job import Job
from planner.placement import Placement
from planner.problem import Problem
from planner.solver import get_solver
from planner.state import Availability, ClusterState
from solvers.arnold import Grid, best_grid, spread_of
from solvers.fgd import stranded_by_room
from solvers.kueue import fewest_domains
from solvers.slurm_block import block_nodes
from tests.benchmarks.placement.problems import clos
from tests.solvers.tiny_problems import FABRICS

FABRIC = FABRICS[False]


@pytest.mark.parametrize(
    ("free", "wanted", "blocks"),
    [
        # blocks of 4 nodes; one block: the one with fewest free that holds it, the last of several
        ([4, 3, 2, 3], 3, [3]),
        ([4, 4, 4, 4], 2, [3]),
        # one idle node in each of eight blocks does not start a 4-node job
        ([1, 1, 1, 1, 1, 1, 1, 1], 4, None),
        # five nodes need an aligned pair: (0,1) has 5, (2,3) has 7; the fuller block first, the rest on the other
        ([2, 3, 4, 3], 5, [1, 0]),
        # (1,2) would do, and is no aligned pair
        ([0, 4, 4, 0], 5, None),
        # nine nodes need a group of four blocks, on at most ⌈9/8⌉ = 2 halves; the emptier half that holds the rest last
        ([4, 4, 1, 3], 9, [1, 0, 2]),
        # twelve of sixteen: both halves
        ([4, 4, 2, 2], 12, [1, 0, 3, 2]),
        # seventeen nodes need eight blocks, on at most ⌈17/16⌉ = 2 halves of four
        ([4, 4, 4, 0, 4, 4, 0, 0], 17, [2, 1, 0, 5, 4]),
    ],
)
def test_slurm_block_deals_out_as_slurm_does(free: list[int], wanted: int, blocks: list[int] | None) -> None:
    assert block_nodes(np.array(free), wanted, 4) == blocks


def test_slurm_block_places_segments_one_by_one() -> None:
    """One host of leaf0 and leaf2 is taken: four hosts are no aligned pair of leaves, but four segments of one are."""
    state = ClusterState.empty(FABRIC).with_hosts(FABRIC, ["h0", "h4"], Availability.TAKEN)
    whole = Job("a", 8, accelerators_per_host=2)
    ones = Job("a", 8, accelerators_per_host=2, segment_hosts=1)
    refused = get_solver("slurm-block").solve(Problem(FABRIC, state, (whole,)), time_limit_s=1, seed=1)
    assert "not where Slurm's topology/block lets it start" in refused.refusals[0].reason
    placed = get_solver("slurm-block").solve(Problem(FABRIC, state, (ones,)), time_limit_s=1, seed=1)
    assert np.unique(FABRIC.accelerator_host[placed.placement.ranks["a"]]).tolist() == [1, 5, 6, 7]


@pytest.mark.parametrize(
    ("capacity", "wanted", "best_fit", "least_free"),
    [
        ([3, 5, 2, 4], 4, [3], [2, 0]),  # one domain that just holds it; least-free fills up small ones
        ([3, 5, 2, 4], 7, [1, 2], [2, 0, 3]),  # the largest, then the smallest that holds the rest of 2
        ([3, 5, 2, 4], 14, [1, 3, 0, 2], [2, 0, 3, 1]),
        ([3, 5, 2, 4], 15, None, None),
        ([0, 2, 2], 2, [1], [1]),
        ([10, 10], 12, [0, 1], [0, 1]),  # Kueue's documentation of its greedy profiles: 12 pods on (10, 10) go (10, 2)
    ],
)
def test_kueue_deals_out_as_kueue_does(
    capacity: list[int], wanted: int, best_fit: list[int] | None, least_free: list[int] | None
) -> None:
    for is_least, expected in ((False, best_fit), (True, least_free)):
        found = fewest_domains(np.array(capacity), wanted, least_free=is_least)
        assert (None if found is None else found.tolist()) == expected


def test_kueue_takes_the_lowest_level_that_holds_the_job() -> None:
    """leaf0 has three accelerators, leaf1 four, pod 1 all eight: three go to leaf0, six to the emptier pod."""
    state = ClusterState.empty(FABRIC).with_taken(FABRIC, "h0", 1)
    for solver in ("kueue-best-fit", "kueue-least-free"):
        small = get_solver(solver).solve(Problem(FABRIC, state, (Job("a", 3),)), time_limit_s=1, seed=1)
        assert set(FABRIC.host_leaf_group[FABRIC.accelerator_host[small.placement.ranks["a"]]].tolist()) == {0}
        large = get_solver(solver).solve(Problem(FABRIC, state, (Job("a", 6),)), time_limit_s=1, seed=1)
        assert set(FABRIC.host_pod[FABRIC.accelerator_host[large.placement.ranks["a"]]].tolist()) == {0}
        required = get_solver(solver).solve(
            Problem(FABRIC, state, (Job("a", 5, max_leaf_groups=1),)), time_limit_s=1, seed=1
        )
        assert not len(required.placement)


def test_fgd_counts_what_typical_jobs_cannot_use() -> None:
    """Half of the jobs take one accelerator of a host, half take two: one free strands a half."""
    problem = Problem(FABRIC, ClusterState.empty(FABRIC), (Job("a", 1), Job("b", 2)))
    assert stranded_by_room(problem).tolist() == [0, 0.5, 0]


def test_fgd_fills_the_broken_host_first() -> None:
    state = ClusterState.empty(FABRIC).with_taken(FABRIC, "h5", 1)
    problem = Problem(FABRIC, state, (Job("a", 1), Job("b", 2), Job("c", 2)))
    result = get_solver("fgd").solve(problem, time_limit_s=1, seed=1)
    assert FABRIC.accelerator_host[result.placement.ranks["a"]].tolist() == [5]
    assert result.score["stranded_accelerators"] == 0


def test_spread_of_a_grid() -> None:
    grid = Grid(np.array([[0, 0], [1, 1], [1, 2]]))
    assert (grid.data_spread, grid.pipeline_spread) == (3, 2)
    assert spread_of(grid) == 2.5


@pytest.mark.parametrize("seed", range(40))
def test_arnold_is_near_the_least_spread_of_all_grids(seed: int) -> None:
    """Every matrix of up to six hosts on three pods, tried one by one."""
    rng = np.random.default_rng(seed)
    rows, stages = int(rng.integers(1, 4)), 2
    room = rng.integers(0, 5, 3)
    if room.sum() < rows * stages:
        assert best_grid(room, rows, stages) is None
        return
    least = min(
        spread_of(Grid(np.array(cells).reshape(rows, stages)))
        for cells in product(range(3), repeat=rows * stages)
        if (np.bincount(cells, minlength=3) <= room).all()
    )
    found = best_grid(room, rows, stages)
    assert found is not None
    assert (np.bincount(found.pod.ravel(), minlength=3) <= room).all()
    assert spread_of(found) == pytest.approx(least)


def test_arnold_places_a_job_by_its_groups() -> None:
    """Two pods of four hosts; four replicas of two stages: each replica in a pod, or each stage, spread 1.5."""
    job = Job("a", 16, accelerators_per_host=2, pipeline=2, domain_group=2)
    problem = Problem(FABRIC, ClusterState.empty(FABRIC), (job,))
    result = get_solver("arnold").solve(problem, time_limit_s=1, seed=1)
    assert result.score["max_group_spread"] == 1.5


@pytest.mark.parametrize(("name", "rows", "stages", "free", "ties"), [("i", 6, 2, [6, 6, 6], True)])
def test_arnold_ties_where_its_paper_ties(name: str, rows: int, stages: int, free: list[int], ties: bool) -> None:
    """Setting i: 12 replicas of 2 stages at tensor 4, two replicas a host: 12 hosts of 18 on three minipods."""
    grid = best_grid(np.array(free), rows, stages)
    assert grid is not None
    packed = np.repeat(np.arange(3), free)[: rows * stages].reshape(rows, stages)
    assert (spread_of(grid) == spread_of(Grid(packed))) is ties, name


def test_arnold_cuts_the_spread_of_its_third_setting() -> None:
    """Setting iii re-created: 46 replicas of 8 stages, tensor 8, on 11 minipods of some 93 hosts, partly free.

    The paper prints a cut of 1.67 and no free hosts a minipod; here they are drawn, and the cut depends on the draw.
    Best-fit fills minipods up, those with least room first, rows cut where a minipod ends.
    """
    cuts = []
    for seed in range(100):
        free = np.random.default_rng(seed).integers(10, 94, 11)
        grid = best_grid(free, 46, 8)
        if grid is not None:
            order = np.argsort(free, kind="stable")
            packed = np.repeat(order, free[order])[: 46 * 8].reshape(46, 8)
            cuts.append(spread_of(Grid(packed)) / spread_of(grid))
    assert min(cuts) >= 1.0
    assert np.median(cuts) >= 1.5
    assert max(cuts) >= 1.67


def test_group_spread_and_solver_agree() -> None:
    fabric = clos(512, 2.0)
    job = Job("a", 64 * 8, accelerators_per_host=8, pipeline=8, domain_group=8)
    problem = Problem(fabric, ClusterState.empty(fabric), (job,))
    result = get_solver("arnold").solve(problem, time_limit_s=2, seed=1)
    assert evaluate(problem, Placement({"a": result.placement.ranks["a"]}))["max_group_spread"] == 1.0
