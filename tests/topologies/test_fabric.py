r"""The compiled fabric, on a drawing small enough to count by hand.

 spine0   spine1            tier 2, pod labels none
  |  \   /  |
  |   \ /   |               400 Gbit/s each
  |   / \   |
 leaf0    leaf1             tier 1
 /   \    /   \             100 Gbit/s
h0   h1  h2   h3            2 accelerators, 1 NIC each; h3 has no scale-up link
"""

from dataclasses import fields

import numpy as np
import pytest

from topologies.builder import FabricBuilder
from topologies.errors import InputError
from topologies.fabric import Fabric, LinkKind, NodeKind
from topologies.names import Names, NameTemplate


def small() -> FabricBuilder:
    builder = FabricBuilder("small")
    for i in range(4):
        builder.add_host(f"h{i}", accelerators=2, nics=1, host_link_bytes_per_s=64e9, rack=f"r{i // 2}")
    for name in ("leaf0", "leaf1", "spine0", "spine1"):
        builder.add_switch(name)
    for i in range(3):
        builder.connect(f"h{i}/gpu0", f"h{i}/gpu1", rate_bytes_per_s=300e9)
    for i in range(4):
        builder.connect(f"h{i}/nic0", f"leaf{i // 2}", rate_bytes_per_s=12.5e9, latency_s=1e-6)
    for leaf in ("leaf0", "leaf1"):
        for spine in ("spine0", "spine1"):
            builder.connect(leaf, spine, rate_bytes_per_s=50e9)
    return builder


@pytest.fixture(scope="module")
def fabric() -> Fabric:
    return small().build()


def test_counts_and_numbering(fabric: Fabric) -> None:
    assert (fabric.num_accelerators, fabric.num_nics, fabric.num_hosts, fabric.num_nodes) == (8, 4, 4, 16)
    # cables: 8 inside hosts (accelerator-NIC), 3 scale-up, 4 to leaves, 4 to spines
    assert fabric.num_links == 2 * (8 + 3 + 4 + 4)
    assert list(fabric.node_kind) == [NodeKind.ACCELERATOR] * 8 + [NodeKind.NIC] * 4 + [NodeKind.SWITCH] * 4
    assert [fabric.node_names[i] for i in (0, 7, 8, 12, 15)] == ["h0/gpu0", "h3/gpu1", "h0/nic0", "leaf0", "spine1"]


def test_the_other_direction_is_next_door(fabric: Fabric) -> None:
    link = np.arange(fabric.num_links)
    assert np.array_equal(fabric.link_source[link ^ 1], fabric.link_target)
    assert np.array_equal(fabric.link_kind[link ^ 1], fabric.link_kind)


def test_tiers_are_found_by_distance(fabric: Fabric) -> None:
    assert list(fabric.node_tier[12:]) == [1, 1, 2, 2]
    assert np.bincount(fabric.link_tier[fabric.link_kind == LinkKind.SCALE_OUT]).tolist() == [0, 8, 8]


def test_locality(fabric: Fabric) -> None:
    assert fabric.host_leaf_group.tolist() == [0, 0, 1, 1]
    assert fabric.accelerator_domain.tolist() == [0, 0, 1, 1, 2, 2, 3, 4]  # h3's two have no scale-up link
    assert fabric.accelerator_nic.tolist() == [8, 8, 9, 9, 10, 10, 11, 11]
    assert fabric.accelerator_leaf.tolist() == [12] * 4 + [13] * 4
    assert fabric.host_pod.tolist() == [0, 0, 0, 0]
    assert [fabric.rack_names[r] for r in fabric.host_rack] == ["r0", "r0", "r1", "r1"]


def test_arrays_cannot_be_written(fabric: Fabric) -> None:
    for f in fields(fabric):
        value = getattr(fabric, f.name)
        if isinstance(value, np.ndarray):
            with pytest.raises(ValueError, match="read-only"):
                value[...] = 0


def test_networkx_and_back_is_the_same(fabric: Fabric) -> None:
    assert Fabric.from_networkx(fabric.to_networkx()).fingerprint == fabric.fingerprint


def test_fingerprint_sees_a_rate(fabric: Fabric) -> None:
    assert fabric.with_capacity([0], 1e9).fingerprint != fabric.fingerprint


def test_without_a_leaf_cable(fabric: Fabric) -> None:
    cable = next(i for i in range(fabric.num_links) if fabric.link_name(i) == "h3/nic0 → leaf1")
    cut = fabric.without(links=[cable])
    assert cut.num_links == fabric.num_links - 2
    assert cut.accelerator_leaf.tolist()[-2:] == [-1, -1]
    assert cut.accelerator_leaf.tolist()[:6] == fabric.accelerator_leaf.tolist()[:6]


def test_more_nics_than_accelerators_and_fewer() -> None:
    builder = FabricBuilder("nics")
    many = builder.add_hosts(["m"], accelerators=2, nics=4, host_link_bytes_per_s=1e9)
    few = builder.add_hosts(["f"], accelerators=4, nics=2, host_link_bytes_per_s=1e9)
    leaf = builder.add_switches(["leaf"])
    for block in (many, few):
        builder.add_cables(block.nic, leaf[0], rate_bytes_per_s=1e9)
    fabric = builder.build()
    names = [fabric.node_names[n] for n in fabric.accelerator_nic]
    assert names == ["m/nic0", "m/nic2", "f/nic0", "f/nic0", "f/nic1", "f/nic1"]
    assert fabric.accelerator_rail.tolist() == [0, 2, 0, 0, 1, 1]


def test_duplicate_names_are_refused() -> None:
    builder = small()
    builder.add_switch("leaf0")
    with pytest.raises(InputError, match="two nodes in small of one name; found: 'leaf0'"):
        builder.build()


def test_a_host_without_a_leaf_is_named() -> None:
    builder = small()
    builder.add_host("lost", accelerators=1, nics=1, host_link_bytes_per_s=1e9)
    builder.connect("lost/gpu0", "h0/gpu0", rate_bytes_per_s=1e9)
    with pytest.raises(InputError, match="small: lost: a host has no leaf"):
        builder.build()


def test_pieces_are_refused() -> None:
    builder = small()
    builder.add_host("far", accelerators=1, nics=1, host_link_bytes_per_s=1e9)
    builder.add_switch("far-leaf", tier=1)
    builder.connect("far/nic0", "far-leaf", rate_bytes_per_s=1e9)
    with pytest.raises(InputError, match=r"in 2 pieces .* 3 of 19 nodes around 'far/gpu0'"):
        builder.build()


@pytest.mark.parametrize("rate", [0.0, -1.0, float("nan"), float("inf")])
def test_rates_must_be_positive(rate: float) -> None:
    builder = small()
    with pytest.raises(InputError, match="small: leaf0 – leaf1: a link's rate must be a positive number"):
        builder.connect("leaf0", "leaf1", rate_bytes_per_s=rate)


def test_unknown_end_is_refused() -> None:
    with pytest.raises(InputError, match="a link names an unknown node; found: 'leaf9'"):
        small().connect("leaf0", "leaf9", rate_bytes_per_s=1.0)


def test_templates_spell_and_find() -> None:
    names = Names((("a", "b"), NameTemplate("h{:02d}/gpu{}", (3, 2), (5, 0)), ("z",)))
    assert list(names) == ["a", "b", "h05/gpu0", "h05/gpu1", "h06/gpu0", "h06/gpu1", "h07/gpu0", "h07/gpu1", "z"]
    assert [names.find(n) for n in names] == list(range(9))
    assert [names[i] for i in range(9)] == list(names)
    assert names[-1] == "z"
    assert names[2:4] == ["h05/gpu0", "h05/gpu1"]
    for stranger in ("h5/gpu0", "h08/gpu0", "h05/gpu2", "", "h05/gpu00"):
        assert names.find(stranger) is None


@pytest.mark.parametrize(
    ("blocks", "twice"),
    [
        ((("a", "b"), ("a",)), "a"),
        ((NameTemplate("x{}", (20,)), NameTemplate("x1{}", (5,))), "x10"),
        ((NameTemplate("x{}", (3,)), ("x2",)), "x2"),
        ((NameTemplate("x{}", (3,)), NameTemplate("y{}", (3,)), ("x3",)), None),
        ((NameTemplate("x{}", (3,)), NameTemplate("x{}", (3,), (3,))), None),
    ],
)
def test_duplicates_are_found(blocks: tuple[tuple[str, ...] | NameTemplate, ...], twice: str | None) -> None:
    assert Names(blocks).duplicate() == twice
