"""Differences between a design and a discovery, each made by hand in one small fabric."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from planner.cli.main import run
from tests.topologies.formats.texts import DATA, source
from topologies.cable_diff import Difference, diff_fabrics
from topologies.errors import InputError
from topologies.formats.importing import export_fabric, import_fabric, import_sources, open_fabric
from topologies.formats.registry import Imported

#   spine1   spine2
#     | \   / |        each leaf to both spines
#   leaf1   leaf2      rail 0 on leaf1, rail 1 on leaf2
#    | |     | |
#   h1 h2   h1 h2
HEADER = "side_a_device,side_a_type,side_a_name,side_b_device,side_b_type,side_b_name,description\n"
ROWS = [
    ("h1", "nic0", "leaf1", "1", "NIC to leaf, 400 Gb/s"),
    ("h1", "nic1", "leaf2", "1", "NIC to leaf, 400 Gb/s"),
    ("h2", "nic0", "leaf1", "2", "NIC to leaf, 400 Gb/s"),
    ("h2", "nic1", "leaf2", "2", "NIC to leaf, 400 Gb/s"),
    ("leaf1", "31", "spine1", "1", "leaf to spine, 800 Gb/s"),
    ("leaf1", "32", "spine2", "1", "leaf to spine, 800 Gb/s"),
    ("leaf2", "31", "spine1", "2", "leaf to spine, 800 Gb/s"),
    ("leaf2", "32", "spine2", "2", "leaf to spine, 800 Gb/s"),
]
Row = tuple[str, str, str, str, str]


def site(rows: list[Row]) -> Imported:
    text = HEADER + "".join(f'{a},dcim.interface,{x},{b},dcim.interface,{y},"{d}"\n' for a, x, b, y, d in rows)
    return import_sources([source(text, "c.csv")])


def changed(changes: dict[int, Row]) -> list[Difference]:
    return diff_fabrics(site(ROWS), site([changes.get(i, row) for i, row in enumerate(ROWS)]))


def told(differences: list[Difference]) -> list[tuple[str, str]]:
    return [(difference.kind, difference.text) for difference in differences]


def test_the_same_has_no_difference() -> None:
    assert diff_fabrics(site(ROWS), site(ROWS[::-1])) == []


def test_a_missing_and_an_extra_cable() -> None:
    assert told(diff_fabrics(site(ROWS), site(ROWS[:-1]))) == [("missing", "leaf2 port 32 – spine2 port 2, 800 Gb/s")]
    more: list[Row] = [*ROWS, ("leaf2", "33", "spine2", "9", "leaf to spine, 800 Gb/s")]
    assert told(diff_fabrics(site(ROWS), site(more))) == [("extra", "leaf2 port 33 – spine2 port 9, 800 Gb/s")]


def test_crossed_rails_are_one_difference() -> None:
    found = changed({0: ("h1", "nic1", "leaf1", "1", ROWS[0][4]), 1: ("h1", "nic0", "leaf2", "1", ROWS[0][4])})
    assert [d.kind for d in found] == ["crossed"]
    assert found[0].text.startswith("crossed rails, h1 nic0 – leaf2 port 1 and h1 nic1 – leaf1 port 1, meant as ")
    assert [c.a for c in found[0].expected] == ["h1", "h1"]


def test_cables_of_two_hosts_crossed() -> None:
    found = changed({0: ("h1", "nic0", "leaf2", "2", ROWS[0][4]), 3: ("h2", "nic1", "leaf1", "1", ROWS[0][4])})
    assert [d.kind for d in found] == ["crossed"]
    assert not found[0].text.startswith("crossed rails")


def test_a_cable_in_the_wrong_switch() -> None:
    found = changed({4: ("leaf1", "31", "spine2", "9", ROWS[4][4])})
    assert told(found) == [("mis-cabled", "leaf1 port 31 – spine2 port 9, meant as leaf1 port 31 – spine1 port 1")]
    found = changed({2: ("h2", "nic0", "leaf2", "9", ROWS[0][4])})
    assert told(found) == [("mis-cabled", "h2 nic0 – leaf2 port 9, meant as h2 nic0 – leaf1 port 2")]


def test_another_port_and_other_rates() -> None:
    assert told(changed({0: ("h1", "nic0", "leaf1", "7", ROWS[0][4])})) == [
        ("other port", "h1 nic0 – leaf1 port 7, meant as h1 nic0 – leaf1 port 1")
    ]
    assert told(changed({4: (*ROWS[4][:4], "leaf to spine, 400 Gb/s")})) == [
        ("slow", "leaf1 port 31 – spine1 port 1 at 400 Gb/s, meant for 800 Gb/s")
    ]
    assert [d.kind for d in changed({4: (*ROWS[4][:4], "leaf to spine, 1600 Gb/s")})] == ["fast"]


def test_a_device_that_is_not_there_takes_its_cables_along() -> None:
    rows: list[Row] = [("h3" if row[0] == "h2" else row[0], *row[1:]) for row in ROWS]  # type: ignore[misc]
    assert told(diff_fabrics(site(ROWS), site(rows))) == [
        ("missing device", "host h2 with 2 cables"),
        ("extra device", "host h3 with 2 cables"),
    ]
    without = [row for row in ROWS if "spine2" not in row]
    assert told(diff_fabrics(site(ROWS), site(without))) == [("missing device", "switch spine2 with 2 cables")]


def test_nics_of_other_names_are_matched_by_rail() -> None:
    rows: list[Row] = [(a, f"mlx5_{int(x[3]) * 3}" if a[0] == "h" else x, b, y, d) for a, x, b, y, d in ROWS]
    assert diff_fabrics(site(ROWS), site(rows)) == []


def test_other_hosts_altogether_are_refused() -> None:
    rows: list[Row] = [(a.replace("h", "gpu") if a[0] == "h" else a, *rest) for a, *rest in ROWS]  # type: ignore[misc]
    with pytest.raises(InputError, match="no host of one name"):
        diff_fabrics(site(ROWS), site(rows))


@given(st.permutations(range(4)), st.sets(st.integers(0, 7)))
@settings(max_examples=60, deadline=None)
def test_every_changed_cable_is_told_once(order: list[int], gone: set[int]) -> None:
    """NICs are plugged in any order and some cables are gone: what is told makes up the whole change."""
    rows: list[Row] = [
        (ROWS[order[i]][0], ROWS[order[i]][1], *ROWS[i][2:]) if i < 4 else row for i, row in enumerate(ROWS)
    ]
    kept = [row for i, row in enumerate(rows) if i not in gone or i == 0]
    try:
        found = diff_fabrics(site(ROWS), site(kept))
    except InputError:
        return  # a network in pieces, or without the hosts
    lost = sum(len(d.expected) for d in found)
    won = sum(len(d.observed) for d in found)
    assert lost - won == len(ROWS) - len(kept)
    ends = [(c.a, c.port_a, c.b, c.port_b) for d in found for c in d.expected]
    assert len(set(ends)) == len(ends)


def test_real_discoveries() -> None:
    folder = DATA / "infiniband"
    whole = import_fabric([folder / "ft16_ftree" / "ibnetdiscover.txt"])
    ports = import_fabric([folder / "ft16_ftree" / "ibnetdiscover_ports.txt"])
    assert diff_fabrics(whole, ports) == []
    again = import_sources([source(export_fabric(whole, "netbox").text, "w.csv")])
    assert diff_fabrics(whole, again) == []


def test_crossed_rails_that_the_real_tools_found(capsys: pytest.CaptureFixture[str]) -> None:
    folder = DATA / "infiniband"
    files = [str(folder / name / "ibnetdiscover.txt") for name in ("rails_ftree", "rails_crossed")]
    assert run(["fabric", "diff", *files]) == 1
    assert capsys.readouterr().out.splitlines()[0] == (
        "crossed: crossed rails, gpu03 mlx5_1 – leaf00 port 4 and gpu03 mlx5_0 – leaf01 port 4, "
        "meant as gpu03 mlx5_1 – leaf01 port 4 and gpu03 mlx5_0 – leaf00 port 4"
    )


def test_a_design_beside_its_wire_map(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "wires.csv"
    assert run(["fabric", "export", "leaf-spine-4to1", "--format", "netbox", "-o", str(path)]) == 0
    assert run(["fabric", "diff", "leaf-spine-4to1", str(path)]) == 0
    assert capsys.readouterr().out.endswith("no difference\n")
    lines = path.read_text().splitlines()
    path.write_text(
        "\n".join([*lines[:3], *lines[4:]]).replace("h0000,dcim.interface,nic1", "h0000,dcim.interface,nic2")
    )
    assert run(["fabric", "diff", "leaf-spine-4to1", str(path), "--json"]) == 1
    report = json.loads(capsys.readouterr().out)
    assert report["schema"] == "scaleplan/fabric-diff/1"
    assert sum(report["counts"].values()) == len(report["differences"]) == 1
    assert report["differences"][0]["kind"] == "missing"
    assert report["differences"][0]["expected"][0]["a"] == "h0000"
    assert run(["fabric", "diff", "leaf-spine-4to1", "dgx-h100-superpod-1su"]) == 2


def test_big_fabrics_stay_quick_enough_to_compare() -> None:
    design = open_fabric("hgx-a100-847")
    assert diff_fabrics(design, design) == []


def test_guessed_rates_are_not_compared() -> None:
    rows: list[Row] = [(*row[:4], "" if row[0][0] == "h" else row[4]) for row in ROWS]  # type: ignore[misc]
    changed_rows: list[Row] = [(*row[:4], row[4].replace("400", "200")) for row in ROWS]  # type: ignore[misc]
    bare = site(rows)
    assert diff_fabrics(site(ROWS), bare) == []
    assert diff_fabrics(bare, site(changed_rows)) == []
    assert [d.kind for d in diff_fabrics(site(ROWS), site(changed_rows))] == ["slow"] * 4
