"""Slurm's topology files from fabrics, and what is found wrong with broken ones."""

from __future__ import annotations

import pytest
import yaml

from planner.slurm.room import build_room
from planner.slurm.slurm_fabric import fabric_of_room
from tests.planner.slurm.fake_slurm import FakeSlurm
from topologies.errors import InputError
from topologies.fabric import Fabric
from topologies.files.fabric_file import load_fabric
from topologies.formats.slurm_files import (
    blocks_of_fabric,
    check_topology_conf,
    conf_text,
    tree_of_fabric,
    yaml_text,
)
from topologies.hostlist import expand_hosts


def small() -> Fabric:
    """4 leaves of 4 hosts under one core."""
    snapshot = FakeSlurm().snapshot()
    return fabric_of_room(build_room(snapshot.nodes, snapshot.topology))


def test_a_tree_is_written_to_the_letter() -> None:
    lines = [line for line in conf_text(tree_of_fabric(small())).splitlines() if not line.startswith("#")]
    assert lines == [
        "SwitchName=leaf0 Nodes=gpu[0001-0004]",
        "SwitchName=leaf1 Nodes=gpu[0005-0008]",
        "SwitchName=leaf2 Nodes=gpu[0009-0012]",
        "SwitchName=leaf3 Nodes=gpu[0013-0016]",
        "SwitchName=core Switches=leaf0,leaf1,leaf2,leaf3",
    ]


def test_blocks_are_written_with_sizes_that_double() -> None:
    lines = [line for line in conf_text(blocks_of_fabric(small())).splitlines() if not line.startswith("#")]
    assert lines[0] == "BlockName=leaf001 Nodes=gpu[0001-0004]"
    assert lines[-1] == "BlockSizes=4,8,16"
    with pytest.raises(InputError, match="block sizes do not fit"):
        blocks_of_fabric(small(), block_sizes=[4, 12])
    with pytest.raises(InputError, match="block sizes do not fit"):
        blocks_of_fabric(small(), block_sizes=[8])


@pytest.mark.parametrize("kind", ["tree", "block"])
def test_yaml_has_the_shape_of_slurms_own(kind: str) -> None:
    plan = tree_of_fabric(small()) if kind == "tree" else blocks_of_fabric(small())
    [topology] = yaml.safe_load(yaml_text(plan))
    assert topology["cluster_default"] is True
    if kind == "tree":
        by_name = {entry["switch"]: entry for entry in topology["tree"]["switches"]}
        assert by_name["core"]["children"] == "leaf0,leaf1,leaf2,leaf3"
        assert by_name["leaf2"]["nodes"] == "gpu[0009-0012]"
    else:
        assert topology["block"]["block_sizes"] == [4, 8, 16]
        assert topology["block"]["blocks"][3] == {"block": "leaf004", "nodes": "gpu[0013-0016]"}


@pytest.mark.parametrize("name", ["dgx-h100-superpod-4su", "gb200-nvl72-8-racks", "dragonfly-plus-1024"])
def test_every_host_of_a_catalogue_fabric_is_in_the_file_once(name: str) -> None:
    fabric = load_fabric(name)
    for plan in (tree_of_fabric(fabric), blocks_of_fabric(fabric)):
        text = conf_text(plan)
        hosts = [
            host
            for line in text.splitlines()
            if " Nodes=" in line
            for host in expand_hosts(line.partition(" Nodes=")[2])
        ]
        assert len(hosts) == len(set(hosts)) == fabric.num_hosts


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            "SwitchName=a Nodes=n[1-2]\nSwitchName=b Nodes=n[2-3]\nSwitchName=c Switches=a,b\n",
            "n2 is under a and under b",
        ),
        ("SwitchName=a Nodes=n1\nSwitchName=a Nodes=n2\n", "stands there twice"),
        ("SwitchName=a Nodes=n1\nSwitchName=c Switches=a,z\n", "z is under c and is not defined"),
        ("SwitchName=a Switches=b\nSwitchName=b Switches=a\n", "ring"),
        ("SwitchName=a\n", "neither nodes nor switches"),
        ("SwitchName=a Nodes=n[1-\n", "not a Slurm host list"),
        ("Nodes=n1\n", "neither a switch nor a block"),
        (
            "SwitchName=a Nodes=n1\nSwitchName=b Nodes=n2\nSwitchName=c Switches=a\nSwitchName=d Switches=b\n",
            "2 trees do not meet",
        ),
        ("SwitchName=a Nodes=n[1-2]\n", "1 nodes are in no switch or block: n3"),
        ("SwitchName=a Nodes=n[1-4]\n", "1 nodes are not Slurm's: n4"),
    ],
)
def test_broken_files_are_told_in_words(text: str, said: str) -> None:
    assert any(said in fault for fault in check_topology_conf(text, known={"n1", "n2", "n3"}))
