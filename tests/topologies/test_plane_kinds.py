"""rail-only, multi-plane and dual-tor, with counts worked out by hand."""

import numpy as np
import pytest

from tests.topologies.fabrics import counts, fabric_from
from topologies.errors import InputError
from topologies.fabric import Fabric, LinkKind

HOSTS = "accelerator: h100-sxm, accelerators: 8, nic: connectx-7-400g, nics: 8"


def leaves_of(fabric: Fabric, nic: str) -> list[str]:
    node = fabric.node_idx(nic)
    mine = (fabric.link_source == node) & (fabric.link_kind == LinkKind.SCALE_OUT)
    return [fabric.node_names[i] for i in fabric.link_target[mine]]


def test_rail_only_on_one_switch_a_rail() -> None:
    # 64 hosts of 8: each of 8 rails has 64 NICs, all on one 64-port switch; nothing else joins the rails.
    fabric = fabric_from(
        f"schema_version: 1\nkind: rail-only\nname: t\nhosts: {{{HOSTS}, count: 64}}\nnetwork: {{leaf: qm9700}}\n"
    )
    found = counts(fabric)
    assert (found["leaves"], found["spines"], found["nic_leaf"], found["leaf_spine"]) == (8, 0, 512, 0)
    assert leaves_of(fabric, "h0063/nic5") == ["leaf-g000-r005"]


def test_rail_only_with_a_network_a_rail() -> None:
    # 65 hosts: a rail of 65 needs two tiers: 32 a leaf, 3 leaves × 32 up = 96 cables, 2 spines of 64; times 8 rails.
    fabric = fabric_from(
        f"schema_version: 1\nkind: rail-only\nname: t\nhosts: {{{HOSTS}, count: 65}}\nnetwork: {{leaf: qm9700}}\n"
    )
    found = counts(fabric)
    assert (found["leaves"], found["spines"], found["nic_leaf"], found["leaf_spine"]) == (24, 16, 520, 768)


def test_rail_only_rails_run_through_whole_domains() -> None:
    # domains of 4 hosts × 8 = 32 GPUs: 32 rails, each with one NIC of each of 6 domains (the last has 2 hosts).
    fabric = fabric_from(
        f"schema_version: 1\nkind: rail-only\nname: t\nhosts: {{{HOSTS}, count: 22}}\nhosts_a_domain: 4\n"
        "network: {leaf: qm9700}\n"
    )
    found = counts(fabric)
    assert (found["leaves"], found["nic_leaf"]) == (32, 176)
    assert leaves_of(fabric, "h0005/nic2") == ["leaf-g000-r010"]
    assert np.bincount(fabric.accelerator_domain).tolist() == [32] * 5 + [16]
    # rails of the last two hosts of a domain have 5 NICs, the others 6
    leaf_of_nic = fabric.link_target[(fabric.link_tier == 1) & (fabric.link_source < fabric.link_target)]
    assert sorted(np.unique(leaf_of_nic, return_counts=True)[1].tolist()) == [5] * 16 + [6] * 16


def test_rail_only_needs_scale_up() -> None:
    with pytest.raises(InputError, match=r"^fabric.yaml:4: hosts.scale_up: nothing joins the rails"):
        fabric_from(
            f"schema_version: 1\nkind: rail-only\nname: t\nhosts: {{{HOSTS}, count: 64, scale_up: {{form: none}}}}\n"
            "network: {leaf: qm9700}\n"
        )


def test_multi_plane_by_hand() -> None:
    # 800G NICs with 4 cables of 200 Gb/s, 4 planes. A 64 × 800G switch takes 256 cables of 200G: 128 hosts are 32 ports
    # down, 32 × 800G up. 256 hosts: 2 groups × 8 rails × 4 planes = 64 leaves; a plane has 16 leaves × 32 = 512 cables
    # up, on 8 spines of 64.
    fabric = fabric_from(
        "schema_version: 1\nkind: multi-plane\nname: t\n"
        "hosts: {part: dgx-b300, count: 256, nic_ports: 4}\nnetwork: {leaf: sn5600}\n"
    )
    found = counts(fabric)
    assert found == {
        "hosts": 256,
        "accelerators": 2048,
        "leaves": 64,
        "spines": 32,
        "cores": 0,
        "nic_leaf": 256 * 8 * 4,
        "leaf_spine": 4 * 512,
        "spine_core": 0,
    }
    assert leaves_of(fabric, "h0000/nic3") == [f"leaf-g000-r3-p{i}" for i in range(4)]
    # planes are apart: a leaf reaches the spines of its own plane only
    leaf = fabric.node_idx("leaf-g001-r7-p2")
    up = fabric.link_target[(fabric.link_source == leaf) & (fabric.link_tier == 2)]
    assert {fabric.node_names[i].split("/")[0] for i in up} == {"plane2"}


def test_split_uplinks_reach_more_leaves() -> None:
    # DGX B300 on Ethernet, 16 units: twin-planar, links of 400G on ports of 800G. 64 hosts a leaf (32 ports) and 64
    # links up (32 ports); a plane has 16 groups × 8 rails = 128 leaves, 128 × 64 links on 64 spines of 128.
    text = (
        "schema_version: 1\nkind: multi-plane\nname: t\nhosts: {part: dgx-b300, count: 1024, nic_ports: 2}\n"
        "network: {tiers: 2, leaf: sn5610, uplink_gbps: 400}\n"
    )
    found = counts(fabric_from(text))
    assert (found["leaves"], found["spines"]) == (256, 128)  # as published
    assert (found["nic_leaf"], found["leaf_spine"]) == (2 * 8192, 2 * 8192)  # published: 8192 cables of two links each
    with pytest.raises(InputError, match=r"network.spine: the spines have too few ports"):
        fabric_from(text.replace(", uplink_gbps: 400", ""))
    with pytest.raises(InputError) as caught:
        fabric_from(text.replace("uplink_gbps: 400", "uplink_gbps: 1600"))
    assert caught.value.message == (
        "fabric.yaml:5: network.uplink_gbps: a cable is faster than a port; found: 1600 Gb/s; "
        "allowed: at most 800 Gb/s; fix: use a lower rate, or leave it out"
    )


def test_multi_plane_needs_a_port_a_plane() -> None:
    with pytest.raises(InputError) as caught:
        fabric_from(
            "schema_version: 1\nkind: multi-plane\nname: t\nport_planes: 4\n"
            "hosts: {part: dgx-b300, count: 256, nic_ports: 2}\nnetwork: {leaf: sn5600}\n"
        )
    assert caught.value.message == (
        "fabric.yaml:5: hosts.nic_ports: the ports of a NIC do not divide into the planes; "
        "found: 2 ports a NIC, 4 planes; allowed: two planes or more, and a multiple of that in ports; "
        "fix: set nic_ports"
    )


HPN = """\
schema_version: 1
kind: dual-tor
name: hpn
aggregation: {aggregation}
hosts: {{part: hpn-h800, count: {hosts}, nic_ports: 2, a_rack: 2}}
network: {{tiers: {tiers}, leaf: hpn-128x400g, hosts_a_leaf: 128, uplinks: 60, spines: {spines}{more}}}
"""


def test_alibaba_hpn_pod() -> None:
    # Alibaba HPN (SIGCOMM 2024): a segment is 1,024 GPUs on 16 ToRs with 60 uplinks of 400G; a pod has 15 segments,
    # 15,360 GPUs, in two planes of 60 aggregation switches, each with a cable to all 120 ToRs of its plane.
    fabric = fabric_from(HPN.format(aggregation="dual-plane", hosts=1920, tiers=2, spines=60, more=""))
    found = counts(fabric)
    assert found == {
        "hosts": 1920,
        "accelerators": 15360,
        "leaves": 240,
        "spines": 120,
        "cores": 0,
        "nic_leaf": 30720,
        "leaf_spine": 240 * 60,
        "spine_core": 0,
    }
    assert fabric.num_leaf_groups == 15
    assert leaves_of(fabric, "h0128/nic7") == ["leaf-g001-r7-p0", "leaf-g001-r7-p1"]
    spine = fabric.node_idx("plane1/spine007")
    assert ((fabric.link_source == spine) & (fabric.link_tier == 2)).sum() == 120


def test_alibaba_hpn_rail_only_tier_two() -> None:
    # with planes for each rail (16 planes) the same switches reach 120 segments, 122,880 GPUs
    text = HPN.format(aggregation="dual-plane", hosts=15360, tiers=2, spines=60, more=", planes: by-rail")
    found = counts(fabric_from(text))
    assert (found["accelerators"], found["leaves"], found["spines"]) == (122880, 1920, 960)


def test_alibaba_hpn_with_cores() -> None:
    # three pods, 15:1 oversubscribed above the aggregation: 120 cables down, 8 up. A plane: 3 pods × 60 × 8 = 1440
    # cables. Cores in groups of at most 8 (an aggregation switch has 8 cables): with 60 ÷ g of the 60 switches of a pod
    # in a group, 128 ports take 128 ÷ 8 = 16 cables… fewest: g = 3: 20 × 3 × 8 = 480 cables on 4 cores, 12 in all.
    text = HPN.format(
        aggregation="dual-plane",
        hosts=3 * 1920,
        tiers=3,
        spines=60,
        more=", leaf_groups_a_pod: 15, spine_oversubscription: 15",
    )
    fabric = fabric_from(text)
    found = counts(fabric)
    assert (found["spines"], found["spine_core"]) == (2 * 3 * 60, 2 * 1440)
    assert found["cores"] == 2 * 12
    assert fabric.num_pods == 3


def test_dual_tor_single_plane_shares_the_spines() -> None:
    text = HPN.format(aggregation="single-plane", hosts=128, tiers=2, spines=60, more="")
    fabric = fabric_from(text)
    found = counts(fabric)
    assert (found["leaves"], found["spines"], found["leaf_spine"]) == (16, 60, 960)


def test_dual_tor_needs_two_ports() -> None:
    text = HPN.format(aggregation="dual-plane", hosts=128, tiers=2, spines=60, more="").replace("nic_ports: 2, ", "")
    with pytest.raises(InputError) as caught:
        fabric_from(text)
    assert caught.value.message == (
        "fabric.yaml:5: hosts.nic_ports: a NIC needs two ports for two ToRs; found: nic_ports: 1; "
        "allowed: an even number; fix: add nic_ports: 2"
    )
