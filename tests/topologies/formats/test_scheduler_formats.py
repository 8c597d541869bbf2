"""Topograph in and out, Kueue and Volcano out: groups of hosts, by hand and on designs."""

from __future__ import annotations

import json
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.topologies.formats.texts import refusal, source
from topologies.errors import InputError
from topologies.fabric import Fabric
from topologies.files.fabric_file import load_fabric
from topologies.formats.importing import export_fabric, import_sources
from topologies.formats.registry import ReadOptions

#          core
#         /    \
#     spine1  spine2
#     /   \      |
#  leaf1 leaf2 leaf3        n1, n2 | n3, n4 | n5, n6; domains of two hosts
GRAPH = {
    "instances": [
        {"id": f"n{i}", "type": "GB200", "network_layers": layers, "attributes": {"nvlink": f"nvl{(i + 1) // 2}"}}
        for i, layers in enumerate(
            [["leaf1", "spine1", "core"]] * 2 + [["leaf2", "spine1", "core"]] * 2 + [["leaf3", "spine2", "core"]] * 2, 1
        )
    ]
}
MODEL = """\
switches:
  core: {switches: [spine1, spine2]}
  spine1: {metadata: {region: x}, switches: [leaf1, leaf2]}
  spine2: {switches: [leaf3, empty]}
  leaf1: {nodes: ["n[1-2]"]}
  leaf2: {nodes: [n3, n4]}
  leaf3: {nodes: ["n[5-6]"]}
  empty: {}
capacity_blocks:
  cb1: {nodes: ["n[1-2]"], attributes: {nvlink: nvl1}}
  cb2: {nodes: [n3, n4], attributes: {nvlink: nvl2}}
  cb3: {nodes: ["n[5-6]"], attributes: {nvlink: nvl3}}
"""
OLD_MODEL = """\
switches:
- name: core
  switches: [spine1, spine2]
- name: spine1
  switches: [leaf1, leaf2]
- {name: spine2, switches: [leaf3]}
- {name: leaf1, capacity_blocks: [cb1]}
- {name: leaf2, capacity_blocks: [cb2]}
- {name: leaf3, capacity_blocks: [cb3]}
capacity_blocks:
- {name: cb1, type: GB200, nvlink: nvl1, nodes: [n1, n2]}
- {name: cb2, type: GB200, nvlink: nvl2, nodes: [n3, n4]}
- {name: cb3, type: GB200, nvlink: nvl3, nodes: [n5, n6]}
"""
NEW_MODEL = """\
switches:
  core: {switches: [spine1, spine2]}
  spine1: {switches: [leaf1, leaf2]}
  spine2: {switches: [leaf3]}
blocks:
- {switch: leaf1, nodes: ["n[1-2]"], labels: {accelerated.topology.nvidia.com/level-0: nvl1}}
- {switch: leaf2, nodes: ["n[3-4]"], labels: {accelerated.topology.nvidia.com/level-0: nvl2}}
- {switch: leaf3, nodes: ["n[5-6]"], labels: {accelerated.topology.nvidia.com/level-0: nvl3}}
"""


def structure(fabric: Fabric) -> dict[str, Any]:
    """Return switches with their tier and what hangs on them, and the hosts of each domain."""
    names, tree = fabric.node_names, {}
    for node in range(fabric.num_accelerators + fabric.num_nics, fabric.num_nodes):
        if fabric.node_tier[node]:
            far = fabric.link_target[fabric.link_source == node]
            tree[names[node]] = {
                names[int(f)].split("/")[0] for f in far if fabric.node_tier[f] < fabric.node_tier[node]
            }
    domains: dict[int, set[str]] = {}
    for host, domain in zip(fabric.host_names, fabric.host_domain.tolist(), strict=True):
        domains.setdefault(domain, set()).add(host)
    return {"tree": tree, "domains": sorted(map(sorted, domains.values()))}


EXPECTED = {
    "tree": {
        "core": {"spine1", "spine2"},
        "spine1": {"leaf1", "leaf2"},
        "spine2": {"leaf3"},
        "leaf1": {"n1", "n2"},
        "leaf2": {"n3", "n4"},
        "leaf3": {"n5", "n6"},
    },
    "domains": [["n1", "n2"], ["n3", "n4"], ["n5", "n6"]],
}


@pytest.mark.parametrize("text", [json.dumps(GRAPH), MODEL, OLD_MODEL, NEW_MODEL])
def test_every_generation_of_topograph_says_the_same(text: str) -> None:
    imported = import_sources([source(text, "t.yaml")], options=ReadOptions(accelerators=4))
    assert imported.format == "topograph"
    assert structure(imported.fabric) == EXPECTED
    assert [part.id for part in imported.fabric.parts] == (["gb200"] if "GB200" in text else [])
    assert bool(imported.left_out) == ("empty" in text)


def test_a_domain_of_eighteen_hosts_has_four_accelerators_each() -> None:
    nodes = [
        {"id": f"n{i:02d}", "network_layers": ["leaf"], "labels": {"nvidia.com/gpu.clique": f"u.{i // 18}"}}
        for i in range(36)
    ]
    imported = import_sources([source(json.dumps({"instances": nodes}))])
    assert (imported.fabric.num_accelerators, imported.fabric.num_domains) == (144, 2)
    assert "4 accelerators a host, as domains have 18 hosts" in imported.guesses


def test_nodes_without_switches_share_one_a_domain() -> None:
    text = "nodes:\n  a: {attributes: {nvlink: x}}\n  b: {attributes: {nvlink: x}}\n  c: {}\ncapacity_blocks: {}\n"
    imported = import_sources([source(text, "m.yaml")], format="topograph")
    assert structure(imported.fabric)["tree"] == {"x": {"a", "b"}, "flat": {"c"}, "top": {"x", "flat"}}


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        (
            "spine2: {switches: [leaf3, empty]}",
            "spine2: {switches: [leaf3, leaf1]}",
            "switch leaf1 is under spine1 and",
        ),
        ("leaf2: {nodes: [n3, n4]}", "leaf2: {nodes: [n3, n2]}", "m.yaml:6: n2 is under leaf1 and under leaf2"),
        ("leaf2: {nodes: [n3, n4]}", "leaf2: {nodes: [n3, n9]}", "m.yaml:6: switches.leaf2: node n9 is not defined"),
        ("leaf1: {nodes:", "leaf1: {capacity_blocks: [cb9], nodes:", "capacity block cb9 is not defined"),
        ("nodes: [n3, n4], attr", "nodes: n3, attr", "not a list of names"),
        ('["n[5-6]"], attr', '["n[5-"], attr', "m.yaml:12"),
        ("leaf1: {nodes", "leaf1: {switches: [core], nodes", "ring"),
        ("cb1: {", "cb1: 7 #", "not an entry of capacity_blocks"),
    ],
)
def test_faults_of_a_model_name_their_line(old: str, new: str, words: str) -> None:
    assert old in MODEL
    with pytest.raises(InputError) as caught:
        import_sources([source(MODEL.replace(old, new, 1), "m.yaml")])
    assert words in caught.value.message


@pytest.mark.parametrize("topology", ["graph", "model"])
@pytest.mark.parametrize("name", ["gb200-nvl72-8-racks", "leaf-spine-4to1", "dgx-h100-superpod-2su"])
def test_what_topograph_is_given_is_read_back(name: str, topology: str) -> None:
    design = load_fabric(name)
    exported = export_fabric(design, "topograph", topology=topology)
    assert "number of accelerators, NICs and rails of hosts" in exported.losses
    again = import_sources([source(exported.text, "t.yaml")], options=ReadOptions(accelerators=4))
    assert structure(again.fabric)["domains"] == structure(design)["domains"]
    second = export_fabric(again, "topograph", topology=topology)
    third = import_sources([source(second.text, "t.yaml")], options=ReadOptions(accelerators=4))
    assert structure(third.fabric) == structure(again.fabric)


def test_kueue_gets_levels_and_labels() -> None:
    fabric = import_sources([source(json.dumps(GRAPH))], options=ReadOptions(accelerators=4)).fabric
    topology, *nodes = yaml.safe_load_all(export_fabric(fabric, "kueue").text)
    assert (topology["apiVersion"], topology["kind"]) == ("kueue.x-k8s.io/v1beta2", "Topology")
    prefix = "network.topology.nvidia.com"
    # domains group the hosts as the leaves do, and one core holds all: neither is a level of its own
    keys = [f"{prefix}/spine", f"{prefix}/accelerator", "kubernetes.io/hostname"]
    assert [level["nodeLabel"] for level in topology["spec"]["levels"]] == keys
    assert {n["metadata"]["name"]: n["metadata"]["labels"][keys[0]] for n in nodes} == {
        **dict.fromkeys(["n1", "n2", "n3", "n4"], "spine1"),
        **dict.fromkeys(["n5", "n6"], "spine2"),
    }
    assert len({n["metadata"]["labels"][keys[1]] for n in nodes}) == 3
    assert all(n["kind"] == "Node" for n in nodes)


def test_volcano_gets_a_tree_of_hyper_nodes() -> None:
    fabric = import_sources([source(json.dumps(GRAPH))], options=ReadOptions(accelerators=4)).fabric
    hyper_nodes = list(yaml.safe_load_all(export_fabric(fabric, "volcano").text))
    found = {
        h["metadata"]["name"]: (
            h["spec"]["tier"],
            {m["type"] for m in h["spec"]["members"]},
            [m["selector"]["exactMatch"]["name"] for m in h["spec"]["members"]],
        )
        for h in hyper_nodes
    }
    assert found == {
        "accelerator-domain-1": (1, {"Node"}, ["n1", "n2"]),
        "accelerator-domain-2": (1, {"Node"}, ["n3", "n4"]),
        "accelerator-domain-3": (1, {"Node"}, ["n5", "n6"]),
        "spine-spine1": (2, {"HyperNode"}, ["accelerator-domain-1", "accelerator-domain-2"]),
        "spine-spine2": (2, {"HyperNode"}, ["accelerator-domain-3"]),
    }


@pytest.mark.parametrize("format", ["kueue", "volcano"])
@pytest.mark.parametrize("name", ["hgx-a100-847", "hpn-pod-15360", "nvl576", "three-pools"])
def test_every_host_stands_in_one_group_of_each_level(name: str, format: str) -> None:
    fabric = load_fabric(name)
    documents = list(yaml.load_all(export_fabric(fabric, format).text, Loader=yaml.CSafeLoader))
    if format == "kueue":
        labels = [set(node["metadata"]["labels"]) for node in documents[1:]]
        levels = {level["nodeLabel"] for level in documents[0]["spec"]["levels"]} - {"kubernetes.io/hostname"}
        assert len(labels) == fabric.num_hosts
        assert all(found == levels for found in labels)
        return
    nodes = [
        m["selector"]["exactMatch"]["name"] for d in documents for m in d["spec"]["members"] if m["type"] == "Node"
    ]
    assert sorted(nodes) == sorted(fabric.host_names)
    names = [d["metadata"]["name"] for d in documents]
    assert len(set(names)) == len(names)


def test_names_that_kubernetes_does_not_take_are_refused() -> None:
    fabric = import_sources([source("SwitchName=l Nodes=GPU[1-2]\n")]).fabric
    with pytest.raises(InputError, match="not a name of a Kubernetes node; found: 'GPU1'"):
        export_fabric(fabric, "kueue")


@given(st.text("switchesnodcapy_blk:{}[],\n -1", max_size=120) | st.integers(0, len(MODEL)).map(lambda n: MODEL[:n]))
@settings(max_examples=100, deadline=None)
def test_any_model_is_read_or_refused(text: str) -> None:
    assert "\n" not in refusal(text, "topograph", "m.yaml")
    assert "\n" not in refusal(json.dumps({"instances": [{"id": text, "network_layers": [text]}]}), "topograph")
