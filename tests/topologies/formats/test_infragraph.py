"""InfraGraph: files that its own package wrote, round trips, and what is refused."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.topologies.fabrics import counts
from tests.topologies.formats.texts import DATA, refusal, source
from topologies.errors import InputError
from topologies.fabric import Fabric, LinkKind
from topologies.files.fabric_file import load_fabric
from topologies.formats.importing import export_fabric, import_fabric, import_sources
from topologies.formats.registry import ReadOptions
from topologies.units import to_gbps

FOLDER = DATA / "infragraph"

# Two hosts of two accelerators on a mesh of their own; one leaf, and a spare one.
SMALL = """\
name: small
devices:
- name: box
  components:
  - {name: xpu, count: 2, choice: xpu}
  - {name: nic, count: 2, choice: nic}
  - {name: cpu, count: 1, choice: cpu}
  links:
  - {name: mesh, physical: {bandwidth: {choice: gigabytes_per_second, gigabytes_per_second: 100}}}
  - {name: pcie}
  edges:
  - {ep1: {component: "xpu[0]"}, ep2: {component: "xpu[1]"}, scheme: one2one, link: mesh}
  - {ep1: {component: xpu}, ep2: {component: cpu}, scheme: many2many, link: pcie}
  - {ep1: {component: nic}, ep2: {component: cpu}, scheme: many2many, link: pcie}
- name: sw
  components:
  - {name: asic, count: 1, choice: switch}
  - {name: port, count: 8, choice: port}
  links: [{name: ic}]
  edges: [{ep1: {component: asic}, ep2: {component: port}, scheme: many2many, link: ic}]
links:
- {name: eth, physical: {bandwidth: {gigabits_per_second: 400}, latency: {choice: ns, ns: 500}}}
instances:
- {name: host, device: box, count: 2}
- {name: leaf, device: sw, count: 2}
edges:
- {ep1: {instance: "host[0:2]", component: "nic[0:2]"}, ep2: {instance: "leaf[0]", component: "port[0:4]"}, scheme: one2one, link: eth}
"""  # noqa: E501


def network(fabric: Fabric) -> Counter[tuple[str, str, float, float]]:
    """Return every cable by the names of its ends, its rate and its latency."""
    found: Counter[tuple[str, str, float, float]] = Counter()
    names = list(fabric.node_names)
    for link in range(0, fabric.num_links, 2):
        a, b = sorted((names[fabric.link_source[link]], names[fabric.link_target[link]]))
        found[
            a,
            b,
            round(to_gbps(float(fabric.link_capacity_bytes_per_s[link])), 6),
            round(float(fabric.link_latency_s[link]), 12),
        ] += 1
    return found


def test_a_small_one_by_hand() -> None:
    imported = import_sources([source(SMALL, "s.yaml")])
    fabric = imported.fabric
    assert imported.format == "infragraph"
    assert network(fabric) == {
        ("host.0/xpu0", "host.0/xpu1", 800.0, 3.33e-6): 1,
        ("host.1/xpu0", "host.1/xpu1", 800.0, 3.33e-6): 1,
        **{(f"host.{i}/nic{j}", f"host.{i}/xpu{j}", 400.0, 0.8e-6): 1 for i in (0, 1) for j in (0, 1)},
        **{(f"host.{i}/nic{j}", "leaf.0", 400.0, 0.5e-6): 1 for i in (0, 1) for j in (0, 1)},
    }
    assert imported.ports is not None
    assert sorted(label for label in (*imported.ports.source, *imported.ports.target) if label) == [
        "port0",
        "port1",
        "port2",
        "port3",
    ]
    assert "1 switches without an edge" in imported.left_out


def test_the_packages_own_clos() -> None:
    imported = import_fabric([FOLDER / "clos.yaml"])
    found = counts(imported.fabric)
    assert (found["hosts"], found["accelerators"], found["leaves"], found["spines"]) == (4, 8, 4, 3)
    assert (found["nic_leaf"], found["leaf_spine"]) == (8, 12)
    rates = {name: rate for name, _, rate, _ in network(imported.fabric) if name.startswith("leafsw")}
    assert set(rates.values()) == {400.0}


def test_the_packages_own_dgx() -> None:
    # DGX A100: eight GPUs on six NVSwitches; a ConnectX-5, which is a device in the device, beside each GPU.
    imported = import_fabric([FOLDER / "single_tier_dgx_a100.yaml"], options=ReadOptions(accelerator="a100-sxm-80g"))
    fabric = imported.fabric
    assert (fabric.num_hosts, fabric.num_accelerators, fabric.num_nics, fabric.num_domains) == (3, 24, 24, 3)
    assert np.count_nonzero(fabric.link_kind == LinkKind.SCALE_UP) == 2 * 3 * 8 * 6
    assert fabric.accelerator_scale_up_bytes_per_s[0] == pytest.approx(300e9)  # the part's, over six links
    assert sorted(fabric.accelerator_rail[:8].tolist()) == list(range(8))
    assert any("without a bandwidth" in guess for guess in imported.guesses)


@pytest.mark.parametrize("name", ["leaf-spine-4to1", "mi300x-leaf-spine", "dgx-h100-superpod-1su"])
def test_what_is_written_is_read_back(name: str) -> None:
    design = load_fabric(name)
    exported = export_fabric(design, "infragraph")
    assert exported.losses == ("parts, rails, racks and pods",)
    again = import_sources([source(exported.text, "i.yaml")])
    assert network(again.fabric) == network(design)
    assert not any("bandwidth" in guess for guess in again.guesses)
    second = import_sources([source(export_fabric(again, "infragraph").text, "i.yaml")])
    assert network(second.fabric) == network(design)


def test_domains_that_span_hosts_are_read_back() -> None:
    design = load_fabric("gb200-nvl72-8-racks")
    exported = export_fabric(design, "infragraph")
    assert any("names that InfraGraph does not take" in text for text in exported.losses)
    again = import_sources([source(exported.text, "i.yaml")]).fabric
    assert (again.num_domains, again.num_switches, again.num_links) == (8, design.num_switches, design.num_links)


def test_what_is_written_has_the_form_of_the_schema() -> None:
    root = yaml.safe_load(export_fabric(load_fabric("leaf-spine-4to1"), "infragraph").text)
    assert set(root) == {"name", "description", "devices", "links", "instances", "edges"}
    for device in root["devices"]:
        assert {"name", "components", "links", "edges"} <= set(device)
        assert {c["choice"] for c in device["components"]} <= {"xpu", "nic", "switch", "port"}
        names = {c["name"]: c["count"] for c in device["components"]}
        links = {link["name"] for link in device["links"]}
        for edge in device["edges"]:
            assert edge["link"] in links
            assert all(edge[side]["component"].split("[")[0] in names for side in ("ep1", "ep2"))
    links = {link["name"] for link in root["links"]}
    assert {edge["link"] for edge in root["edges"]} <= links


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("xpu[1]", "xpu[2]", "s.yaml:12: devices[0].edges[0].ep2.component: no such index; found: xpu[2]"),
        ("port[0:4]", "port[0:9]", "a slice beyond the end; found: port[0:9]; allowed: 0 to 8"),
        ("port[0:4]", "port[0:4:0]", "a step of 0"),
        ("port[0:4]", "port[0", "not an endpoint"),
        ("port[0:4]", "prt[0:4]", "device sw has no component 'prt'"),
        ('instance: "leaf[0]"', 'instance: "leaf9"', "no such instance; found: leaf9; allowed: host, leaf"),
        ("device: sw, count: 2", "device: switch, count: 2", "no such device; found: switch"),
        ("{name: nic, count: 2,", "{name: nic, count: two,", "not a count"),
        ("{name: nic, count: 2,", "{name: nic, count: 99999999,", "not a count"),
        ("count: 8, choice: port", "count: 4000000, choice: port", "the document stands for too much"),
        ("scheme: one2one, link: eth", "scheme: ring, link: eth", "a scheme that is not read"),
        ("{name: cpu, count: 1, choice: cpu}", "{name: box, count: 1, choice: device}", "contains itself"),
        ("{name: cpu, count: 1, choice: cpu}", "{name: zip, count: 1, choice: device}", "no such device: zip"),
        ("gigabits_per_second: 400", "gigabits_per_second: fast", "not a number of it"),
        ("gigabits_per_second: 400", "gigabit: 400", "not a quantity"),
        (
            'ep2: {instance: "leaf[0]", component: "port[0:4]"}',
            'ep2: {instance: host, component: "nic[::-1]"}',
            "joins two hosts",
        ),
        ("  edges:\n", "  connections: []\n  edges:\n", "a file of InfraGraph's first schema"),
    ],
)
def test_faults_name_their_line(old: str, new: str, words: str) -> None:
    assert old in SMALL
    with pytest.raises(InputError) as caught:
        import_sources([source(SMALL.replace(old, new, 1), "s.yaml")])
    assert words in caught.value.message


@given(st.integers(0, len(SMALL)), st.text("[]{}:,-\n xpunic09", max_size=30))
@settings(max_examples=120, deadline=None)
def test_any_document_is_read_or_refused(at: int, more: str) -> None:
    assert "\n" not in refusal(SMALL[:at] + more, "infragraph", "s.yaml")
    assert "\n" not in refusal(SMALL[:at] + more + SMALL[at:], "infragraph", "s.yaml")
