"""mixed and tree, with counts worked out by hand."""

import numpy as np
import pytest

from tests.topologies.fabrics import counts, fabric_from
from topologies.errors import InputError

#  h100: 40 hosts, 8 rails, 32 a leaf: 2 groups × 8 leaves, 32 × 400G up
#  nvl:   2 racks × 18 trays, 4 rails, 18 a leaf: 2 groups × 4 leaves, 18 × 400G up
#  amd:   8 hosts × 8 NICs of 400G on a 64 × 800G leaf: all 8 on one leaf: 64 NICs = 32 ports, 32 × 400G up
MIXED = """\
schema_version: 1
kind: mixed
name: pools
pools:
  - {name: h100, hosts: {part: dgx-h100, count: 40}, leaf: qm9700}
  - name: nvl
    hosts: {part: gb200-tray, count: 36, a_rack: 18, scale_up: {switches: 18, switch: nvlink-5-switch}}
    hosts_a_domain: 18
    leaf: qm9700
  - {name: amd, layout: leaf-spine, hosts: {part: azure-nd-mi300x-v5, count: 8}, leaf: sn5600, hosts_a_leaf: 4}
spines: {part: qm9700}
"""


def test_pools_behind_one_layer_of_spines() -> None:
    # leaves: 16 with 32 up, 8 with 18 up, 2 with 32 up: 512 + 144 + 64 = 720 cables. Spines divide 32 and 18: 1 or 2,
    # too few; the fewest of any number are 720 ÷ 64 → 12: 43 + 12 + 6 = 61 ports.
    fabric = fabric_from(MIXED)
    found = counts(fabric)
    assert found == {
        "hosts": 84,
        "accelerators": 40 * 8 + 36 * 4 + 8 * 8,
        "leaves": 26,
        "spines": 12,
        "cores": 0,
        "nic_leaf": 40 * 8 + 36 * 4 + 8 * 8,
        "leaf_spine": 720,
        "spine_core": 0,
    }
    assert "The bundles between leaves and the 12 spines differ by one cable." in fabric.assumptions
    spines = np.flatnonzero(fabric.node_tier == 2)
    used = np.bincount(fabric.link_source[fabric.link_tier == 2], minlength=fabric.num_nodes)[spines]
    assert used.tolist() == [60] * 12
    assert fabric.num_domains == 40 + 2 + 8
    assert {p.id for p in fabric.parts} >= {"h100-sxm", "gb200", "mi300x", "qm9700", "sn5600"}
    assert fabric.host_names[0] == "h100-0000"
    assert fabric.host_names[-1] == "amd-0007"
    assert fabric.rack_names[0] == "nvl-rack000"


def test_even_pools() -> None:
    text = MIXED.replace("hosts_a_domain: 18", "hosts_a_domain: 18\n    uplinks: 32")
    # all leaves have 32 up: 26 × 32 = 832 cables, 13 spines; 16 divide 32
    found = counts(fabric_from(text))
    assert (found["spines"], found["leaf_spine"]) == (16, 832)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            ("name: nvl", "name: h100"),
            "fabric.yaml:6: pools[1].name: two pools of one name; found: h100; fix: rename one",
        ),
        (
            ("spines: {part: qm9700}", "spines: {part: qm9700, count: 8}"),
            "fabric.yaml:11: spines.count: the number of spines does not fit; found: 8 spines need 90 ports each; "
            "allowed: 12 to 18; fix: change count, or the uplinks of the pools",
        ),
        (
            ("part: gb200-tray", "part: gb200-trey"),
            None,
        ),
        (
            ("spines: {part: qm9700}", "spines: {part: qm970}"),
            None,
        ),
        (
            ("leaf: sn5600, hosts_a_leaf: 4", "leaf: sn5600, hosts_a_leaf: 16"),
            "fabric.yaml:10: pools[2].hosts_a_leaf: a leaf has too few ports; "
            "found: 64 ports for 128 cables down and 64 for 128 up, 128 in all; allowed: 64 ports on sn5600; "
            "fix: put fewer hosts on a leaf, or choose another switch or oversubscription",
        ),
    ],
)
def test_pools_that_cannot_be(change: tuple[str, str], message: str | None) -> None:
    text = MIXED.replace(*change)
    assert text != MIXED
    with pytest.raises(InputError) as caught:
        fabric_from(text)
    assert caught.value.message.startswith("fabric.yaml:")
    if message is not None:
        assert caught.value.message == message


#            core
#     2 ╱     │ 4      ╲ 1 cable each, 400G
#    a[0-1]   b         c          a: 8 hosts each; c: 2 hosts
#             │ 1
#            b/d[0-2]              4 hosts each
TREE = """\
schema_version: 1
kind: tree
name: grown
root:
  names: core
  part: qm9700
  children:
    - {names: "a[0-1]", part: qm9700, uplinks: 2, hosts: [{part: dgx-h100, count: 7}]}
    - names: b
      part: qm9700
      uplinks: 4
      children:
        - names: "d[0-2]"
          part: qm9700
          hosts: [{accelerator: a100-sxm-80g, accelerators: 4, nic: ethernet-200g, nics: 1, count: 4}]
    - {names: c, part: qm9700, hosts: [{part: dgx-h100, count: 2}]}
"""


def test_a_tree_of_differing_depth() -> None:
    fabric = fabric_from(TREE)
    assert fabric.num_hosts == 2 * 7 + 3 * 4 + 2
    tiers = {fabric.node_names[i]: int(fabric.node_tier[i]) for i in np.flatnonzero(fabric.node_tier)}
    assert tiers == {
        "core": 3,
        "core/a0": 1,
        "core/a1": 1,
        "core/b": 2,
        "core/b/d0": 1,
        "core/b/d1": 1,
        "core/b/d2": 1,
        "core/c": 1,
    }
    switch = fabric.node_tier > 0
    cables = switch[fabric.link_source] & switch[fabric.link_target]
    assert cables.sum() == 2 * (2 * 2 + 4 + 3 + 1)
    assert fabric.host_idx("core/b/d2/h003") == 2 * 7 + 11
    nic = fabric.node_idx("core/b/d2/h003/nic0")
    mine = (fabric.link_source == nic) & (fabric.link_target == fabric.node_idx("core/b/d2"))
    assert fabric.link_capacity_bytes_per_s[mine].tolist() == [25e9]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            ("names: core", 'names: "core[0-1]"'),
            "fabric.yaml:5: root.names: a tree has one root; found: 2 names; allowed: 1",
        ),
        (
            ("count: 7", "count: 9"),
            "fabric.yaml:8: root.children[0].part: a switch has too few ports; found: 74 ports used on core/a0; "
            "allowed: 64 ports of 400 Gb/s on qm9700; fix: hang less below it, or choose a switch with more ports",
        ),
        (
            ("uplinks: 4", "uplinks: 0"),
            "fabric.yaml:11: root.children[1].uplinks: out of range; found: 0; allowed: above 0",
        ),
        (
            ("names: c,", 'names: "a1",'),
            "fabric.yaml:16: root.children[2].names: two switches of one name; found: core/a1; fix: rename one",
        ),
    ],
)
def test_trees_that_cannot_be(change: tuple[str, str], message: str) -> None:
    text = TREE.replace(*change)
    assert text != TREE
    with pytest.raises(InputError) as caught:
        fabric_from(text)
    assert caught.value.message == message
