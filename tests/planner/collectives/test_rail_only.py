"""Collectives on rails that nothing joins: relays over the scale-up domain."""

from __future__ import annotations

import numpy as np
import pytest

from planner.collectives.network_limits import network_limits
from planner.collectives.traffic import Demand, job_flows
from tests.topologies.fabrics import fabric_from
from tests.topologies.routing.test_relay import rails
from topologies.fabric import LinkKind


def test_a_ring_over_hosts_without_a_common_rail_is_relayed() -> None:
    # gpu0 of h0 and gpu1 of h1: NVLink 90 to the relay, the rail 10, both ways.
    fabric = rails()
    group = [[fabric.node_idx("h0/gpu0"), fabric.node_idx("h1/gpu1")]]
    limits = network_limits(fabric, group, "all-reduce")
    assert limits.nic_s_per_byte[0] == pytest.approx(2 * 0.5 / 10)
    assert limits.scale_up_s_per_byte[0] == pytest.approx(2 * 0.5 / 90)


def test_an_all_to_all_loads_the_scale_up_links_of_its_relays() -> None:
    # 2 hosts of 2: each rank owes 1/4 to each other one. A NIC carries 2 × 2 / 2 = 2 blocks at 10. Inside, a member
    # sends its neighbour one block, and one more for the neighbour's peer on the other host: 2 blocks at 90.
    fabric = rails()
    limits = network_limits(fabric, [np.arange(4)], "all-to-all")
    assert limits.nic_s_per_byte[0] == pytest.approx(2 / 4 / 10)
    assert limits.scale_up_s_per_byte[0] == pytest.approx(2 / 4 / 90)


def test_what_arrives_on_too_few_rails_is_handed_on() -> None:
    # h0 has gpu0 alone in the job, h1 both: gpu0 sends 2 blocks to h1 on rail 0, where gpu0 hands one on to gpu1,
    # and gpu1's block for h0 goes by its neighbour. Inside h1, each way: one block and one relayed.
    fabric = rails()
    ranks = [[0, 2, 3]]
    flows = job_flows(fabric, ranks, [Demand(3.0, "all-to-all")])
    sent = {
        (fabric.node_names[s], fabric.node_names[t]): b
        for s, t, b in zip(
            flows.source_node.tolist(), flows.target_node.tolist(), flows.size_bytes.tolist(), strict=True
        )
    }
    assert sent == {
        ("h0/nic0", "h1/nic0"): 2.0,
        ("h1/nic0", "h0/nic0"): 2.0,
        ("h1/gpu0", "h1/gpu1"): 2.0,
        ("h1/gpu1", "h1/gpu0"): 2.0,
    }


@pytest.mark.parametrize("collective", ["all-reduce", "all-gather", "reduce-scatter", "broadcast", "all-to-all"])
def test_every_collective_crosses_the_rails_of_the_kind(collective: str) -> None:
    fabric = fabric_from(
        "schema_version: 1\nkind: rail-only\nname: r\n"
        "hosts: {accelerator: h100-sxm, accelerators: 8, nic: connectx-7-400g, nics: 8, count: 4}\n"
        "network: {leaf: qm9700}\n"
    )
    limits = network_limits(fabric, [np.r_[0:4, 12:16], np.arange(32)], collective)  # type: ignore[arg-type]
    assert (limits.nic_s_per_byte > 0).all()
    assert LinkKind.SCALE_UP not in fabric.link_kind[limits.bottleneck_link].tolist()


def test_a_joined_network_and_rails_alone_carry_the_same_where_rails_are_kept() -> None:
    hosts = "hosts: {accelerator: h100-sxm, accelerators: 8, nic: connectx-7-400g, nics: 8, count: 4}\n"
    alone = fabric_from(f"schema_version: 1\nkind: rail-only\nname: r\n{hosts}network: {{leaf: qm9700}}\n")
    joined = fabric_from(
        f"schema_version: 1\nkind: rail-optimized\nname: r\n{hosts}network: {{tiers: 2, leaf: qm9700}}\n"
    )
    for collective in ("all-reduce", "all-to-all"):
        a, b = (network_limits(f, [np.arange(32)], collective) for f in (alone, joined))  # type: ignore[arg-type]
        assert a.nic_s_per_byte[0] == pytest.approx(b.nic_s_per_byte[0])
        assert a.scale_up_s_per_byte[0] == pytest.approx(b.scale_up_s_per_byte[0])
