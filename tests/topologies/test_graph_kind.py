"""Explicit graphs: a small one by hand, short forms, and every fault at its line."""

import csv
from collections import Counter

import numpy as np
import pytest

from tests.topologies.fabrics import counts, fabric_from
from topologies.errors import InputError
from topologies.fabric import LinkKind, NodeKind
from topologies.files.fabric_file import catalog_folder, load_fabric
from topologies.files.name_ranges import expand_names
from topologies.files.validated import RuleError

#      spine0   spine1
#        | \   / |          400 Gb/s each, leaf1–spine1 twice
#       leaf0  leaf1
#       /  \     |           200 Gb/s a NIC
#      h0  h1    h2          2 GPUs, 1 NIC each
SMALL = """\
schema_version: 1
kind: graph
name: small
link_latency_us: 0.5
host_types:
  pair: {accelerator: a100-sxm-80g, accelerators: 2, nic: ethernet-200g, nics: 1}
switches:
  - {names: "leaf[0-1]", tier: leaf, pod: A}
  - {names: "spine[0-1]", tier: spine}
hosts:
  - {names: "h[0-1]", type: pair, leaf: leaf0, rack: R1}
  - {names: h2, type: pair, leaf: leaf1, rack: R2}
links:
  - {a: leaf0, b: "spine[0-1]", rate_gbps: 400}
  - {a: leaf1, b: spine0, rate_gbps: 400, latency_us: 2, reverse_gbps: 100, kind: scale-out}
  - {a: leaf1, b: spine1, rate_gbps: 400, count: 2}
"""


def test_a_small_graph_by_hand() -> None:
    fabric = fabric_from(SMALL)
    assert counts(fabric) == {
        "hosts": 3,
        "accelerators": 6,
        "leaves": 2,
        "spines": 2,
        "cores": 0,
        "nic_leaf": 3,
        "leaf_spine": 5,
        "spine_core": 0,
    }
    assert fabric.host_leaf_group.tolist() == [0, 0, 1]
    assert [fabric.rack_names[i] for i in fabric.host_rack] == ["R1", "R1", "R2"]
    up = np.flatnonzero((fabric.link_source == fabric.node_idx("leaf1")) & (fabric.link_tier == 2))
    rates = {fabric.link_name(int(i)): fabric.link_capacity_bytes_per_s[i] for i in up}
    assert rates == {"leaf1 → spine0": 50e9, "leaf1 → spine1": 50e9}
    back = int(up[0]) ^ 1
    assert fabric.link_name(back) == "spine0 → leaf1"
    assert fabric.link_capacity_bytes_per_s[back] == 12.5e9
    assert fabric.link_latency_s[back] == 2e-6
    nic_leaf = fabric.link_tier == 1
    assert set(fabric.link_latency_s[nic_leaf].tolist()) == {0.5e-6}
    assert set(fabric.link_capacity_bytes_per_s[nic_leaf].tolist()) == {25e9}


def test_scale_up_switches_devices_and_pairing() -> None:
    fabric = fabric_from(
        "schema_version: 1\nkind: graph\nname: t\n"
        "host_types: {one: {accelerator: h100-sxm, accelerators: 1, nic: ethernet-400g, nics: 2, nic_ports: 2}}\n"
        "switches:\n  - {names: nvs, tier: scale-up}\n  - {names: [a, b], tier: 1}\n"
        "hosts: [{names: 'h[0-3]', type: one, leaf: [a, b]}]\n"
        "links:\n  - {a: 'h[0-3]/gpu0', b: nvs, rate_gbps: 3600, latency_us: 1, kind: scale-up}\n"
        "  - {a: [a], b: [b], pairing: each, rate_gbps: 400}\n"
    )
    assert fabric.num_domains == 1
    assert (fabric.link_kind == LinkKind.SCALE_UP).sum() == 8
    assert fabric.accelerator_scale_up_bytes_per_s.tolist() == [450e9] * 4
    # 2 NICs × 2 cables of 200 Gb/s, dealt a, b, a, b
    nic = fabric.node_idx("h0/nic0")
    mine = (fabric.link_source == nic) & (fabric.link_kind == LinkKind.SCALE_OUT)
    assert sorted(fabric.node_names[i] for i in fabric.link_target[mine]) == ["a", "b"]
    assert set(fabric.link_capacity_bytes_per_s[mine].tolist()) == {25e9}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            ("leaf: leaf1", "leaf: laef1"),
            "fabric.yaml:12: hosts[1].leaf: no such switch; found: laef1; "
            "allowed: leaf0, leaf1, spine0, spine1; fix: did you mean leaf1?",
        ),
        (
            (", leaf: leaf1", ""),
            "fabric.yaml:12: hosts[1]: a host has no leaf; found: NIC h2/nic0 without a cable; "
            "allowed: every NIC on a switch; fix: add leaf: to the hosts, or a link that names the NIC",
        ),
        (
            ("names: h2", "names: h1"),
            "fabric.yaml:12: hosts[1].names: two devices of one name; found: h1, also on line 11; "
            "allowed: unique names; fix: rename one of them",
        ),
        (
            ('"spine[0-1]", tier', '"leaf[1-2]", tier'),
            "fabric.yaml:9: switches[1].names: two devices of one name; found: leaf1, also on line 8; "
            "allowed: unique names; fix: rename one of them",
        ),
        (
            ("rate_gbps: 400, count: 2", "rate_gbps: -400, count: 2"),
            "fabric.yaml:16: links[2].rate_gbps: out of range; found: -400; allowed: above 0",
        ),
        (
            ("rate_gbps: 400, count: 2", "rate_gbps: 0, count: 2"),
            "fabric.yaml:16: links[2].rate_gbps: out of range; found: 0; allowed: above 0",
        ),
        (
            ("rate_gbps: 400, count: 2", "rate_gpbs: 400, count: 2"),
            "fabric.yaml:16: links[2].rate_gpbs: unknown key (and 1 further fault in this file); found: rate_gpbs; "
            "allowed: a, b, pairing, count, rate_gbps, reverse_gbps, latency_us, a_ports, b_ports, kind; "
            "fix: did you mean rate_gbps?",
        ),
        (
            ("latency_us: 2,", "latency_us: -2,"),
            "fabric.yaml:15: links[1].latency_us: out of range; found: -2; allowed: at least 0",
        ),
        (
            ("type: pair, leaf: leaf1", "type: pear, leaf: leaf1"),
            "fabric.yaml:12: hosts[1].type: no such host type; found: pear; allowed: pair; fix: did you mean pair?",
        ),
        (
            ("{a: leaf1, b: spine1,", "{a: leaf1, b: spin1,"),
            "fabric.yaml:16: links[2].b: no such node; found: spin1; allowed: leaf0, leaf1, spine0, spine1, h0/gpu0, "
            "h0/gpu1, h1/gpu0, h1/gpu1, h0/nic0, h1/nic0 and 3 more; fix: did you mean spine1?",
        ),
        (
            ("{a: leaf1, b: spine1,", "{a: leaf1, b: leaf1,"),
            "fabric.yaml:16: links[2]: a link joins a node to itself; found: leaf1; fix: leave the pair out",
        ),
        (
            ("{a: leaf1, b: spine1,", "{a: h2/gpu0, b: spine1,"),
            "fabric.yaml:16: links[2]: these nodes cannot be linked like this; "
            "found: accelerator h2/gpu0 and switch spine1; allowed: accelerator–accelerator, "
            "accelerator–scale-up switch, accelerator–nic, nic–switch, switch–switch, scale-up switch–scale-up switch",
        ),
        (
            ("kind: scale-out", "kind: scale-up"),
            "fabric.yaml:15: links[1]: these nodes cannot be linked like this; "
            "found: switch leaf1 and switch spine0, kind scale-up; allowed: scale-out",
        ),
        (
            ('"spine[0-1]", rate_gbps: 400}', '"spine[0-1]", rate_gbps: 400, pairing: each}'),
            "fabric.yaml:14: links[0].pairing: the sides do not pair; found: 1 names in a, 2 in b; "
            "allowed: as many in a as in b; fix: use pairing: all, or name as many",
        ),
        (
            ('names: "h[0-1]"', 'names: "h[1-0]"'),
            "fabric.yaml:11: hosts[0].names: not a range of numbers; found: [1-0] in h[1-0]; "
            "allowed: names, with ranges of numbers in brackets as in h[0000-0007,0012]",
        ),
        (
            ("a100-sxm-80g", "a100"),
            None,
        ),
        (("tier: leaf", "tier: leef"), None),
        (("tier: leaf", "tier: 0"), None),
        (("accelerators: 2", "accelerators: two"), None),
    ],
)
def test_faults(change: tuple[str, str], message: str | None) -> None:
    text = SMALL.replace(*change)
    assert text != SMALL
    with pytest.raises(InputError) as caught:
        fabric_from(text)
    assert caught.value.message.startswith("fabric.yaml:")
    if message is not None:
        assert caught.value.message == message


def test_a_disconnected_graph_is_refused() -> None:
    text = SMALL[: SMALL.index("links:")]
    with pytest.raises(InputError) as caught:
        fabric_from(text)
    assert caught.value.message == (
        "fabric.yaml: small: the graph is in 4 pieces that no link joins; "
        "found: 1 of 16 nodes around 'spine0' stand apart; allowed: one connected graph; "
        "fix: add the missing links, or remove the nodes"
    )


def test_name_ranges() -> None:
    assert expand_names("h[08-10,0012]/nic[0-1]") == [
        f"h{h}/nic{n}" for h in ("08", "09", "10", "0012") for n in (0, 1)
    ]
    assert expand_names("plain") == ["plain"]
    for bad in ("h[0", "h0]", "h[]", "h[a]", "h[0-]", "h[[0]]", "h[3-1]", "h[0-99999999]", "h[0-999][0-999][0-99]"):
        with pytest.raises(RuleError):
            expand_names(bad)


def test_lingjun_is_the_topology_of_its_data() -> None:
    fabric = load_fabric("lingjun-2023")
    with (catalog_folder() / "lingjun" / "topology.csv").open(encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    assert len(rows) == fabric.num_hosts == 847
    nic = np.searchsorted(fabric.nic_host, np.arange(847))
    for row in rows:
        host = fabric.host_idx(row["host"])
        assert fabric.node_names[fabric.nic_leaf[nic[host]]] == row["asw"]
    pods = {}
    for row in rows:
        pods.setdefault(row["psw"], set()).add(int(fabric.host_pod[fabric.host_idx(row["host"])]))
    assert sorted(len(found) for found in pods.values()) == [1, 1, 1]
    assert sorted(Counter(fabric.host_pod.tolist()).values()) == [179, 306, 362]
    assert counts(fabric) == {
        "hosts": 847,
        "accelerators": 6776,
        "leaves": 119,
        "spines": 48,
        "cores": 16,
        "nic_leaf": 847 * 4,
        "leaf_spine": 119 * 16,
        "spine_core": 48 * 16,
    }
    assert len(fabric.assumptions) == 6
    assert (fabric.node_kind == NodeKind.SCALE_UP_SWITCH).sum() == 847
