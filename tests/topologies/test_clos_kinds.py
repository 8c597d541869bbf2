"""Clos kinds: counts of published reference designs, and small ones worked out by hand."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.topologies.fabrics import counts, fabric_from
from topologies.errors import InputError
from topologies.fabric import Fabric, LinkKind, NodeKind
from topologies.routing.ecmp import Ecmp
from topologies.routing.router import router_for

# nodes, leaf, spine, core, node-leaf, leaf-spine and spine-core cables of the published component count tables:
# DGX SuperPOD reference architectures B200 (QM9700), B300 XDR (144 ports), B300 Ethernet (64 ports); H100 RA-11333-001.
PUBLISHED = [
    ("dgx-b200", "leaf: qm9700", 64, 16, 8, 0, 512, 512, 0),
    ("dgx-b200", "leaf: qm9700", 128, 32, 16, 0, 1024, 1024, 0),
    ("dgx-b200", "leaf: qm9700", 256, 64, 32, 0, 2048, 2048, 0),
    ("dgx-b200", "leaf: qm9700", 512, 128, 128, 64, 4096, 4096, 4096),
    ("dgx-b200", "leaf: qm9700, tiers: 3", 1024, 256, 256, 128, 8192, 8192, 8192),
    ("dgx-b200", "leaf: qm9700, tiers: 3", 2048, 512, 512, 256, 16384, 16384, 16384),
    ("dgx-b300", "leaf: q3400-ra", 72, 8, 4, 0, 576, 576, 0),
    ("dgx-b300", "leaf: q3400-ra", 144, 16, 8, 0, 1152, 1152, 0),
    ("dgx-b300", "leaf: q3400-ra", 288, 32, 18, 0, 2304, 2304, 0),
    ("dgx-b300", "leaf: q3400-ra", 576, 64, 36, 0, 4608, 4608, 0),
    ("dgx-b300", "leaf: q3400-ra", 1296, 144, 72, 0, 10368, 10368, 0),
    ("dgx-b300", "leaf: sn5610", 64, 16, 8, 0, 512, 512, 0),
    ("dgx-b300", "leaf: sn5610", 128, 32, 16, 0, 1024, 1024, 0),
    ("dgx-b300", "leaf: sn5610", 256, 64, 32, 0, 2048, 2048, 0),
    ("dgx-b300", "leaf: sn5610, planes: by-rail", 512, 128, 64, 0, 4096, 4096, 0),
    ("dgx-b300", "leaf: sn5610, planes: by-rail", 1024, 256, 128, 0, 8192, 8192, 0),
    ("dgx-h100", "leaf: qm9700", 31, 8, 4, 0, 248, 256, 0),  # 252 published with 4 cables of the fabric manager
    ("dgx-h100", "leaf: qm9700", 63, 16, 8, 0, 504, 512, 0),
    ("dgx-h100", "leaf: qm9700", 127, 32, 16, 0, 1016, 1024, 0),
]


@pytest.mark.parametrize(("host", "network", "nodes", "leaf", "spine", "core", "down", "up", "top"), PUBLISHED)
def test_published_reference_designs(
    host: str, network: str, nodes: int, leaf: int, spine: int, core: int, down: int, up: int, top: int
) -> None:
    fabric = fabric_from(
        f"schema_version: 1\nkind: rail-optimized\nname: ra\nhosts: {{part: {host}, count: {nodes}}}\n"
        f"network: {{{network}}}\n"
    )
    assert counts(fabric) == {
        "hosts": nodes,
        "accelerators": 8 * nodes,
        "leaves": leaf,
        "spines": spine,
        "cores": core,
        "nic_leaf": down,
        "leaf_spine": up,
        "spine_core": top,
    }


def design(kind: str, hosts: str, network: str) -> Fabric:
    return fabric_from(
        f"schema_version: 1\nkind: {kind}\nname: t\n"
        f"hosts: {{accelerator: h100-sxm, nic: connectx-7-400g, {hosts}}}\nnetwork: {{{network}}}\n"
    )


def neighbours(fabric: Fabric, name: str) -> list[str]:
    node = fabric.node_idx(name)
    return [fabric.node_names[t] for t in fabric.link_target[fabric.link_source == node]]


def test_a_rail_optimized_fabric_by_hand() -> None:
    # 5 hosts of 2 GPUs and 2 rails, 4 hosts a leaf: two groups of 2 leaves, the second with one host.
    # A leaf has 4 cables down and 4 up; 4 leaves × 4 = 16 cables fit on one spine of 64 ports: 4 to each leaf.
    fabric = design("rail-optimized", "accelerators: 2, nics: 2, count: 5", "leaf: qm9700, hosts_a_leaf: 4")
    assert counts(fabric) == {
        "hosts": 5,
        "accelerators": 10,
        "leaves": 4,
        "spines": 1,
        "cores": 0,
        "nic_leaf": 10,
        "leaf_spine": 16,
        "spine_core": 0,
    }
    assert neighbours(fabric, "h0000/nic1") == ["h0000/gpu1", "leaf-g000-r1"]
    assert neighbours(fabric, "h0004/nic0") == ["h0004/gpu0", "leaf-g001-r0"]
    assert neighbours(fabric, "leaf-g001-r1").count("spine000") == 4
    assert fabric.host_leaf_group.tolist() == [0, 0, 0, 0, 1]
    assert fabric.accelerator_rail.tolist() == [0, 1] * 5
    assert fabric.num_domains == 5
    scale_out = fabric.link_kind == LinkKind.SCALE_OUT
    assert set(fabric.link_capacity_bytes_per_s[scale_out].tolist()) == {50e9}
    assert set(fabric.link_latency_s[scale_out].tolist()) == {0.45e-6}
    # same leaf 2.8 µs, across the spine 3.7 µs, as measured (arXiv:2505.09343)
    host_link = fabric.link_latency_s[fabric.link_kind == LinkKind.HOST][0]
    assert 2 * host_link + 2 * 0.45e-6 == pytest.approx(2.8e-6)
    assert 2 * host_link + 4 * 0.45e-6 == pytest.approx(3.7e-6)


def test_a_leaf_spine_fabric_by_hand() -> None:
    # 5 hosts × 8 NICs, 64 ports, 4:1: 6 hosts make 48 down + 12 up = 60 ports, exactly 4:1; 7 would need 56 + 14.
    # One leaf; 12 uplinks; one spine suffices.
    fabric = design("leaf-spine", "accelerators: 8, nics: 8, count: 7", "leaf: qm9700, oversubscription: 4:1")
    found = counts(fabric)
    assert (found["leaves"], found["spines"], found["nic_leaf"], found["leaf_spine"]) == (2, 1, 56, 24)
    assert {neighbours(fabric, f"h0006/nic{i}")[1] for i in range(8)} == {"leaf001-0"}


def test_a_three_tier_fabric_by_hand() -> None:
    # 64-port switches, 32 hosts of one GPU a leaf: 32 down, 32 up; 40 groups of 1 leaf (one rail).
    # A spine has 32 ports down, so 32 leaves a pod: 2 pods, the second with 8 leaves.
    # Spines a pod: 32·32/32 = 32, each with 32 up. Cores: 2·32·32/64 = 32, in 1 group of 32.
    fabric = design("rail-optimized", "accelerators: 1, nics: 1, count: 1280", "leaf: qm9700, tiers: 3")
    assert counts(fabric) == {
        "hosts": 1280,
        "accelerators": 1280,
        "leaves": 40,
        "spines": 64,
        "cores": 32,
        "nic_leaf": 1280,
        "leaf_spine": 1280,
        "spine_core": 2048,
    }
    assert fabric.num_pods == 2
    assert np.bincount(fabric.host_pod).tolist() == [1024, 256]


def test_uneven_numbers_spread_to_within_one() -> None:
    # 3 spines for leaves with 8 cables up: 8 = 3 + 3 + 2; 6 leaves make 48 cables, 16 a spine.
    fabric = design("rail-optimized", "accelerators: 1, nics: 1, count: 48", "leaf: qm9700, hosts_a_leaf: 8, spines: 3")
    spines = [neighbours(fabric, f"spine{i:03d}") for i in range(3)]
    assert [len(cables) for cables in spines] == [16, 16, 16]
    for leaf in range(6):
        bundle = [cables.count(f"leaf-g{leaf:03d}-r0") for cables in spines]
        assert sorted(bundle) == [2, 3, 3]


def test_ratios_that_cannot_be_exact_are_stated() -> None:
    fabric = design(
        "rail-optimized", "accelerators: 8, nics: 8, count: 64", "leaf: qm9700, hosts_a_leaf: 50, oversubscription: 4"
    )
    # 50 cables down at 4:1 are 12.5 up, so 13.
    assert counts(fabric)["leaf_spine"] == 2 * 8 * 13
    assert fabric.assumptions[0] == "Leaves are oversubscribed 3.846:1, not 4:1 (50 cables down, 13 up)."


def test_split_ports_and_faster_uplinks() -> None:
    # 800G switches, 400G NICs: two NICs a port; 64 hosts a leaf take 32 ports, 32 uplinks of 800G.
    fabric = design("rail-optimized", "accelerators: 8, nics: 8, count: 64", "leaf: sn5600")
    found = counts(fabric)
    assert (found["leaves"], found["nic_leaf"], found["leaf_spine"]) == (8, 512, 256)
    up = fabric.link_capacity_bytes_per_s[fabric.link_tier == 2]
    assert set(up.tolist()) == {100e9}


def test_a_network_of_leaves_only() -> None:
    fabric = design("rail-optimized", "accelerators: 8, nics: 8, count: 4", "leaf: qm9700, tiers: 1")
    assert counts(fabric)["spines"] == 0
    assert fabric.num_leaf_groups == 1


def test_two_leaves_joined_by_each_other() -> None:
    # DGX BasePOD (RA-11127-001): 4 nodes, 4 NICs of each on each of two switches, 16 links between the two
    fabric = fabric_from(
        "schema_version: 1\nkind: rail-optimized\nname: t\nhosts: {part: dgx-h100, count: 4}\n"
        "network: {tiers: 1, leaf: qm9700, rails: 2, leaf_links: 16}\n"
    )
    found = counts(fabric)
    assert (found["leaves"], found["spines"]) == (2, 0)
    assert found["nic_leaf"] == 32 + 16  # cables of tier 1: to NICs, and between the leaves
    leaf = fabric.node_tier == 1
    assert (leaf[fabric.link_source] & leaf[fabric.link_target]).sum() == 2 * 16
    assert neighbours(fabric, "h0003/nic4")[1] == "leaf-g000-r1"


def test_full_mesh_of_mi300x() -> None:
    fabric = fabric_from(
        "schema_version: 1\nkind: leaf-spine\nname: t\nhosts: {part: azure-nd-mi300x-v5, count: 2}\n"
        "network: {leaf: tomahawk5-64x800g}\n"
    )
    scale_up = fabric.link_kind == LinkKind.SCALE_UP
    assert scale_up.sum() == 2 * 2 * 28  # 28 pairs a host, two directions
    assert set(fabric.link_capacity_bytes_per_s[scale_up].tolist()) == {64e9}
    assert fabric.num_domains == 2
    assert not (fabric.node_kind == NodeKind.SCALE_UP_SWITCH).any()


def test_nvl_racks_by_hand() -> None:
    # 3 racks of 18 trays × 4 GPUs, the last with 6 trays: 42 trays, 168 GPUs, 18 switch chips a rack.
    fabric = fabric_from(
        "schema_version: 1\nkind: nvl-rack\nname: t\n"
        "racks: {count: 3, trays_in_last: 6, part: gb200-tray, scale_up: {switches: 18, switch: nvlink-5-switch}}\n"
        "network: {leaf: qm9700}\n"
    )
    found = counts(fabric)
    assert (found["hosts"], found["accelerators"], found["leaves"]) == (42, 168, 12)  # 4 rails × 3 racks
    assert fabric.num_domains == 3
    assert np.bincount(fabric.accelerator_domain).tolist() == [72, 72, 24]
    assert fabric.host_names[18] == "rack001-tray00"
    assert fabric.host_names[-1] == "rack002-tray05"
    assert (fabric.node_kind == NodeKind.SCALE_UP_SWITCH).sum() == 54
    scale_up = fabric.link_kind == LinkKind.SCALE_UP
    assert scale_up.sum() == 2 * 168 * 18
    assert set(fabric.link_capacity_bytes_per_s[scale_up].tolist()) == {50e9}
    assert fabric.accelerator_scale_up_bytes_per_s[0] == pytest.approx(900e9)
    assert fabric.host_rack.tolist() == [0] * 18 + [1] * 18 + [2] * 6


@pytest.mark.parametrize(
    ("kind", "hosts", "network", "message"),
    [
        (
            "rail-optimized",
            "accelerators: 8, nics: 8, count: 64",
            "leaf: qm9700, hosts_a_leaf: 40",
            "fabric.yaml:5: network.hosts_a_leaf: a leaf has too few ports; "
            "found: 40 ports for 40 cables down and 40 for 40 up, 80 in all; allowed: 64 ports on qm9700; "
            "fix: put fewer hosts on a leaf, or choose another switch or oversubscription",
        ),
        (
            "rail-optimized",
            "accelerators: 8, nics: 8, count: 512",
            "leaf: qm9700, tiers: 2",
            "fabric.yaml:5: network.spine: the spines have too few ports; "
            "found: 128 leaves with 32 cables up each need spines for 128 leaves each; "
            "allowed: 64 cables down from qm9700; fix: use tiers: 3, planes: by-rail, or a switch with more ports",
        ),
        (
            "rail-optimized",
            "accelerators: 8, nics: 8, count: 16384",
            "leaf: qm9700, tiers: 3",
            "fabric.yaml:5: network.core: the cores have too few ports; "
            "found: 128 pods of 32 spines with 32 cables up each; "
            "allowed: 64 cables on qm9700, one at least to each of the 128 pods; "
            "fix: use larger pods, fewer uplinks or a switch with more ports",
        ),
        (
            "rail-optimized",
            "accelerators: 8, nics: 8, count: 64",
            "leaf: qm9700, spines: 40",
            "fabric.yaml:5: network.spines: the number of spines does not fit; "
            "found: 40 spines for 16 leaves with 32 cables up each; "
            "allowed: 8 to 32: 512 cables, 64 a spine, one at least from leaf to spine; "
            "fix: change spines, uplinks or the switch",
        ),
        (
            "rail-optimized",
            "accelerators: 8, nics: 8, count: 64",
            "leaf: sn4600c",
            "fabric.yaml:5: network.leaf: a cable is faster than a port of sn4600c; found: 400 Gb/s a cable; "
            "allowed: at most 100 Gb/s; fix: choose a faster switch, or give the NIC more ports with nic_ports",
        ),
        (
            "rail-optimized",
            "accelerators: 8, nics: 8, count: 64",
            "leaf: qm9700, rails: 3",
            "fabric.yaml:5: network.rails: the NICs do not divide into the rails; found: 8 NICs, 3 rails; "
            "allowed: a number of rails that divides the NICs of a host",
        ),
        (
            "rail-optimized",
            "accelerators: 8, nics: 8, count: 8",
            "leaf: qm9700, tiers: 1, rails: 2, leaf_links: 40",
            "fabric.yaml:5: network.leaf_links: a leaf has too few ports; "
            "found: 32 ports for hosts and 40 to 1 other leaves; allowed: 64 ports on qm9700; "
            "fix: use fewer leaf_links, fewer hosts_a_leaf, or tiers: 2",
        ),
        ("rail-optimized", "accelerators: 8, nics: 8, count: 8", "leaf: qm9700, tiers: 2, leaf_links: 4", None),
        ("leaf-spine", "accelerators: 8, nics: 8, count: 64", "leaf: h100-sxm", None),
        ("leaf-spine", "accelerators: 8, nics: 8, count: 64", "leaf: qm9700, planes: by-rail", None),
        ("leaf-spine", "accelerators: 8, nics: 0, count: 64", "leaf: qm9700", None),
        ("rail-optimized", "accelerators: 8, nics: 8, count: 0", "leaf: qm9700", None),
        ("rail-optimized", "accelerators: 8, nics: 8, count: 4", "leaf: qm9700, oversubscription: -1", None),
        ("rail-optimized", "accelerators: 8, nics: 8, count: 4", "leaf: qm9700, oversubscription: 4:0", None),
        ("rail-optimized", "accelerators: 8, nics: 8, count: 4", "leaf: qm9700, tiers: 4", None),
    ],
)
def test_what_cannot_be_built(kind: str, hosts: str, network: str, message: str | None) -> None:
    with pytest.raises(InputError) as caught:
        design(kind, hosts, network)
    assert caught.value.message.startswith("fabric.yaml:")
    if message is not None:
        assert caught.value.message == message


def test_a_scale_up_switch_that_is_too_small() -> None:
    with pytest.raises(InputError) as caught:
        fabric_from(
            "schema_version: 1\nkind: nvl-rack\nname: t\n"
            "racks: {count: 1, part: gb200-tray, scale_up: {switches: 9, switch: nvlink-5-switch}}\n"
            "network: {leaf: qm9700}\n"
        )
    assert caught.value.message == (
        "fabric.yaml:4: racks.scale_up.switches: a scale-up switch has too few ports; "
        "found: 72 accelerators with 800 Gb/s each need 144 ports; "
        "allowed: 72 ports of 400 Gb/s on nvlink-5-switch; fix: give the domain more switches, or make it smaller"
    )


@settings(max_examples=40, deadline=None)
@given(
    hosts=st.integers(1, 200),
    nics=st.sampled_from([1, 2, 4, 8]),
    hosts_a_leaf=st.integers(1, 32),
    tiers=st.sampled_from([2, 3]),
    kind=st.sampled_from(["rail-optimized", "leaf-spine"]),
)
def test_no_switch_has_more_cables_than_ports(hosts: int, nics: int, hosts_a_leaf: int, tiers: int, kind: str) -> None:
    if kind == "leaf-spine":
        hosts_a_leaf = min(hosts_a_leaf, 32 // nics)
    try:
        fabric = design(
            kind,
            f"accelerators: {nics}, nics: {nics}, count: {hosts}",
            f"leaf: qm9700, hosts_a_leaf: {hosts_a_leaf}, tiers: {tiers}",
        )
    except InputError:
        return
    scale_out = fabric.link_kind == LinkKind.SCALE_OUT
    degree = np.bincount(fabric.link_source[scale_out], minlength=fabric.num_nodes)
    assert degree[fabric.node_kind == NodeKind.SWITCH].max() <= 64
    assert counts(fabric)["nic_leaf"] == hosts * nics
    # every leaf has as much up as down when full, so full bisection: uplinks of a leaf = its cables down
    leaves = np.flatnonzero(fabric.node_tier == 1)
    up = np.bincount(fabric.link_source[fabric.link_tier == 2], minlength=fabric.num_nodes)[leaves]
    assert set(up.tolist()) == {hosts_a_leaf * (nics if kind == "leaf-spine" else 1)}


@pytest.mark.parametrize(("bundles", "spines"), [("auto", 16), ("whole", 16), ("fewest-spines", 12)])
def test_bundles_are_whole_or_spines_the_fewest(bundles: str, spines: int) -> None:
    # DGX H100, three units: 24 leaves × 32 up on 64 ports: 12 spines would do, 16 divide 32
    fabric = fabric_from(
        "schema_version: 1\nkind: rail-optimized\nname: t\nhosts: {part: dgx-h100, count: 96}\n"
        f"network: {{leaf: qm9700, tiers: 2, bundles: {bundles}}}\n"
    )
    assert counts(fabric)["spines"] == spines
    assert any("bundles differ by one cable" in text for text in fabric.assumptions) == (spines == 12)


def test_whole_bundles_may_be_dear() -> None:
    # 18 leaves of 25 up on 64 ports: 8 spines would do, 25 divide 25: auto takes 8
    text = (
        "schema_version: 1\nkind: leaf-spine\nname: t\n"
        "hosts: {accelerator: h100-sxm, accelerators: 1, nic: connectx-7-400g, nics: 1, count: 450}\n"
        "network: {leaf: qm9700, tiers: 2, hosts_a_leaf: 25, uplinks: 25, bundles: BUNDLES}\n"
    )
    assert counts(fabric_from(text.replace("BUNDLES", "auto")))["spines"] == 8
    assert counts(fabric_from(text.replace("BUNDLES", "whole")))["spines"] == 25


def test_pods_of_rails_are_joined_by_the_cores() -> None:
    # 4 hosts on leaves of 2, two rails: a rail has 2 leaves of 2 up on 2 spines of its own, 2 up each to 4 cores of 2
    # groups. Hosts meet on their rail at the spine; other rails are reached over the cores.
    fabric = fabric_from(
        "schema_version: 1\nkind: rail-optimized\nname: t\n"
        "hosts: {accelerator: h100-sxm, accelerators: 2, nic: connectx-7-400g, nics: 2, count: 4}\n"
        "network: {leaf: qm9700, tiers: 3, hosts_a_leaf: 2, pods: by-rail, spines: 2, spine_uplinks: 2}\n"
    )
    found = counts(fabric)
    assert (found["leaves"], found["spines"], found["leaf_spine"], found["spine_core"]) == (4, 4, 8, 8)
    assert fabric.num_pods == 1

    def hops(a: str, b: str) -> int:
        flows = router_for(fabric).route([fabric.node_idx(a)], [fabric.node_idx(b)], Ecmp(seed=1))
        return int(flows.link.size)

    assert hops("h0000/nic0", "h0003/nic0") == 4
    assert hops("h0000/nic0", "h0003/nic1") == 6
    assert all(fabric.node_names[i].startswith("rail000/") for i in above(fabric, "leaf-g001-r0"))


def above(fabric: Fabric, switch: str) -> list[int]:
    links = (fabric.link_source == fabric.node_idx(switch)) & (fabric.link_tier == 2)
    return [int(i) for i in np.unique(fabric.link_target[links])]


@pytest.mark.parametrize("more", ["tiers: 2", "tiers: 3, planes: by-rail", "tiers: 3, leaf_groups_a_pod: 1"])
def test_pods_of_rails_need_three_tiers_of_one_plane(more: str) -> None:
    with pytest.raises(InputError, match=r"network.pods: pods cannot be rails here"):
        fabric_from(
            "schema_version: 1\nkind: rail-optimized\nname: t\nhosts: {part: dgx-h100, count: 64}\n"
            f"network: {{leaf: qm9700, pods: by-rail, {more}}}\n"
        )
