r"""`evaluate` on a fabric small enough to work out by hand.

      spine0                  one spine, 100 Gbit/s to each leaf: 2:1 oversubscribed
      /    \
   leaf0   leaf1              two hosts a leaf, 100 Gbit/s each
   h0 h1   h2 h3              two accelerators, one NIC each
"""

import numpy as np
import pytest

from planner.collectives.traffic import Demand
from planner.evaluate import evaluate
from planner.job import Job
from planner.placement import Placement
from planner.problem import Problem
from planner.state import Availability, ClusterState
from topologies.builder import FabricBuilder
from topologies.errors import InputError
from topologies.fabric import Fabric
from topologies.names import NameTemplate

RING = Demand(size_bytes=1_000_000_000)


@pytest.fixture(scope="module")
def fabric() -> Fabric:
    builder = FabricBuilder("tiny")
    hosts = builder.add_hosts(NameTemplate("h{}", (4,)), accelerators=2, nics=1, host_link_bytes_per_s=64e9)
    leaves = builder.add_switches(["leaf0", "leaf1"])
    spine = builder.add_switches(["spine0"])
    inside = builder.add_switches(NameTemplate("nv{}", (4,)), scale_up=True)
    builder.add_cables(hosts.accelerator, inside[:, None], rate_bytes_per_s=450e9)
    builder.add_cables(hosts.nic[:, 0], np.repeat(leaves, 2), rate_bytes_per_s=12.5e9)
    builder.add_cables(leaves, spine, rate_bytes_per_s=12.5e9)
    return builder.build()


def problem(fabric: Fabric, *jobs: Job) -> Problem:
    return Problem(fabric, ClusterState.empty(fabric), jobs)


def test_two_crossing_rings_halve_each_other(fabric: Fabric) -> None:
    jobs = (Job("a", 4, traffic=RING), Job("b", 4, traffic=RING, priority=2.0))
    crossing = Placement({"a": np.array([0, 1, 4, 5]), "b": np.array([2, 3, 6, 7])})
    packed = Placement({"a": np.array([0, 1, 2, 3]), "b": np.array([4, 5, 6, 7])})
    bad, good = evaluate(problem(fabric, *jobs), crossing), evaluate(problem(fabric, *jobs), packed)
    assert bad["worst_slowdown"] == pytest.approx(2.0)
    assert bad["excess_slowdown"] == pytest.approx(2.0)
    assert bad["worst_link_load_frac"] == pytest.approx(2.0)
    assert bad["cross_leaf_jobs"] == 2
    assert good["worst_slowdown"] == pytest.approx(1.0)
    assert good["cross_leaf_jobs"] == 0
    assert bad["placed_weight"] == good["placed_weight"] == 4 + 8
    assert good.key > bad.key
    assert good.total > bad.total


def test_one_more_accelerator_outranks_any_congestion(fabric: Fabric) -> None:
    jobs = (Job("a", 4, traffic=RING), Job("b", 4, traffic=RING))
    all_placed = Placement({"a": np.array([0, 1, 4, 5]), "b": np.array([2, 3, 6, 7])})
    one = Placement({"a": np.array([0, 1, 2, 3])})
    assert evaluate(problem(fabric, *jobs), all_placed).key > evaluate(problem(fabric, *jobs), one).key
    assert evaluate(problem(fabric, *jobs), all_placed).total > evaluate(problem(fabric, *jobs), one).total


def test_opened_leaf_groups_count_only_free_ones(fabric: Fabric) -> None:
    state = ClusterState.empty(fabric).with_taken(fabric, "h0", 1)
    asked = Problem(fabric, state, (Job("a", 2),))
    assert evaluate(asked, Placement({"a": np.array([2, 3])}))["opened_leaf_groups"] == 0
    assert evaluate(asked, Placement({"a": np.array([4, 5])}))["opened_leaf_groups"] == 1


@pytest.mark.parametrize(
    ("job", "ranks", "fault"),
    [
        (Job("a", 2), [0], "has 1 accelerators and asks for 2"),
        (Job("a", 2), [0, 0], "'h0/gpu0' is used 2 times"),
        (Job("a", 1), [8], "accelerator number 8 of 8"),
        (Job("a", 1), [7], "'h3/gpu1', which is drained"),
        (Job("a", 2, same_domain=True), [0, 2], "wants one scale-up domain"),
        (Job("a", 2, accelerators_per_host=2), [0, 2], "wants 2 accelerators a host"),
        (Job("a", 2, max_leaf_groups=1), [0, 4], "over 2 leaf groups and allows 1"),
        (Job("a", 1, exclusive=True), [6], "wants its hosts to itself"),
        (Job("a", 1, exclusive=True), [6], "wants whole hosts, and not all .* free|drained"),
    ],
)
def test_faults_are_named(fabric: Fabric, job: Job, ranks: list[int], fault: str) -> None:
    state = ClusterState.empty(fabric).with_accelerators([7], Availability.TAKEN)
    if "drained" in fault:  # h3/gpu1 is drained, not taken
        state = state.with_accelerators([7], Availability.DRAINED)
    with pytest.raises(InputError, match=fault):
        evaluate(Problem(fabric, state, (job,)), Placement({"a": np.array(ranks)}))


def test_unknown_job_is_a_fault(fabric: Fabric) -> None:
    with pytest.raises(InputError, match="job 'x' is not in the problem"):
        evaluate(problem(fabric, Job("a", 1)), Placement({"x": np.array([0])}))


def test_problem_refuses_what_cannot_be(fabric: Fabric) -> None:
    with pytest.raises(InputError, match="two jobs of one id; found: 'a'"):
        problem(fabric, Job("a", 1), Job("a", 2))
    with pytest.raises(InputError, match="more accelerators than the fabric has; found: 9; allowed: at most 8"):
        problem(fabric, Job("a", 9))
    with pytest.raises(InputError, match="of its kinds and memory"):
        problem(fabric, Job("a", 1, kinds=("b200",)))


def test_state_refuses_over_filling(fabric: Fabric) -> None:
    with pytest.raises(InputError, match="over-fills a host; found: 3 taken; allowed: 0 to 2"):
        ClusterState.empty(fabric).with_taken(fabric, "h0", 3)


def test_placement_cannot_be_written(fabric: Fabric) -> None:
    placement = Placement({"a": np.array([0, 1])})
    with pytest.raises(ValueError, match="read-only"):
        placement.ranks["a"][0] = 3
