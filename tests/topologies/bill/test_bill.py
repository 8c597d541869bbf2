"""The bill of small fabrics by hand, and of the catalogue as a whole."""

from __future__ import annotations

import csv
import io
import json

import pytest

from tests.fixtures.clos_fabrics import leaf_spine
from tests.topologies.fabrics import counts, fabric_from
from topologies.bill.bill import Bill, bill_of
from topologies.bill.cables import choose_cable, medium_of
from topologies.bill.layout import LayoutRules
from topologies.bill.output import BILL_COLUMNS, bill_csv, bill_dict
from topologies.fabric import Fabric
from topologies.files.fabric_file import list_catalog, load_fabric
from topologies.formats.importing import import_sources
from topologies.formats.source import Source
from topologies.parts import Part
from topologies.parts_catalog import load_parts
from topologies.units import from_gbps


def two_units() -> Fabric:
    return load_fabric("dgx-h100-superpod-2su")


@pytest.fixture(scope="module")
def bill() -> Bill:
    return bill_of(two_units())


def test_switches_and_ports_of_a_reference_design(bill: Bill) -> None:
    leaf, spine = bill.switches
    assert (leaf.tier, leaf.model, leaf.count, leaf.ports) == ("leaf", "qm9700", 16, 64)
    # 63 hosts × 8 down and 16 leaves × 32 up; 16 × 64 ports: the 64th host's 8 ports are free
    assert (leaf.ports_used, leaf.ports_free, leaf.ports_used_most) == (504 + 512, 8, 64)
    assert (spine.tier, spine.count, spine.ports_used, spine.ports_free) == ("spine", 8, 512, 0)
    assert leaf.price is not None
    assert leaf.price.typical_usd == 16 * 38_000


def test_every_cable_is_counted_once(bill: Bill) -> None:
    by_join: dict[str, int] = {}
    for line in bill.cables:
        by_join[line.joins] = by_join.get(line.joins, 0) + line.count
    assert by_join == {"NIC to leaf": 504, "leaf to spine": 512}
    (nics,) = bill.nics
    assert (nics.model, nics.count, nics.cables) == ("connectx-7-400g", 504, 504)


def test_power_is_that_of_the_parts(bill: Bill) -> None:
    assert bill.power.hosts_watts == 63 * 10_200
    assert bill.power.switches_typical_watts == 24 * 747
    assert bill.power.switches_most_watts == 24 * 1_720
    assert bill.power.rack_most_watts == 4 * 10_200
    assert bill.per_accelerator(bill.power.hosts_watts) == 10_200 / 8
    assert any("taken as dgx-h100" in note for note in bill.notes)


def test_hosts_are_priced_apart(bill: Bill) -> None:
    (hosts,) = bill.hosts
    parts = load_parts()
    assert (hosts.model, hosts.count, hosts.accelerators, hosts.watts) == ("dgx-h100", 63, 8, 63 * 10_200)
    assert hosts.price is not None
    assert hosts.price.typical_usd == 504 * parts["h100-sxm"].number("price_usd")
    assert not hosts.is_whole
    assert bill.whole_price is not None
    nics = 504 * parts["connectx-7-400g"].number("price_usd")
    assert bill.whole_price.typical_usd == pytest.approx(bill.price.typical_usd + hosts.price.typical_usd + nics)


def test_a_host_with_a_price_brings_its_nics() -> None:
    found = bill_of(load_fabric("gb200-nvl72-8-racks"))
    (trays,) = found.hosts
    assert (trays.model, trays.count, trays.is_whole) == ("gb200-tray", 144, True)
    assert found.whole_price is not None
    assert found.whole_price.typical_usd == pytest.approx(
        found.price.typical_usd + 144 * load_parts()["gb200-tray"].number("price_usd")
    )


def test_price_is_a_band_around_the_typical_one(bill: Bill) -> None:
    assert bill.price.low_usd == pytest.approx(0.7 * bill.price.typical_usd)
    assert bill.price.high_usd == pytest.approx(1.5 * bill.price.typical_usd)
    cables = sum(line.price.typical_usd for line in bill.cables if line.price)
    assert bill.price.typical_usd == pytest.approx(24 * 38_000 + cables)
    assert any("AACE" in note for note in bill.notes)
    assert ("qm9700", "price_usd", False) in {(s.part, s.attribute, s.is_verified) for s in bill.sources}


def test_what_has_no_price_is_named_and_left_out() -> None:
    found = bill_of(leaf_spine())
    assert found.price.typical_usd == sum(line.price.typical_usd for line in found.cables if line.price)
    assert "2 leaf switches of unknown model" in found.unpriced
    assert any("power of 4 switches is not known" in note for note in found.notes)


def test_ports_are_split_and_joined() -> None:
    # Ports of 800 Gb/s: a leaf takes 16 NIC cables of 400 on 8 ports, and 8 uplinks of 800 on 8 more.
    fabric = fabric_from(
        "schema_version: 1\nkind: leaf-spine\nname: split\n"
        "hosts: {accelerator: h100-sxm, accelerators: 8, nic: connectx-7-400g, nics: 8, count: 4}\n"
        "network: {leaf: sn5600, hosts_a_leaf: 2, uplinks: 8, spines: 2}\n"
    )
    leaf, spine = bill_of(fabric).switches
    assert (leaf.count, leaf.ports_used, leaf.ports_used_most, leaf.ports_free) == (2, 32, 16, 96)
    assert (spine.count, spine.ports_used, spine.ports_free) == (2, 16, 112)


def row_of_racks(count: int = 4) -> Fabric:
    """One leaf, hosts one a rack."""
    return fabric_from(
        "schema_version: 1\nkind: leaf-spine\nname: row\n"
        f"hosts: {{part: dgx-h100, count: {count}, a_rack: 1}}\n"
        "network: {tiers: 1, leaf: qm9700}\n"
    )


def test_cable_lengths_by_hand() -> None:
    # h0 h1 [network] h2 h3: racks 0.6 m apart, so 0.6 or 1.2 m in the tray; 1.5 m up and down, 0.5 m of slack.
    found = bill_of(row_of_racks())
    assert found.network_racks == 1
    assert [(line.length_m, line.count) for line in found.cables] == [(5.0, 32)]  # 4.1 and 4.7 m, rounded up
    near = LayoutRules(rack_pitch_m=0.1, riser_m=1.0, slack_m=0.25)
    found = bill_of(row_of_racks(), rules=near)
    assert [(line.medium, line.length_m, line.count) for line in found.cables] == [("DAC", 2.5, 32)]  # 2.35 and 2.45


def test_a_longer_floor_takes_longer_cables() -> None:
    def total_m(rules: LayoutRules) -> float:
        return sum(line.length_m * line.count for line in bill_of(two_units(), rules=rules).cables)

    assert total_m(LayoutRules(row_pitch_m=10.0, racks_a_row=4)) > total_m(LayoutRules(racks_a_row=4))


def test_the_rack_model_fills_racks_by_height_and_power() -> None:
    fabric = fabric_from(
        "schema_version: 1\nkind: leaf-spine\nname: row\nhosts: {part: dgx-h100, count: 8}\n"
        "network: {tiers: 1, leaf: q3400-ra}\n"
    )
    assert bill_of(fabric).host_racks == 2  # 42 U hold five of 8 U
    assert bill_of(fabric, rules=LayoutRules(rack_watts=25_000.0)).host_racks == 4  # two of 10.2 kW each


@pytest.mark.parametrize(
    ("gbps", "length_m", "part", "medium"),
    [
        (400.0, 2.0, "dac-400", "DAC"),
        (400.0, 10.0, "aoc-400", "AOC"),
        (400.0, 100.0, "smf-400-dr4", "optics"),
        (800.0, 5.0, "aec-800", "AEC"),
        (200.0, 2.0, "dac-400", "DAC"),
        (800.0, 900.0, None, "unknown"),
        (1600.0, 1.0, None, "unknown"),
    ],
)
def test_the_cable_fits_rate_and_reach(gbps: float, length_m: float, part: str | None, medium: str) -> None:
    chosen = choose_cable(from_gbps(gbps), length_m, load_parts())
    assert (chosen.id if chosen else None) == part
    assert medium_of(chosen) == medium


def test_own_parts_change_the_price() -> None:
    cheap = Part(
        "dac-own", "cable", values={"cable_bytes_per_s": from_gbps(400), "max_reach_m": 100.0, "price_usd": 1.0}
    )
    found = bill_of(two_units(), parts={**load_parts(), "dac-own": cheap})
    assert {line.part for line in found.cables} == {"dac-own"}


def test_failures_by_hand() -> None:
    # 2 leaves of 2 hosts with one NIC: a leaf cuts off its 2 accelerators and half of the access capacity.
    rows = {row.component: row for row in bill_of(leaf_spine()).failures}
    leaf, spine = rows["leaf switch"], rows["spine switch"]
    assert (leaf.count, leaf.accelerators_cut_off, leaf.hosts_cut_off, leaf.capacity_lost_frac) == (2, 2, 2, 0.5)
    assert (spine.accelerators_cut_off, spine.capacity_lost_frac) == (0, 0.5)
    assert (rows["NIC"].accelerators_cut_off, rows["NIC"].capacity_lost_frac) == (1, 0.25)
    assert rows["NIC cable"].accelerators_cut_off == 1
    assert rows["leaf–spine cable"].accelerators_cut_off == 0
    alone = {row.component: row for row in bill_of(leaf_spine(spines=1)).failures}
    assert alone["spine switch"].accelerators_cut_off == 2  # the two leaves can no longer meet
    assert alone["leaf–spine cable"].accelerators_cut_off == 2


def test_failures_without_nics_by_hand() -> None:
    torus = fabric_from(
        "schema_version: 1\nkind: torus\nname: t\ngrid: {shape: [4, 4], host_shape: [2, 2]}\n"
        "hosts: {accelerator: tpu-v5e}\n"
    )
    rows = {row.component: row for row in bill_of(torus).failures}
    assert "scale-up switch (of its domain)" not in rows  # a router is part of its chip
    assert (rows["scale-up cable"].count, rows["scale-up cable"].capacity_lost_frac) == (32, 1 / 32)
    boards = fabric_from(
        "schema_version: 1\nkind: hamming-mesh\nname: t\n"
        "boards: {rows: 2, columns: 2, shape: [2, 2], accelerator: h100-sxm, link_gbps: 400, switch: qm9700}\n"
    )
    found = bill_of(boards)
    # a switch for each of 2 lines of 2 rows and of 2 columns, alike
    rows = {row.component: row for row in found.failures}
    assert (
        rows["scale-up switch (of its domain)"].count,
        rows["scale-up switch (of its domain)"].capacity_lost_frac,
    ) == (
        8,
        1 / 8,
    )
    assert {line.medium for line in found.cables} <= {"DAC", "AOC"}  # Ethernet and InfiniBand switches have cables


def test_a_users_own_host_is_preferred() -> None:
    own = Part(
        "own-h100",
        "host",
        values={
            "accelerator": "h100-sxm",
            "num_accelerators": 8,
            "nic": "connectx-7-400g",
            "num_nics": 8,
            "rack_units": 4,
            "watts": 9_000,
        },
    )
    assert bill_of(two_units(), parts={**load_parts(), own.id: own}).power.hosts_watts == 63 * 9_000


def test_path_diversity_by_hand() -> None:
    (row,) = bill_of(leaf_spine(leaves=3, spines=2, cables=2)).diversity
    # from leaf to leaf over 2 spines with 2 parallel cables on each side: 2 × 2 × 2 ways, 4 without a common cable
    assert (row.pair, row.hops, row.shortest_min, row.shortest_max, row.disjoint_min) == ("same pod", 2, 8.0, 8.0, 4)


def test_oversubscription_is_of_what_is_cabled() -> None:
    (ratio,) = bill_of(load_fabric("leaf-spine-4to1")).oversubscription
    assert (ratio.tier, ratio.ratio) == (1, pytest.approx(4.0))


@pytest.mark.parametrize("name", [entry.name for entry in list_catalog() if "131072" not in entry.name])
def test_every_fabric_of_the_catalogue_has_a_bill(name: str) -> None:
    fabric = load_fabric(name)
    found = bill_of(fabric)
    facts = counts(fabric)
    tiers = {"leaf": "leaves", "spine": "spines", "core": "cores"}
    for tier, key in tiers.items():
        assert sum(line.count for line in found.switches if line.tier == tier) == facts[key]
    assert sum(line.count for line in found.cables if line.joins == "NIC to leaf") == facts["nic_leaf"]
    text = json.dumps(bill_dict(found), allow_nan=False)
    assert json.loads(text)["schema"] == "scaleplan/bill/1"
    rows = list(csv.DictReader(io.StringIO(bill_csv(found))))
    assert list(rows[0]) == list(BILL_COLUMNS)
    assert sum(int(row["count"]) for row in rows if row["class"] == "cable") == len(found.runs.link)


def test_an_imported_fabric_has_a_bill_too() -> None:
    text = "SwitchName=a Nodes=n[1-2]\nSwitchName=b Nodes=n[3-4]\nSwitchName=c Switches=a,b\n"
    found = bill_of(import_sources([Source("topology.conf", text)]).fabric)
    assert [(line.tier, line.model, line.count) for line in found.switches] == [("leaf", "", 2), ("spine", "", 1)]
    assert any("assumed" in text or "accelerators" in text for text in bill_dict(found)["assumptions"])
