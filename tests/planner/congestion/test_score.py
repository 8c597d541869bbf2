"""Scores of small fabrics, worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest

from planner.collectives.traffic import Demand, job_flows
from planner.congestion.events import run_events
from planner.congestion.loads import loads_of
from planner.congestion.report import CongestionReport
from planner.congestion.score import score_flows
from planner.congestion.time_shift import best_time_shift
from tests.fixtures.clos_fabrics import boxes, leaf_spine
from topologies.errors import InputError
from topologies.fabric import Fabric
from topologies.routing.dmodk import DModK
from topologies.routing.ecmp import Ecmp
from topologies.routing.network import Routing
from topologies.routing.spray import Spray


def score(
    fabric: Fabric, ranks: list[list[int]], size: float = 80.0, routing: Routing | None = None
) -> CongestionReport:
    flows = job_flows(fabric, ranks, [Demand(size)] * len(ranks))
    return score_flows(fabric, flows, routing or Spray())


def test_one_ring_alone_runs_at_nic_rate() -> None:
    # p = 2, S = 80: 2·1/2·80 = 80 bytes a direction at 10 a second
    report = score(leaf_spine(), [[0, 2]])
    assert report.isolated.time_s.tolist() == [8.0]
    assert report.worst.time_s.tolist() == [8.0]
    assert report.slowdown().tolist() == [1.0]


def test_two_rings_over_one_spine_share_it() -> None:
    # leaf0 – sp0 – leaf1, uplink 10: two rings of two hosts each put one flow a direction on it
    fabric = leaf_spine(spines=1)
    report = score(fabric, [[0, 2], [1, 3]])
    assert report.isolated.time_s.tolist() == [8.0, 8.0]
    assert report.worst.time_s.tolist() == [16.0, 16.0]
    assert report.worst.rate_bytes_per_s.tolist() == [5.0, 5.0]
    names = {fabric.link_name(int(link)) for link in report.worst.bottleneck_link}
    assert names <= {"leaf0 → sp0", "sp0 → leaf1", "leaf1 → sp0", "sp0 → leaf0"}
    up = next(i for i in range(fabric.num_links) if fabric.link_name(i) == "leaf0 → sp0")
    assert report.jobs_on(up).tolist() == [0, 1]
    assert report.link_load_frac[up] == pytest.approx(1.0)
    assert report.link_demand_frac[up] == pytest.approx(2.0)
    assert up in report.hottest_links(4)


def test_spraying_over_two_spines_takes_both_rings() -> None:
    report = score(leaf_spine(spines=2), [[0, 2], [1, 3]])
    assert report.slowdown().tolist() == [1.0, 1.0]


def test_a_ring_that_zigzags_crosses_twice() -> None:
    # ranks h0 h2 h1 h3: two flows up from leaf0 through one spine at the ring's rate: 10 / 2
    report = score(leaf_spine(spines=1), [[0, 2, 1, 3]], size=40.0)
    assert report.isolated.rate_bytes_per_s.tolist() == [5.0]
    assert report.isolated.time_s.tolist() == [pytest.approx(2 * 3 / 4 * 40 / 5)]
    straight = score(leaf_spine(spines=1), [[0, 1, 2, 3]], size=40.0)
    assert straight.isolated.rate_bytes_per_s.tolist() == [10.0]


def test_hierarchy_adds_its_phases() -> None:
    # boxes: 180 over NVLink from each accelerator, 10 a rail. S = 800 on 2 hosts × 4:
    # inside 1200 / 180; across 400 / 10, sprayed uplinks not even used (same rail, same leaf)
    fabric = boxes()
    ranks = [list(range(8))]
    flows = job_flows(fabric, ranks, [Demand(800, algorithm="hierarchical")])
    report = score_flows(fabric, flows, Spray())
    assert report.isolated.time_s.tolist() == [pytest.approx(1200 / 180 + 400 / 10)]


def test_a_ring_runs_at_its_slowest_part() -> None:
    # ring over both: 700 a rail at 10 = 70 s; inside 1050 / 180 is hidden behind it
    report = score(boxes(), [list(range(8))], size=800)
    assert report.isolated.time_s.tolist() == [pytest.approx(70.0)]


def test_job_that_sends_nothing_takes_no_time() -> None:
    report = score(leaf_spine(), [[0], [1, 3]])
    assert report.isolated.time_s.tolist() == [0.0, 8.0]
    assert report.slowdown().tolist() == [1.0, 1.0]
    assert report.worst.rate_bytes_per_s[0] == np.inf
    assert report.worst.bottleneck_link[0] == -1


def test_latency_counts_once_a_step() -> None:
    from topologies.builder import FabricBuilder

    builder = FabricBuilder("slow")
    hosts = builder.add_hosts(["a", "b"], accelerators=1, nics=1, host_link_bytes_per_s=100.0)
    leaf = builder.add_switch("leaf", tier=1)
    builder.add_cables(hosts.nic[:, 0], leaf, rate_bytes_per_s=10.0, latency_s=0.25)
    report = score(builder.build(), [[0, 1]])
    assert report.isolated.time_s.tolist() == [8.0 + 2 * (2 - 1) * 0.5]


def test_expected_lies_between_alone_and_worst_and_meets_both_ends() -> None:
    fabric = leaf_spine(spines=1)
    flows = job_flows(fabric, [[0, 2], [1, 3]], [Demand(80)] * 2)
    busy = score_flows(fabric, flows, Spray(), compute_s=0.0)
    assert busy.expected.time_s.tolist() == busy.worst.time_s.tolist()
    idle = score_flows(fabric, flows, Spray(), compute_s=1e9)
    np.testing.assert_allclose(idle.expected.time_s, idle.isolated.time_s)
    # duty d = t / (t + 8), t = 8·(1 + d) for two alike jobs that halve each other: d² + d − 1 = 0... d = (√5 − 1)/2
    half = score_flows(fabric, flows, Spray(), compute_s=8.0, num_samples=4000)
    duty = (np.sqrt(5) - 1) / 2
    np.testing.assert_allclose(half.expected.time_s, 8 * (1 + duty), rtol=0.02)


@pytest.mark.parametrize("seed", range(6))
def test_nobody_is_expected_to_be_faster_than_alone(seed: int) -> None:
    # Hashing puts several flows of one ring on one uplink, so that a ring crowds itself.
    fabric = leaf_spine(leaves=4, spines=3, hosts=4)
    order = np.random.default_rng(seed).permutation(16)
    flows = job_flows(fabric, [order[:8], order[8:13], order[13:]], [Demand(80)] * 3)
    report = score_flows(fabric, flows, Ecmp(seed), compute_s=10.0, seed=seed)
    assert np.all(report.expected.time_s >= report.isolated.time_s * (1 - 1e-9))


def test_same_seed_same_answer() -> None:
    fabric = leaf_spine(spines=1)
    flows = job_flows(fabric, [[0, 2], [1, 3]], [Demand(80)] * 2)
    one, two = (score_flows(fabric, flows, Spray(), compute_s=8.0, seed=5).expected.time_s for _ in range(2))
    assert np.array_equal(one, two)


def test_negative_compute_time_is_refused() -> None:
    fabric = leaf_spine()
    with pytest.raises(InputError, match="below zero"):
        score_flows(fabric, job_flows(fabric, [[0, 2]], [Demand(1)]), Spray(), compute_s=-1.0)


def test_jobs_that_come_and_go_on_a_fabric() -> None:
    # two rings over one spine, the second half as long: 5 each until 8 s, then the first alone
    fabric = leaf_spine(spines=1)
    loads = loads_of(fabric, job_flows(fabric, [[0, 2], [1, 3]], [Demand(80), Demand(40)]), Spray())
    capacity = loads.channels.capacity_bytes_per_s
    assert run_events(loads.incidence, capacity, loads.program()).finish_s.tolist() == [12.0, 8.0]
    shift = best_time_shift(loads.incidence, capacity, loads.program(compute_s=[8.0, 12.0]))
    assert shift.excess_frac == pytest.approx(0.0, abs=1e-12)


def test_no_jobs() -> None:
    fabric = leaf_spine()
    report = score_flows(fabric, job_flows(fabric, [], []), Spray())
    assert report.num_jobs == 0
    assert report.link_load_frac.max() == 0.0


def test_relabelled_jobs_keep_their_scores() -> None:
    fabric = leaf_spine(leaves=3, spines=2, hosts=4, up=5.0)
    ranks = [[0, 4, 8], [1, 5], [2, 3, 9], [6, 10, 7, 11]]
    one = score(fabric, ranks, routing=DModK())
    two = score(fabric, ranks[::-1], routing=DModK())
    np.testing.assert_allclose(one.worst.time_s, two.worst.time_s[::-1])
