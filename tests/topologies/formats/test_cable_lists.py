"""LLDP of real lldpd, and cable lists of NetBox: roles, rates, round trips, and what is refused."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from planner.cli.main import run
from tests.topologies.fabrics import counts, fabric_from
from tests.topologies.formats.texts import DATA, refusal, source
from topologies.errors import InputError
from topologies.fabric import Fabric, LinkKind
from topologies.files.fabric_file import load_fabric
from topologies.formats.cabling import rate_in_words
from topologies.formats.importing import export_fabric, import_fabric, import_sources
from topologies.formats.registry import Imported, ReadOptions
from topologies.units import from_gbps

LLDP = DATA / "lldp"

#   spine1        two leaves and a spine; a NIC of each host on each leaf
#   /    \
# leaf1 leaf2
#   | \ / |
#   | / \ |
#   g1   g2
CABLES = """\
side_a_device,side_a_type,side_a_name,side_b_device,side_b_type,side_b_name,type,status,description
g1,dcim.interface,enp1s0f0,leaf1,dcim.interface,swp1,aoc,connected,400G to leaf
g1,dcim.interface,enp2s0f0,leaf2,dcim.interface,swp1,aoc,connected,
g2,dcim.interface,enp1s0f0,leaf1,dcim.interface,swp2,aoc,connected,
g2,dcim.interface,enp2s0f0,leaf2,dcim.interface,swp2,aoc,connected,
leaf1,dcim.interface,swp31,spine1,dcim.interface,swp1,dac-passive,planned,"leaf, 800 Gb/s"
leaf2,dcim.interface,swp31,spine1,dcim.interface,swp2,dac-passive,planned,800GbE
g1,dcim.interface,bmc,mgmt-sw,dcim.interface,swp9,cat6,connected,
leaf1,dcim.interface,eth0,mgmt-sw,dcim.interface,swp10,cat6,connected,
g1,dcim.powerport,PSU1,pdu1,dcim.poweroutlet,1,power,connected,
g9,dcim.interface,enp1s0f0,leaf1,dcim.interface,swp9,aoc,decommissioning,
"""


def cables(imported: Imported) -> Counter[tuple[str, str, str, str, float]]:
    """Return the scale-out cables with their ports, ends in the order of their names."""
    fabric, found = imported.fabric, Counter[tuple[str, str, str, str, float]]()
    for link in range(0, fabric.num_links, 2):
        if fabric.link_kind[link] == LinkKind.SCALE_OUT:
            ports = imported.ports.at(link) if imported.ports else ("", "")
            nodes = (fabric.node_names[fabric.link_source[link]], fabric.node_names[fabric.link_target[link]])
            low, high = sorted(zip(nodes, ports, strict=True))
            found[*low, *high, float(fabric.link_capacity_bytes_per_s[link])] += 1
    return found


def network(fabric: Fabric) -> Counter[tuple[str, str, float]]:
    """Return the scale-out cables without ports."""
    found: Counter[tuple[str, str, float]] = Counter()
    for (a, _, b, _, rate), count in cables(Imported(fabric, "")).items():
        found[a, b, rate] += count
    return found


@pytest.mark.parametrize("form", ["json", "json0"])
def test_real_lldp_of_two_hosts_and_two_switches(form: str) -> None:
    imported = import_fabric([LLDP / form])
    assert imported.format == "lldp"
    assert cables(imported) == {
        ("gpu01/enp1s0f0", "enp1s0f0", "leaf1", "swp1", from_gbps(10.0)): 1,
        ("gpu01/enp2s0f0", "enp2s0f0", "leaf2", "swp1", from_gbps(10.0)): 1,
        ("gpu02/enp1s0f0", "enp1s0f0", "leaf1", "swp2", from_gbps(10.0)): 1,
        ("gpu02/enp2s0f0", "enp2s0f0", "leaf2", "swp2", from_gbps(10.0)): 1,
        ("leaf1", "swp31", "leaf2", "swp31", from_gbps(10.0)): 1,
    }
    assert any("which devices are hosts: 4 by names of their ports" in guess for guess in imported.guesses)
    assert any("named after" in guess for guess in imported.guesses)


def test_the_hosts_alone_see_their_switches() -> None:
    imported = import_fabric([LLDP / "json" / "gpu01.json", LLDP / "json" / "gpu02.json"])
    assert imported.fabric.num_hosts == 2
    assert sorted(n for n in imported.fabric.node_names if "/" not in n) == ["leaf1", "leaf2"]


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ('"value": "swp1"', '"value": "swp7"', "a port has two neighbours"),
        ('"enp2s0f0": {', '"enp1s0f0": {', "a port has two neighbours"),
        ('"port": {', '"prt": {', "an interface without chassis and port"),
        ('"interface": [', '"interface": [7, ', "not an interface"),
        ("}\n", "", "JSON"),
    ],
)
def test_lldp_that_does_not_fit_is_refused(tmp_path: Path, old: str, new: str, words: str) -> None:
    for path in (LLDP / "json").iterdir():
        (tmp_path / path.name).write_text(path.read_text())
    text = (tmp_path / "gpu01.json").read_text()
    assert old in text
    (tmp_path / "gpu01.json").write_text(text.replace(old, new, 1) if new else text.rstrip()[:-1])
    with pytest.raises(InputError) as caught:
        import_fabric([tmp_path])
    assert words in caught.value.message
    assert "gpu01.json" in caught.value.message or "leaf1.json" in caught.value.message


def test_one_neighbour_full_names_and_hosts_that_bridge() -> None:
    def file(device: str, port: str, neighbour: str, far: str, capability: str = "Station") -> str:
        chassis = {
            neighbour: {"id": {"type": "mac", "value": "aa"}, "capability": {"type": capability, "enabled": True}}
        }
        entry = {"chassis": chassis, "port": {"id": {"type": "mac", "value": "00:11"}, "descr": far}}
        return json.dumps({"lldp": {"interface": {port: entry}}})

    sources = [
        source(file("h1", "port", "sw.dc.example", "a"), "h1.json"),
        source(file("h2", "port", "sw.dc.example", "b", "Router"), "h2.json"),
    ]
    imported = import_sources(sources)
    assert list(imported.fabric.node_names)[-1] == "sw"
    told = import_sources(sources, options=ReadOptions(hosts="^h", nic_gbps=100))
    assert not any("which devices are hosts" in guess for guess in told.guesses)
    assert "2 cables without a rate have 100 Gb/s" in told.guesses
    with pytest.raises(InputError, match=r"two files of h1; found: h1\.json"):
        import_sources([sources[0], source(sources[0].text, "x/h1.json")])


def test_a_cable_list_by_hand() -> None:
    imported = import_sources([source(CABLES, "cables.csv")])
    fabric = imported.fabric
    assert imported.format == "netbox"
    found = counts(fabric)
    assert (found["hosts"], found["leaves"], found["spines"], found["nic_leaf"], found["leaf_spine"]) == (2, 2, 1, 4, 2)
    assert sorted(network(fabric)) == [
        ("g1/enp1s0f0", "leaf1", 50e9),
        ("g1/enp2s0f0", "leaf2", 50e9),
        ("g2/enp1s0f0", "leaf1", 50e9),
        ("g2/enp2s0f0", "leaf2", 50e9),
        ("leaf1", "spine1", 100e9),
        ("leaf2", "spine1", 100e9),
    ]
    assert "2 cables of management ports" in imported.left_out
    assert "1 cables between other ports than interfaces" in imported.left_out
    assert "1 cables that are taken out" in imported.left_out
    assert "3 cables without a rate have 400 Gb/s" in imported.guesses


def test_the_columns_of_netbox_own_export() -> None:
    text = "ID,Label,Device A,Termination A,Device B,Termination B,Status\n1,,h1,eth1,leaf,Ethernet0,Connected\n"
    imported = import_sources([source(text)], options=ReadOptions(nic_gbps=200))
    assert network(imported.fabric) == {("h1/eth1", "leaf", 25e9): 1}


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("leaf1,dcim.interface,swp2", "leaf1,dcim.interface,swp1", "cables.csv:4: a port has two cables"),
        ("g2,dcim.interface,enp2s0f0", "g2,dcim.interface,", "cables.csv:5: a cable without device or port"),
        (
            "spine1,dcim.interface,swp2,dac-passive,planned,800GbE",
            "spine1,dcim",
            "cables.csv:7: a row has more or fewer",
        ),
        ("g1,dcim.interface,enp1s0f0,leaf1", "g1,dcim.interface,enp1s0f0,g2", "cables.csv:2: a cable joins two hosts"),
        ("side_b_name", "side_b_port", "no format that can be read"),
        ('"leaf, 800', '"leaf, "800', "not well-formed CSV"),
        ("g1,dcim.interface,enp1s0f0", "g" * 10_000 + ",dcim.interface,enp1s0f0", "cables.csv:2: a name is too long"),
    ],
)
def test_faults_of_a_cable_list_name_their_line(old: str, new: str, words: str) -> None:
    assert old in CABLES
    with pytest.raises(InputError) as caught:
        import_sources([source(CABLES.replace(old, new, 1), "cables.csv")])
    assert words in caught.value.message


@pytest.mark.parametrize("name", ["dgx-h100-superpod-1su", "leaf-spine-4to1", "dragonfly-plus-1024"])
def test_what_netbox_is_given_is_read_back(name: str) -> None:
    fabric = load_fabric(name)
    exported = export_fabric(fabric, "netbox")
    again = import_sources([source(exported.text, "c.csv")])
    assert network(again.fabric) == network(fabric)
    assert not any("which devices" in guess for guess in again.guesses)
    second = export_fabric(again, "netbox")
    assert cables(import_sources([source(second.text, "c.csv")])) == cables(again)


def test_the_wire_map_of_a_bill_is_read_back(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "wires.csv"
    assert run(["fabric", "bill", "leaf-spine-4to1", "--wire-map", str(path)]) == 0
    imported = import_fabric([path])
    assert network(imported.fabric) == network(load_fabric("leaf-spine-4to1"))
    assert ("h0000/nic0", "nic0", "leaf000-0", "1/1", 50e9) in cables(imported)  # two NICs share a port of 800 Gb/s
    capsys.readouterr()


def test_lldp_is_written_as_a_folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "out"
    arguments = ["fabric", "export", "leaf-spine-4to1", "--format", "lldp"]
    assert run([*arguments, "-o", str(folder)]) == 0
    assert len(list(folder.iterdir())) == 96 + 8 + 2
    assert "not in the file: rates and latencies" in capsys.readouterr().out
    again = import_fabric([folder], options=ReadOptions(nic_gbps=400, uplink_gbps=800)).fabric
    assert network(again) == network(load_fabric("leaf-spine-4to1"))
    assert run([*arguments, "-o", str(folder)]) == 1
    assert "cannot write the folder" in capsys.readouterr().err
    assert run(arguments) == 2
    assert "name a new folder by -o" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_names_that_make_no_file_name_are_changed_and_told() -> None:
    names = {"leaf000-0": "pod0/leaf", "leaf001-0": "pod0-leaf", "h0000": "a.b"}
    text = export_fabric(load_fabric("leaf-spine-4to1"), "netbox").text
    for old, new in names.items():
        text = text.replace(f"{old},", f"{new},")
    fabric = import_sources([source(text, "c.csv")]).fabric
    exported = export_fabric(fabric, "lldp")
    assert any("2 names that make no file name" in text for text in exported.losses)
    assert {"pod0-leaf.json", "pod0-leaf-2.json", "a-b.json"} <= set(exported.files)
    again = import_sources([source(text, name) for name, text in exported.files.items()]).fabric
    assert (again.num_hosts, again.num_switches) == (fabric.num_hosts, fabric.num_switches)


def test_two_cables_of_a_nic_keep_their_ports() -> None:
    fabric = fabric_from(
        "schema_version: 1\nkind: graph\nname: two\nhost_types:\n"
        "  t: {accelerator: a100-sxm-80g, accelerators: 1, nic: ethernet-200g, nics: 1, nic_ports: 2}\n"
        "switches:\n  - {names: 'tor[1-2]', tier: leaf}\nhosts:\n  - {names: 'h[1-2]', type: t, leaf: [tor1, tor2]}\n"
    )
    text = export_fabric(fabric, "netbox").text
    assert "h1,dcim.interface,nic0/p1,tor1,dcim.interface,1," in text
    assert network(import_sources([source(text, "c.csv")]).fabric) == network(fabric)


def test_rates_in_words() -> None:
    words = {"400G": 50e9, "leaf, 800 Gb/s": 100e9, "1.6 Tb/s": None, "100GBASE-CR4": 12.5e9, "": None, "C17": None}
    assert {text: rate_in_words(text) for text in words} == words


@given(
    st.text(max_size=200) | st.integers(0, len(CABLES)).map(lambda n: CABLES[:n]), st.sampled_from(["netbox", "lldp"])
)
@settings(max_examples=120, deadline=None)
def test_any_text_is_read_or_refused(text: str, format: str) -> None:
    assert "\n" not in refusal(text, format)
