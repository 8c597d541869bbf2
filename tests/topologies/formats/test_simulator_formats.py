"""Files of SimAI, ns-3 and ASTRA-sim: by hand, round trips, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.topologies.formats.texts import refusal, source
from topologies.errors import InputError
from topologies.fabric import Fabric, LinkKind
from topologies.files.fabric_file import load_fabric
from topologies.formats.importing import export_fabric, import_sources
from topologies.formats.registry import ReadOptions

# Two servers of two H20 on an NVSwitch each; two rails, one spine.
SIMAI = """\
9 2 2 3 10 H20
4 5 6 7 8 \n\
0 4 2880Gbps 0.000025ms 0
0 6 200Gbps 0.0005ms 0
1 4 2880Gbps 0.000025ms 0
1 7 200Gbps 0.0005ms 0
2 5 2880Gbps 0.000025ms 0
2 6 200Gbps 0.0005ms 0
3 5 2880Gbps 0.000025ms 0
3 7 200Gbps 0.0005ms 0
6 8 400Gbps 500ns 0
7 8 400Gbps 0.5us 0.001
"""
NS3 = "4 2 4\n2 3\n0 2 100Gbps 1us 0\n1 3 100Gbps 1us 0\n0 3 50000Mbps 1us 0\n2 3 0.4Tbps 1us 0\n"


def links(fabric: Fabric) -> list[tuple[str, str, float, float]]:
    """Return all links, both ways, by name, with rate and latency."""
    names = fabric.node_names
    return sorted(
        (names[int(a)], names[int(b)], float(rate), round(float(latency), 12))
        for a, b, rate, latency in zip(
            fabric.link_source,
            fabric.link_target,
            fabric.link_capacity_bytes_per_s,
            fabric.link_latency_s,
            strict=True,
        )
    )


def test_simai_by_hand() -> None:
    imported = import_sources([source(SIMAI, "topo")])
    fabric = imported.fabric
    assert imported.format == "simai"
    assert imported.left_out == ("error rates of links",)
    assert (fabric.num_hosts, fabric.num_accelerators, fabric.num_nics, fabric.num_domains) == (2, 4, 4, 2)
    found = links(fabric)
    assert ("server0/gpu1", "nvs4", 360e9, 0.000025e-3) in found
    assert ("server1/nic1", "sw7", 25e9, 0.5e-6) in found
    assert ("sw7", "sw8", 50e9, 0.5e-6) in found
    assert ("server1/gpu0", "server1/nic0", 25e9, 0.0) in found
    assert fabric.accelerator_rail.tolist() == [0, 1, 0, 1]


def test_simai_of_ns3_by_hand() -> None:
    imported = import_sources([source(NS3)], options=ReadOptions(accelerators=2))
    fabric = imported.fabric
    assert sorted(fabric.host_names) == ["host0", "host1"]
    found = links(fabric)
    assert ("host0/nic0", "sw2", 12.5e9, 1e-6) in found
    assert ("host0/nic1", "sw3", 6.25e9, 1e-6) in found
    assert ("sw2", "sw3", 50e9, 1e-6) in found


@pytest.mark.parametrize("name", ["dgx-h100-superpod-1su", "gb200-nvl72-8-racks", "mi300x-leaf-spine"])
def test_what_simai_is_given_is_read_back(name: str) -> None:
    design = load_fabric(name)
    exported = export_fabric(design, "simai")
    again = import_sources([source(exported.text)]).fabric
    for kind in (LinkKind.SCALE_OUT, LinkKind.SCALE_UP):
        a = np.sort(design.link_capacity_bytes_per_s[design.link_kind == kind])
        b = np.sort(again.link_capacity_bytes_per_s[again.link_kind == kind])
        np.testing.assert_allclose(a, b, rtol=1e-12)
    assert [p.id for p in again.parts] == [p.id for p in design.parts if p.part_class == "accelerator"]
    assert again.num_switches == design.num_switches
    leaves = [sorted(np.unique(fabric.nic_leaf, return_counts=True)[1]) for fabric in (again, design)]
    assert leaves[0] == leaves[1]
    second = import_sources([source(export_fabric(again, "simai").text)]).fabric
    assert links(second) == links(again)


@pytest.mark.parametrize("name", ["hpn-pod-15360", "lingjun-2023"])
def test_what_ns3_is_given_is_read_back(name: str) -> None:
    design = load_fabric(name)
    exported = export_fabric(design, "simai", topology="ns3")
    header = list(map(int, exported.text.split("\n", 1)[0].split()))
    cables = int(np.count_nonzero(design.link_kind == LinkKind.SCALE_OUT)) // 2
    switches = int(np.count_nonzero(design.node_tier))
    assert header == [design.num_hosts + switches, switches, cables]
    again = import_sources([source(exported.text)]).fabric
    assert again.num_hosts == design.num_hosts
    assert np.count_nonzero(again.link_kind == LinkKind.SCALE_OUT) == 2 * cables


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("9 2 2 3 10 H20", "9 2 2 3 11 H20", "links are missing, or too many; found: 10; allowed: 11"),
        ("9 2 2 3 10 H20", "9 2 2 4 10 H20", "file.txt:2: the line of switches does not fit"),
        ("9 2 2 3 10 H20", "9 3 2 3 10 H20", "file.txt:1: the accelerators do not fill servers"),
        ("4 5 6 7 8", "4 5 6 7 7", "file.txt:2: a switch stands twice"),
        ("1 7 200Gbps", "1 9 200Gbps", "file.txt:6: a link of a node that is not there"),
        ("1 7 200Gbps", "1 7 200Gb", "file.txt:6: not a rate"),
        ("1 7 200Gbps", "1 7 0Gbps", "file.txt:6: not a rate"),
        ("1 7 200Gbps 0.0005ms 0", "1 7 200Gbps 0.0005ms", "file.txt:6: not a link"),
        ("1 7 200Gbps 0.0005ms 0", "1 7 200Gbps 0.0005ms 1-2", "file.txt:6: not a rate"),
        ("1 7 200Gbps", "1 1 200Gbps", "file.txt:6: a link joins a node to itself"),
        ("6 8 400Gbps", "4 8 400Gbps", "file.txt:11: a link between an NVSwitch and a switch"),
        ("3 7 200Gbps", "3 5 200Gbps", "an accelerator without a link to a switch"),
        ("9 2 2 3 10 H20", "9 2 2 3 H20", "file.txt:1: not the first line of a topology"),
        ("9 2 2 3 10 H20", "99999999 2 2 3 10 H20", "file.txt:1: too many nodes"),
    ],
)
def test_faults_name_their_line(old: str, new: str, words: str) -> None:
    assert old in SIMAI
    assert words in refusal(SIMAI.replace(old, new, 1), "simai")


def test_what_simai_cannot_hold_is_refused() -> None:
    with pytest.raises(InputError, match="a NIC for each of them"):
        export_fabric(load_fabric("three-pools"), "simai")
    with pytest.raises(InputError, match="no such form"):
        export_fabric(load_fabric("leaf-spine-4to1"), "simai", topology="ns4")


def test_astra_gets_dimensions_by_hand() -> None:
    # leaf-spine-4to1: 8 H100 a host, 12 hosts a leaf, 8 leaves; 8×400G a host, 12×800G up a leaf of 96×400G down
    told = yaml.safe_load(export_fabric(load_fabric("leaf-spine-4to1"), "astra-sim").text)
    gb = 2.0**30
    assert told["topology"] == ["Switch", "Switch", "Switch"]
    assert told["npus_count"] == [8, 12, 8]
    assert told["bandwidth"] == pytest.approx([450e9 / gb, 50e9 / gb, 50e9 / 4 / gb])
    assert told["latency"] == pytest.approx([1665, (2 * 800 + 2 * 1000) / 2, (2 * 800 + 4 * 1000) / 2])


def test_astra_gets_a_mesh_as_fully_connected() -> None:
    told = yaml.safe_load(export_fabric(load_fabric("mi300x-leaf-spine"), "astra-sim").text)
    assert told["topology"][0] == "FullyConnected"
    assert told["bandwidth"][0] == pytest.approx(64e9 / 2**30)  # MI300X: 64 GB/s to each peer, one direction


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("three-pools", "of differing sizes"),
        ("tpu-v5p-cube", "switches are wired to each other"),
    ],
)
def test_what_has_no_dimensions_is_refused(name: str, words: str) -> None:
    with pytest.raises(InputError, match=words):
        export_fabric(load_fabric(name), "astra-sim")


@given(st.text("0123456789 Gbpsmu.\n", max_size=80) | st.integers(0, len(SIMAI)).map(lambda n: SIMAI[:n]))
@settings(max_examples=150, deadline=None)
def test_any_text_is_read_or_refused(text: str) -> None:
    assert "\n" not in refusal(text, "simai")
    assert "\n" not in refusal("3 1 2\n2\n" + text, "simai")
