"""Slurm's topologies of 22.05 and 26.05, as files and as scontrol prints them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.topologies.fabrics import counts
from tests.topologies.formats.texts import DATA, SLURM, refusal, source
from topologies.errors import InputError
from topologies.fabric import Fabric
from topologies.files.fabric_file import load_fabric
from topologies.formats.importing import export_fabric, import_fabric, import_sources
from topologies.formats.registry import ReadOptions
from topologies.units import to_gbps

TREE = """# three leaves of two pods, of differing depth
SwitchName=core Switches=pod[1-2]
SwitchName=pod1 Switches=leaf1,leaf2
SwitchName=pod2 Nodes=n[7-9] LinkSpeed=100
SwitchName=leaf1 \\
    Nodes=n[1-3]
switchname=leaf2 NODES=n[4-6]
"""


def groups(fabric: Fabric) -> list[list[str]]:
    """Return the hosts of each leaf group."""
    found: dict[int, list[str]] = {}
    for host in range(fabric.num_hosts):
        found.setdefault(int(fabric.host_leaf_group[host]), []).append(fabric.host_names[host])
    return list(found.values())


def test_a_tree_of_differing_depth() -> None:
    imported = import_sources([source(TREE)])
    fabric = imported.fabric
    assert imported.format == "slurm-conf"
    assert groups(fabric) == [["n7", "n8", "n9"], ["n1", "n2", "n3"], ["n4", "n5", "n6"]]
    tier = {fabric.node_names[i]: int(fabric.node_tier[i]) for i in range(fabric.num_nodes) if fabric.node_tier[i]}
    assert tier == {"leaf1": 1, "leaf2": 1, "pod2": 1, "pod1": 2, "core": 3}
    uplink = {fabric.link_name(i): float(to_gbps(fabric.link_capacity_bytes_per_s[i])) for i in range(fabric.num_links)}
    assert uplink["leaf1 → pod1"] == 3 * 8 * 400 / 2  # three hosts of eight, oversubscribed 2:1
    assert uplink["pod1 → core"] == 2 * uplink["leaf1 → pod1"]
    assert any("LinkSpeed" in text for text in imported.left_out)


@pytest.mark.parametrize("name", ["22.05_scontrol_show_topology.txt", "26.05_scontrol_show_topology_tree_ib.txt"])
def test_scontrol_show_topology_of_trees(name: str) -> None:
    fabric = import_fabric([SLURM / name]).fabric
    sizes = [len(group) for group in groups(fabric)]
    assert sizes == ([8] * 8 if name.startswith("22") else [18] * 8)
    found = counts(fabric)
    assert (found["leaves"], found["spines"], found["cores"]) == ((8, 2, 1) if name.startswith("22") else (8, 1, 0))


def test_the_nodes_file_tells_the_accelerators() -> None:
    nodes = SLURM / "22.05_scontrol_show_nodes.txt"
    imported = import_fabric([SLURM / "22.05_scontrol_show_topology.txt", nodes])
    assert imported.fabric.num_accelerators == 64 * 8
    assert any("on 60 hosts that the nodes' file does not have" in guess for guess in imported.guesses)
    alone = import_fabric([SLURM / "22.05_scontrol_show_nodes_oneline.txt"])
    assert list(alone.fabric.host_names) == ["gpu0001", "gpu0002", "gpu0003"]
    assert not any("accelerators a host" in guess for guess in alone.guesses)


def test_the_gpu_type_names_the_part() -> None:
    nodes = (
        "NodeName=a State=IDLE Gres=gpu:gb200:4(S:0-1)\nNodeName=b State=IDLE Gres=gpu:gb200:4\nNodeName=c State=IDLE\n"
    )
    imported = import_sources([source(nodes)])
    assert [part.id for part in imported.fabric.parts] == ["gb200"]
    assert imported.fabric.num_accelerators == 8
    assert imported.left_out == ("1 nodes without accelerators",)


@pytest.mark.parametrize("name", ["26.05_scontrol_show_topology_block.txt", "26.05_topology.yaml"])
def test_blocks_of_72_are_scale_up_domains(name: str) -> None:
    imported = import_fabric([SLURM / name], options=ReadOptions(accelerators=4))
    fabric = imported.fabric
    assert (fabric.num_hosts, fabric.num_domains) == (144, 8)
    assert any("NVL72" in guess for guess in imported.guesses)
    assert any("block sizes 18, 36, 72" in text for text in imported.left_out)
    by_host = import_fabric([SLURM / name], options=ReadOptions(accelerators=8)).fabric
    assert by_host.num_domains == 144


def test_one_of_several_topologies_is_chosen() -> None:
    path = SLURM / "26.05_scontrol_show_topoconf.yaml"
    assert import_fabric([path]).fabric.name == "blk"
    chosen = import_fabric([path], options=ReadOptions(topology="ib"))
    assert (chosen.fabric.name, chosen.format) == ("ib", "slurm-yaml")
    assert chosen.left_out == ("topology blk; choose it by --topology",)
    with pytest.raises(InputError, match=r"no such topology in the file.*allowed: blk, ib"):
        import_fabric([path], options=ReadOptions(topology="tree"))


def test_a_flat_topology_needs_the_nodes() -> None:
    flat = source("- topology: all\n  cluster_default: true\n  flat: true\n", "topology.yaml")
    with pytest.raises(InputError, match="flat topology names no nodes"):
        import_sources([flat])
    nodes = source("NodeName=a State=IDLE Gres=gpu:8\nNodeName=b State=IDLE Gres=gpu:8\n")
    assert import_sources([flat, nodes]).fabric.num_accelerators == 16


@pytest.mark.parametrize("format", ["slurm-conf", "slurm-yaml"])
@pytest.mark.parametrize("topology", ["tree", "block"])
@pytest.mark.parametrize("name", ["dgx-h100-superpod-2su", "gb200-nvl72-8-racks", "leaf-spine-4to1"])
def test_what_is_written_is_read_back(format: str, topology: str, name: str) -> None:
    design = load_fabric(name)
    first = export_fabric(design, format, topology=topology)
    assert "rates, latencies and number of cables" in first.losses
    again = import_sources([source(first.text, "t.yaml")], options=ReadOptions(accelerators=4))
    second = export_fabric(again, format, topology=topology)
    third = import_sources([source(second.text, "t.yaml")], options=ReadOptions(accelerators=4))
    assert third.fabric.fingerprint == again.fabric.fingerprint or third.fabric.name != again.fabric.name
    wanted = (
        groups(design)
        if topology == "tree" or design.num_domains == design.num_hosts
        else [[h for h in design.host_names if design.host_domain[design.host_idx(h)] == d] for d in range(8)]
    )
    assert sorted(groups(again.fabric)) == sorted(wanted)
    assert sorted(groups(third.fabric)) == sorted(wanted)


def test_a_tree_keeps_its_switches_when_written() -> None:
    fabric = import_sources([source(TREE)]).fabric
    text = export_fabric(fabric, "slurm-conf").text
    again = import_sources([source(text)]).fabric
    assert sorted(n for n in again.node_names if "/" not in n) == ["core", "leaf1", "leaf2", "pod1", "pod2"]
    assert "SwitchName=pod1 Switches=leaf1,leaf2" in text


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("SwitchName=a Nodes=n[1-2]\nSwitchName=b Nodes=n2\n", "file.txt:2: n2 is under a and under b"),
        ("SwitchName=a Nodes=n1\nSwitchName=a Nodes=n2\n", "file.txt:2: two of one name: a; found: also on line 1"),
        ("SwitchName=a Nodes=n1\nSwitchName=b Switches=a,c\n", "file.txt:2: switch c is not defined"),
        ("SwitchName=l Nodes=n1\nSwitchName=a Switches=b\nSwitchName=b Switches=a\n", "ring of switches"),
        ("SwitchName=a Nodes=n[1-\n", "file.txt:1: not a Slurm host list"),
        ("SwitchName=a Nodes=n1\nSwitchName=b\n", "file.txt:2: b has neither nodes nor switches"),
        ("SwitchName=a Nodes=n1\nBlockName=b Nodes=n2\n", "file.txt:2: switches and blocks in one topology"),
        ("SwitchName=a Node=n1\n", "file.txt:1: not a word of topology.conf; found: 'Node=n1'"),
        ("SwitchName=a Nodes=n[1-999999]\n", "file.txt:1: not a Slurm host list"),
        ("BlockName=a Nodes=n1\nBlockSizes=2,x\n", "file.txt:2: not a block size"),
    ],
)
def test_faults_name_their_line(text: str, words: str) -> None:
    with pytest.raises(InputError) as caught:
        import_sources([source(text)])
    assert words in caught.value.message


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (
            "- topology: a\n  tree:\n    switches:\n      - switch: s\n        nods: n1\n",
            "t.yaml:5: [0].tree.switches[0].nods",
        ),
        ("- topology: a\n  tree:\n    switches:\n      - switch: s\n        nodes: n[\n", "t.yaml:4"),
        ("- topology: a\n  ring: {rings: 1}\n", "a topology of this kind is not read; found: ring"),
        ("- topology: a\n  block: {blocks: [], block_sizes: [x]}\n", "not block sizes"),
        ("- topology: a\n  tree: 7\n", "tree has no list switches"),
    ],
)
def test_yaml_faults_name_their_line(text: str, words: str) -> None:
    with pytest.raises(InputError) as caught:
        import_sources([source(text, "t.yaml")])
    assert words in caught.value.message


def test_two_topologies_are_not_one(tmp_path: Path) -> None:
    (tmp_path / "a.conf").write_text("SwitchName=a Nodes=n1\n")
    (tmp_path / "b.yaml").write_text("- topology: a\n  flat: true\n")
    with pytest.raises(InputError, match="several fabrics at once"):
        import_fabric([tmp_path])


LINES = st.lists(
    st.sampled_from(
        ["SwitchName=a Nodes=n1", "SwitchName=b Switches=a", "BlockName=c Nodes=n[2-4]", "BlockSizes=1,2", "Level=0"]
    )
    | st.text("SwitchNameodes=[]-,1\\# \t", max_size=40),
    max_size=6,
)


@given(LINES)
@settings(max_examples=150, deadline=None)
def test_any_lines_are_read_or_refused(lines: list[str]) -> None:
    assert "\n" not in refusal("\n".join(lines), "slurm-conf", options=ReadOptions(accelerators=1))


def test_every_command_that_takes_a_fabric_takes_these_files(tmp_path: Path) -> None:
    path = tmp_path / "topology.conf"
    path.write_text(TREE)
    assert load_fabric(path).num_hosts == 9
    assert load_fabric(SLURM / "26.05_topology.yaml").num_hosts == 144
    path.write_text("kind: leaf-spine\nname: x\n")
    with pytest.raises(InputError, match="schema_version"):
        load_fabric(path)


def test_hosts_that_do_not_match_are_left_out_with_their_switches() -> None:
    imported = import_sources([source(TREE)], options=ReadOptions(hosts="^n[1-36]$"))
    assert groups(imported.fabric) == [["n1", "n2", "n3"], ["n6"]]
    assert "pod2" not in list(imported.fabric.node_names)
    assert "5 hosts that --hosts ^n[1-36]$ does not match" in imported.left_out
    with pytest.raises(InputError, match="no host matches"):
        import_sources([source(TREE)], options=ReadOptions(hosts="^x"))


@pytest.mark.parametrize("gres", ["gpu:gb200:4(S:0-1)", "gpu:4"])
def test_nodes_as_json(gres: str) -> None:
    nodes = [{"name": f"n{i}", "hostname": "vm", "gres": gres, "state": ["IDLE"]} for i in range(3)]
    text = json.dumps({"meta": {}, "errors": [], "nodes": [*nodes, {"name": "login", "gres": ""}]})
    imported = import_sources([source(text, "nodes.json")])
    assert (imported.format, imported.fabric.num_accelerators) == ("slurm-nodes", 12)
    assert [part.id for part in imported.fabric.parts] == (["gb200"] if "gb200" in gres else [])
    assert imported.left_out == ("1 nodes without accelerators",)
    assert "nodes[0]: not a node" in refusal(text.replace('"n0"', "7"), "slurm-nodes")
    assert "no list of nodes" in refusal('{"nodes": {}, "gres": 1}', "slurm-nodes")


@pytest.mark.parametrize(
    ("name", "hosts", "gpus"),
    [("22.05_rest_v0.0.38_nodes.json", 2, 16), ("26.05_scontrol_show_nodes_gpu0001___json.json", 1, 4)],
)
def test_real_nodes_as_json(name: str, hosts: int, gpus: int) -> None:
    fabric = import_fabric([DATA / "slurm" / name]).fabric
    assert (fabric.num_hosts, fabric.num_accelerators) == (hosts, gpus)
    assert fabric.host_names[0] == "gpu0001"
