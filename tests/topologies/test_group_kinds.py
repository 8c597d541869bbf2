"""fat-tree and dragonfly-plus, with counts worked out by hand."""

import networkx as nx
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.topologies.fabrics import counts, fabric_from
from topologies.errors import InputError
from topologies.fabric import Fabric, LinkKind
from topologies.kinds.dragonfly_plus import global_pairs


def fat_tree(k: int, count: int, nics: int = 1) -> Fabric:
    return fabric_from(
        "schema_version: 1\nkind: fat-tree\nname: t\n"
        f"hosts: {{accelerator: h100-sxm, accelerators: {nics}, nic: connectx-7-400g, nics: {nics}, count: {count}}}\n"
        f"network: {{k: {k}, switch: qm9700}}\n"
    )


@pytest.mark.parametrize(("k", "hosts", "edge", "core"), [(4, 16, 8, 4), (8, 128, 32, 16), (16, 1024, 128, 64)])
def test_full_fat_trees(k: int, hosts: int, edge: int, core: int) -> None:
    found = counts(fat_tree(k, hosts))
    assert found == {
        "hosts": hosts,
        "accelerators": hosts,
        "leaves": edge,
        "spines": edge,
        "cores": core,
        "nic_leaf": hosts,
        "leaf_spine": hosts,
        "spine_core": hosts,
    }


def test_the_wiring_of_a_4_ary_fat_tree() -> None:
    fabric = fat_tree(4, 16)
    assert fabric.num_pods == 4
    out = (fabric.link_kind == LinkKind.SCALE_OUT) & (fabric.link_tier > 1)
    graph = nx.Graph()
    for source, target in zip(fabric.link_source[out].tolist(), fabric.link_target[out].tolist(), strict=True):
        graph.add_edge(fabric.node_names[source], fabric.node_names[target])
    assert len(graph.edges) == 32  # no pair is joined twice
    # between edge switches of two pods there are (k/2)² = 4 shortest paths, within a pod k/2 = 2
    paths = nx.all_shortest_paths
    assert len(list(paths(graph, "pod000/edge000", "pod003/edge001"))) == 4
    assert len(list(paths(graph, "pod000/edge000", "pod000/edge001"))) == 2
    assert set(dict(graph.degree(f"core{i:03d}-{j:03d}" for i in range(2) for j in range(2))).values()) == {4}


def test_a_fat_tree_with_free_places() -> None:
    found = counts(fat_tree(8, 10, nics=8))  # 80 cables of 128 places: NICs fill edge switches of 4 in order
    assert (found["leaves"], found["nic_leaf"], found["leaf_spine"]) == (32, 80, 128)


def test_fat_trees_that_do_not_fit() -> None:
    with pytest.raises(InputError) as caught:
        fat_tree(4, 17)
    assert caught.value.message == (
        "fabric.yaml:4: hosts.count: the hosts do not fit; found: 17 cables of 17 hosts; "
        "allowed: 1 to 16, k³/4 for k = 4; fix: use a larger k or fewer hosts"
    )
    with pytest.raises(InputError, match=r"^fabric.yaml:5: network.k: the switch has too few ports; found: k = 66"):
        fat_tree(66, 16)
    with pytest.raises(
        InputError, match=r"^fabric.yaml:5: network.k: out of range; found: 5; allowed: a multiple of 2"
    ):
        fat_tree(5, 16)


def dragonfly(count: int, network: str) -> Fabric:
    return fabric_from(
        "schema_version: 1\nkind: dragonfly-plus\nname: t\n"
        f"hosts: {{accelerator: h100-sxm, accelerators: 4, nic: connectx-7-400g, nics: 4, count: {count}}}\n"
        f"network: {{leaf: qm9700, {network}}}\n"
    )


def test_a_dragonfly_plus_by_hand() -> None:
    # groups of 4 leaves × 8 hosts × 4 NICs and 4 spines, each with 2 global cables: 8 a group.
    # 160 hosts are 5 groups, so 8 ÷ 4 = 2 cables to every other group: 10 pairs × 2 = 20.
    fabric = dragonfly(160, "leaves_a_group: 4, spines_a_group: 4, hosts_a_leaf: 8, global_links_a_spine: 2")
    found = counts(fabric)
    assert (found["leaves"], found["spines"], found["nic_leaf"]) == (20, 20, 640)
    assert found["leaf_spine"] == 5 * 16 + 20
    assert fabric.num_pods == 5
    spine = np.flatnonzero(fabric.node_tier == 2)
    between = np.isin(fabric.link_source, spine) & np.isin(fabric.link_target, spine)
    assert np.bincount(fabric.link_source[between], minlength=fabric.num_nodes)[spine].tolist() == [2] * 20
    pod = fabric.node_pod
    pairs = zip(pod[fabric.link_source[between]].tolist(), pod[fabric.link_target[between]].tolist(), strict=True)
    counted = dict.fromkeys(((a, b) for a in range(5) for b in range(5) if a != b), 0)
    for pair in pairs:
        counted[pair] += 1
    assert set(counted.values()) == {2}


def test_global_cables_left_over_are_stated() -> None:
    fabric = dragonfly(128, "leaves_a_group: 4, spines_a_group: 4, hosts_a_leaf: 8, global_links_a_spine: 2")
    # 4 groups: 8 cables for 3 peers, 2 each and 2 left out
    assert fabric.assumptions[-1] == (
        "2 of the 8 global cables of a group are left out, so that every two groups have the same number."
    )


@given(groups=st.integers(2, 12), spines=st.integers(1, 8), each=st.integers(1, 8))
def test_global_cables_are_even(groups: int, spines: int, each: int) -> None:
    if spines * each < groups - 1:
        return
    pairs, free = global_pairs(groups, spines, each)
    per_pair = (spines * each) // (groups - 1)
    assert free == spines * each - per_pair * (groups - 1)
    assert len(pairs) == per_pair * groups * (groups - 1) // 2
    ends = np.concatenate([pairs[:, :2], pairs[:, 2:]])
    used = np.zeros((groups, spines), int)
    np.add.at(used, (ends[:, 0], ends[:, 1]), 1)
    assert used.max() <= each


def test_dragonflies_that_do_not_fit() -> None:
    with pytest.raises(InputError) as caught:
        dragonfly(320, "leaves_a_group: 4, spines_a_group: 4, hosts_a_leaf: 8, global_links_a_spine: 2")
    assert caught.value.message == (
        "fabric.yaml:5: network.global_links_a_spine: the groups cannot all be linked; "
        "found: 10 groups, 4 spines with 2 global cables each: 8; allowed: at least 9 global cables a group; "
        "fix: use more global_links_a_spine, or larger groups"
    )
    with pytest.raises(InputError) as caught:
        dragonfly(320, "leaves_a_group: 4, spines_a_group: 4, hosts_a_leaf: 16, global_links_a_spine: 2")
    assert caught.value.message == (
        "fabric.yaml:5: network.leaf: a leaf has too few ports; found: 64 cables down and 4 up need 68 ports; "
        "allowed: 64 ports on qm9700; fix: use smaller groups, fewer links or a switch with more ports"
    )
