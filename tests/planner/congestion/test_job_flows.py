"""Rings and hierarchies as flows: bytes worked out by hand."""

from __future__ import annotations

from collections import defaultdict

import numpy as np
import pytest

from planner.collectives.traffic import Demand, JobFlows, job_flows
from tests.fixtures.clos_fabrics import boxes, leaf_spine
from topologies.builder import FabricBuilder
from topologies.errors import InputError
from topologies.fabric import Fabric


def by_ends(fabric: Fabric, flows: JobFlows) -> dict[tuple[int, int, str, str], float]:
    found: dict[tuple[int, int, str, str], float] = defaultdict(float)
    for job, phase, source, target, size in zip(
        flows.job, flows.phase, flows.source_node, flows.target_node, flows.size_bytes, strict=True
    ):
        found[int(job), int(phase), fabric.node_names[source], fabric.node_names[target]] += float(size)
    return dict(found)


def gpus(fabric: Fabric, *hosts: int, of: int = 4, used: int | None = None) -> np.ndarray:
    return np.concatenate([h * of + np.arange(used or of) for h in hosts])


def test_ring_on_two_hosts_and_two_rails() -> None:
    # p = 8, S = 800: 2·7/8·800 = 1400 leave each host, 700 a rail; inside 3/4 of 1400 on each of four edges
    fabric = boxes()
    flows = job_flows(fabric, [gpus(fabric, 0, 1)], [Demand(800)])
    found = by_ends(fabric, flows)
    for a, b in ((0, 1), (1, 0)):
        for rail in (0, 1):
            assert found.pop((0, 0, f"h{a}/nic{rail}", f"h{b}/nic{rail}")) == pytest.approx(700)
    for h in (0, 1):
        for i in range(4):
            assert found.pop((0, 0, f"h{h}/gpu{i}", f"h{h}/gpu{(i + 1) % 4}")) == pytest.approx(1050)
    assert not found
    assert flows.scale_up_steps.tolist() == [12]  # 2(8 − 2), as NCCL counts them
    assert flows.scale_out_steps.tolist() == [2]


def test_hierarchical_on_two_hosts_and_two_rails() -> None:
    # inside 2·3/4·800 = 1200 on each edge; across 2·1/2·800 = 800, 400 a rail
    fabric = boxes()
    flows = job_flows(fabric, [gpus(fabric, 0, 1)], [Demand(800, algorithm="hierarchical")])
    found = by_ends(fabric, flows)
    assert found[0, 1, "h0/nic0", "h1/nic0"] == pytest.approx(400)
    assert found[0, 0, "h1/gpu3", "h1/gpu0"] == pytest.approx(1200)
    assert len(found) == 12
    assert (flows.scale_up_steps[0], flows.scale_out_steps[0]) == (6, 2)


def test_all_gather_is_half_an_all_reduce() -> None:
    fabric = boxes()
    whole = job_flows(fabric, [gpus(fabric, 0, 1)], [Demand(800)])
    half = job_flows(fabric, [gpus(fabric, 0, 1)], [Demand(800, "all-gather")])
    np.testing.assert_allclose(half.size_bytes * 2, whole.size_bytes)


def test_a_job_on_one_host_sends_nothing_out() -> None:
    fabric = boxes()
    flows = job_flows(fabric, [gpus(fabric, 2)], [Demand(800)])
    assert np.all(flows.source_node < fabric.num_accelerators)
    assert flows.size_bytes.tolist() == [1200.0] * 4  # 2·3/4·800
    assert flows.scale_out_steps.tolist() == [0]


def test_one_accelerator_needs_no_network() -> None:
    fabric = boxes()
    assert job_flows(fabric, [[3]], [Demand(800)]).num_flows == 0


def test_part_of_a_host_uses_only_its_own_nics() -> None:
    # gpu0 and gpu1 are nearest to nic0: everything goes out over rail 0
    fabric = boxes()
    flows = job_flows(fabric, [gpus(fabric, 0, 1, used=2)], [Demand(800)])
    found = by_ends(fabric, flows)
    assert found[0, 0, "h0/nic0", "h1/nic0"] == pytest.approx(2 * 3 / 4 * 800)
    assert not any("nic1" in source for _, _, source, _ in found)


def test_uneven_ports_are_used_more_than_once() -> None:
    # host 0 takes part with both NICs, host 1 with nic1 only: rail 1 is what they share
    fabric = boxes()
    flows = job_flows(fabric, [[0, 3, 4 + 2, 4 + 3]], [Demand(800)])
    found = {k: v for k, v in by_ends(fabric, flows).items() if "nic" in k[2]}
    assert found == {(0, 0, "h0/nic1", "h1/nic1"): 1200.0, (0, 0, "h1/nic1", "h0/nic1"): 1200.0}


def test_no_common_rail_pairs_what_there_is() -> None:
    fabric = boxes()
    flows = job_flows(fabric, [[0, 4 + 3]], [Demand(100)])
    assert {k[2:] for k in by_ends(fabric, flows)} == {("h0/nic0", "h1/nic1"), ("h1/nic1", "h0/nic0")}


def test_ring_visits_each_host_once_in_the_order_of_first_ranks() -> None:
    fabric = boxes()
    ranks = [8, 0, 9, 4, 1]  # hosts 2, 0, 2, 1, 0
    flows = job_flows(fabric, [ranks], [Demand(500)])
    hops = {(k[2][:2], k[3][:2]) for k in by_ends(fabric, flows) if "nic" in k[2]}
    assert hops == {("h2", "h0"), ("h0", "h1"), ("h1", "h2")}


def test_jobs_do_not_mix() -> None:
    fabric = boxes()
    together = job_flows(fabric, [gpus(fabric, 0, 1), gpus(fabric, 2, 3)], [Demand(800), Demand(80)])
    apart = job_flows(fabric, [gpus(fabric, 2, 3)], [Demand(80)])
    mine = together.job == 1
    assert np.array_equal(together.source_node[mine], apart.source_node)
    np.testing.assert_allclose(together.size_bytes[mine], apart.size_bytes)


def test_all_to_all_goes_on_the_receivers_rail() -> None:
    # 8 ranks, 100 a block: 16 blocks from host to host, 8 a rail. Inside one block to each neighbour; and where that
    # one has another NIC, half of what goes to the two peers on its rail: its twin takes the other half.
    fabric = boxes()
    flows = job_flows(fabric, [gpus(fabric, 0, 1)], [Demand(800, "all-to-all")])
    found = by_ends(fabric, flows)
    assert found[0, 0, "h0/nic0", "h1/nic0"] == pytest.approx(800)
    assert found[0, 0, "h0/gpu0", "h0/gpu1"] == pytest.approx(100)
    assert found[0, 0, "h0/gpu2", "h0/gpu1"] == pytest.approx(200)
    assert len(found) == 4 + 2 * 12


def test_a_domain_of_several_hosts_is_one_unit() -> None:
    # two racks of two hosts on one NVLink switch each: the ring crosses between racks, on all four NICs
    builder = FabricBuilder("racks")
    leaf = builder.add_switch("leaf", tier=1)
    for r in range(2):
        block = builder.add_hosts(
            [f"r{r}h{h}" for h in range(2)], accelerators=2, nics=2, host_link_bytes_per_s=10.0, nic_rails=[0, 1]
        )
        builder.add_cables(block.accelerator.ravel(), builder.add_switch(f"nv{r}", scale_up=True), rate_bytes_per_s=9.0)
        builder.add_cables(block.nic.ravel(), leaf, rate_bytes_per_s=1.0)
    fabric = builder.build()
    flows = job_flows(fabric, [np.arange(8)], [Demand(800)])
    out = {k[2:]: v for k, v in by_ends(fabric, flows).items() if k[2].startswith("r0") and "nic" in k[2]}
    assert out == {(f"r0h{h}/nic{i}", f"r1h{h}/nic{i}"): 350.0 for h in range(2) for i in range(2)}


def test_hosts_without_a_shared_domain_keep_their_own_exchange_inside() -> None:
    fabric = leaf_spine()  # one accelerator a host
    flows = job_flows(fabric, [[0, 1, 2, 3]], [Demand(400)])
    assert flows.size_bytes.tolist() == [600.0] * 4


@pytest.mark.parametrize(
    ("ranks", "what"),
    [([[0, 0]], "twice"), ([[]], "without members"), ([[99]], "does not exist"), ([[-1]], "does not exist")],
)
def test_bad_groups_are_refused(ranks: list[list[int]], what: str) -> None:
    with pytest.raises(InputError, match=what):
        job_flows(leaf_spine(), ranks, [Demand(1)])


@pytest.mark.parametrize(
    ("demand", "what"),
    [
        (Demand(-1), "size"),
        (Demand(float("nan")), "size"),
        (Demand(1, algorithm="rinng"), "algorithm"),
        (Demand(1, collective="gossip"), "collective"),  # type: ignore[arg-type]
    ],
)
def test_bad_demands_are_refused(demand: Demand, what: str) -> None:
    with pytest.raises(InputError, match=what):
        job_flows(leaf_spine(), [[0, 1]], [demand])


def test_accelerators_without_a_nic_cannot_leave_their_domain() -> None:
    # c shares a domain with a and has no NIC of its own; NCCL would relay through a only if a took part
    builder = FabricBuilder("bare")
    for name, nics in (("a", 1), ("b", 1), ("c", 0)):
        builder.add_host(name, accelerators=1, nics=nics, host_link_bytes_per_s=10.0)
    leaf = builder.add_switch("leaf", tier=1)
    builder.connect("a/nic0", leaf, rate_bytes_per_s=1.0)
    builder.connect("b/nic0", leaf, rate_bytes_per_s=1.0)
    builder.connect("a/gpu0", "c/gpu0", rate_bytes_per_s=9.0)
    fabric = builder.build()
    assert job_flows(fabric, [[0, 2]], [Demand(4)]).num_flows == 2
    assert job_flows(fabric, [[0, 2, 1]], [Demand(4)]).num_flows == 4
    with pytest.raises(InputError, match="'c/gpu0' has no NIC"):
        job_flows(fabric, [[2, 1]], [Demand(4)])


def test_an_all_to_all_too_large_to_spell_out_is_refused() -> None:
    fabric = leaf_spine(leaves=1500, spines=1, hosts=1)
    with pytest.raises(InputError, match="too many units"):
        job_flows(fabric, [np.arange(1500)], [Demand(1e6, "all-to-all")])
