"""Wire maps: one row a cable, one port an end, in NetBox's columns."""

from __future__ import annotations

import csv
import io

import numpy as np
import pytest

from tests.topologies.fabrics import counts, fabric_from
from topologies.bill.bill import bill_of
from topologies.bill.wire_map import WIRE_MAP_COLUMNS, wire_map, wire_map_csv
from topologies.fabric import Fabric, LinkKind
from topologies.files.fabric_file import load_fabric
from topologies.formats.importing import import_sources
from topologies.formats.source import Source

HOSTS = "hosts: {accelerator: h100-sxm, accelerators: 2, nic: connectx-7-400g, nics: 2, count: 4, names: 'h{}'}\n"


def rows_of(fabric: Fabric) -> list[dict[str, str]]:
    rows = list(csv.DictReader(io.StringIO(wire_map_csv(bill_of(fabric)))))
    assert list(rows[0]) == list(WIRE_MAP_COLUMNS)
    return rows


def test_shared_ports_are_numbered_by_hand() -> None:
    # Ports of 800: two NIC cables of 400 share one, so 4 of a leaf sit on ports 1/1, 1/2, 2/1, 2/2; 2 uplinks on 3, 4.
    fabric = fabric_from(
        "schema_version: 1\nkind: leaf-spine\nname: split\n"
        + HOSTS
        + "network: {leaf: sn5600, hosts_a_leaf: 2, uplinks: 2, spines: 2}\n"
    )
    rows = rows_of(fabric)
    ends = [(row["side_a_device"], row["side_a_name"], row["side_b_device"], row["side_b_name"]) for row in rows]
    leaves = sorted({b for a, _, b, _ in ends if a.startswith("h")})
    assert [end for end in ends if end[2] == leaves[0]] == [
        ("h0", "nic0", leaves[0], "1/1"),
        ("h0", "nic1", leaves[0], "1/2"),
        ("h1", "nic0", leaves[0], "2/1"),
        ("h1", "nic1", leaves[0], "2/2"),
    ]
    up = [end for end in ends if end[0] == leaves[0]]
    assert [(port, to_port) for _, port, _, to_port in up] == [("3", "1"), ("4", "1")]
    assert len({spine for _, _, spine, _ in up}) == 2
    first = rows[0]
    assert (first["side_a_type"], first["status"], first["label"]) == ("dcim.interface", "planned", "C01")
    assert (first["type"], first["length_unit"]) in {("dac-passive", "m"), ("aoc", "m")}


def test_a_nic_with_two_cables_has_two_ports() -> None:
    fabric = fabric_from(
        "schema_version: 1\nkind: dual-tor\nname: two\n"
        "hosts: {accelerator: h800-sxm, accelerators: 8, nic: connectx-7-400g, nics: 8, nic_ports: 2, count: 4}\n"
        "network: {tiers: 2, leaf: hpn-128x400g, hosts_a_leaf: 4, uplinks: 4, spines: 4}\n"
    )
    rows = rows_of(fabric)
    ports = sorted(row["side_a_name"] for row in rows if row["side_a_device"] == rows[0]["side_a_device"])
    assert ports == [f"nic{i}/p{port}" for i in range(8) for port in (1, 2)]


@pytest.mark.parametrize(
    "name",
    [
        "dgx-a100-superpod-4su",
        "gb200-nvl72-8-racks",
        "leaf-spine-4to1",
        "lingjun-2023",
    ],
)
def test_every_cable_has_its_own_ports(name: str) -> None:
    found = bill_of(load_fabric(name))
    rows = list(wire_map(found))
    pulled = sum(line.count for line in found.cables if line.medium != "backplane")
    assert len(rows) == pulled
    ends = [(row[0], row[2]) for row in rows] + [(row[3], row[5]) for row in rows]
    assert len(set(ends)) == len(ends)
    assert len({row[8] for row in rows}) == len(rows)
    highest = max(int(port.partition("/")[0]) for _, port in ends if port[0].isdigit())
    assert highest == max(line.ports_used_most for line in found.switches if line.tier != "scale-up")


def test_chips_wired_to_each_other_are_in_it() -> None:
    # 4 × 4 × 4 chips, three links each; hosts of 2 × 2 × 1 keep 4 of them inside
    fabric = load_fabric("tpu-v5p-cube")
    rows = rows_of(fabric)
    assert len(rows) == 3 * 64 - 16 * 4
    assert {row["side_a_device"] for row in rows} <= set(fabric.host_names)
    assert rows[0]["side_a_name"].startswith("gpu")
    assert rows[0]["description"].startswith("scale-up")
    assert all(row["side_a_device"] != row["side_b_device"] for row in rows)


def test_it_reads_back_as_the_network_it_is_of() -> None:
    fabric = load_fabric("dgx-h100-superpod-1su")
    again = import_sources([Source("wires.csv", wire_map_csv(bill_of(fabric)))]).fabric
    assert sorted(again.host_names) == sorted(fabric.host_names)
    assert counts(again)["leaf_spine"] == counts(fabric)["leaf_spine"] == 256
    assert counts(again)["nic_leaf"] == counts(fabric)["nic_leaf"] == 248
    assert np.unique(again.link_capacity_bytes_per_s[again.link_kind == LinkKind.SCALE_OUT]).tolist() == [50e9]
