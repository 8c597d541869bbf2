"""The closed form on rail-symmetric fabrics: by hand, and against the whole machinery."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from planner.collectives.traffic import Demand, job_flows
from planner.congestion.loads import loads_of
from planner.congestion.maxmin import bottleneck_rates
from planner.congestion.symmetric import RailSymmetry
from tests.fixtures.clos_fabrics import boxes, leaf_spine, rail_pods
from topologies.errors import InputError
from topologies.fabric import Fabric
from topologies.routing.spray import Spray

PODS = rail_pods()  # 2 pods × 3 leaf groups × 2 hosts × 2 rails; NIC 10, uplinks 5, so 10 a leaf up and 20 a pod
SYMMETRY = RailSymmetry.of(PODS)


def naive(fabric: Fabric, hosts: list[list[int]]) -> np.ndarray:
    each = fabric.host_num_accelerators
    ranks = [np.concatenate([fabric.host_accelerators(h) for h in sorted(job)]) for job in hosts]
    assert each.min() > 0
    flows = job_flows(fabric, ranks, [Demand(1e6)] * len(hosts))
    loads = loads_of(fabric, flows, Spray())
    rate = bottleneck_rates(loads.incidence, loads.channels.capacity_bytes_per_s).rate_bytes_per_s
    out = rate.reshape(-1, 2)[:, 0]
    # The unit of a row is its largest flow; here we want the rate of the flows that leave the hosts.
    nic = flows.source_node >= fabric.num_accelerators
    for j in range(len(hosts)):
        mine = flows.job == j
        if (mine & nic).any():
            out[j] *= flows.size_bytes[mine & nic].max() / flows.size_bytes[mine].max()
    return out


def test_what_fills_up_when() -> None:
    assert SYMMETRY is not None
    assert SYMMETRY.nic_bytes_per_s == 10.0
    # one rail's leaf has two uplinks of 5; spines of a pod have 2 × 2 of 5 up, shared by two rails
    assert SYMMETRY.group_bytes_per_s.tolist() == [10.0] * 6
    assert SYMMETRY.pod_bytes_per_s.tolist() == [10.0, 10.0]
    assert SYMMETRY.group_pod.tolist() == [0, 0, 0, 1, 1, 1]


def test_two_jobs_that_leave_the_same_group_halve_each_other() -> None:
    assert SYMMETRY is not None
    # hosts 0 and 1 are group 0, 2 and 3 group 1, 4 and 5 group 2
    use = SYMMETRY.use_of([[0, 2], [1, 4], [3], [5]])
    assert SYMMETRY.rates(use).tolist() == [5.0, 5.0, 10.0, 10.0]


def test_three_jobs_across_pods_share_the_spines() -> None:
    assert SYMMETRY is not None
    use = SYMMETRY.use_of([[0, 6], [2, 8], [4, 10]])
    assert SYMMETRY.rates(use).tolist() == pytest.approx([10 / 3] * 3)


@given(st.randoms(use_true_random=False), st.integers(2, 6))
@settings(max_examples=40, deadline=None)
def test_same_as_the_whole_machinery(random: np.random.Generator, num_jobs: int) -> None:
    assert SYMMETRY is not None
    hosts = list(range(PODS.num_hosts))
    random.shuffle(hosts)
    cuts = sorted(random.sample(range(1, len(hosts)), num_jobs - 1))  # type: ignore[attr-defined]
    jobs = [hosts[a:b] for a, b in zip([0, *cuts], [*cuts, len(hosts)], strict=True)]
    several = [j for j, job in enumerate(jobs) if len(job) > 1]
    ours, theirs = SYMMETRY.rates(SYMMETRY.use_of(jobs)), naive(PODS, jobs)
    np.testing.assert_allclose(ours[several], theirs[several])


@given(st.randoms(use_true_random=False))
@settings(max_examples=40, deadline=None)
def test_candidates_are_judged_as_if_placed(random: np.random.Generator) -> None:
    assert SYMMETRY is not None
    hosts = list(range(PODS.num_hosts))
    random.shuffle(hosts)
    jobs, free = [hosts[0:3], hosts[3:5], hosts[5:6]], hosts[6:]
    candidates = [random.sample(free, 3) for _ in range(70)]  # type: ignore[attr-defined]
    own, others = SYMMETRY.candidate_rates(SYMMETRY.use_of(jobs), candidates)
    assert others.shape == (70, 3)
    for c, candidate in enumerate(candidates):
        placed = SYMMETRY.rates(SYMMETRY.use_of([*jobs, candidate]))
        np.testing.assert_allclose(others[c], placed[:3])
        assert own[c] == pytest.approx(placed[3])


def test_nobody_else_there() -> None:
    assert SYMMETRY is not None
    own, others = SYMMETRY.candidate_rates(SYMMETRY.use_of([]), [[0, 6], [0, 1]])
    assert own.tolist() == [10.0, 10.0]
    assert others.shape == (2, 0)


def test_degraded_uplink_counts_once() -> None:
    slow = next(i for i in range(PODS.num_links) if PODS.link_name(i) == "p0g0rail1 → p0sp1")
    symmetry = RailSymmetry.of(PODS.with_capacity([slow], 1.0))
    assert symmetry is not None
    assert symmetry.group_bytes_per_s.tolist() == [2.0, 10.0, 10.0, 10.0, 10.0, 10.0]


def test_hosts_with_all_nics_on_one_leaf_load_it_so_often() -> None:
    fabric = leaf_spine(leaves=2, spines=2, hosts=2, up=5.0)  # one NIC a host, 2 × 5 up
    symmetry = RailSymmetry.of(fabric)
    assert symmetry is not None
    assert symmetry.group_bytes_per_s.tolist() == [10.0, 10.0]


def test_where_it_does_not_hold_there_is_none() -> None:
    cable = next(i for i in range(PODS.num_links) if PODS.link_name(i) == "p0g0rail0 → p0sp0")
    assert RailSymmetry.of(PODS.without(links=[cable])) is None
    flat = RailSymmetry.of(boxes())  # all hosts on the same leaves: nothing to leave
    assert flat is not None
    assert flat.rates(flat.use_of([[0, 1], [2, 3]])).tolist() == [10.0, 10.0]


def test_bad_candidates_are_refused() -> None:
    assert SYMMETRY is not None
    with pytest.raises(InputError, match="rows of host numbers"):
        SYMMETRY.candidate_rates(SYMMETRY.use_of([]), [[99]])
