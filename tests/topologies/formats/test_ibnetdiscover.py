"""ibnetdiscover's own output, and what is done with files that are cut, mixed or hostile."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.topologies.fabrics import counts, fabric_from
from tests.topologies.formats.texts import DATA, ibnetdiscover_text, refusal, source
from topologies.errors import InputError
from topologies.fabric import LinkKind
from topologies.formats.importing import import_fabric, import_sources
from topologies.formats.infiniband import host_and_device, link_rate, switch_name
from topologies.formats.registry import ReadOptions
from topologies.units import from_gbps, to_gbps

FT16 = DATA / "infiniband" / "ft16_ftree" / "ibnetdiscover.txt"


def test_a_real_subnet_of_two_tiers() -> None:
    imported = import_fabric([FT16])
    found = counts(imported.fabric)
    assert imported.format == "ibnetdiscover"
    assert (found["hosts"], found["leaves"], found["spines"]) == (16, 4, 2)
    assert (found["nic_leaf"], found["leaf_spine"]) == (16, 8)
    assert imported.fabric.host_names[:3] == ["node-000", "node-001", "node-002"]
    scale_out = imported.fabric.link_kind == LinkKind.SCALE_OUT
    assert set(to_gbps(imported.fabric.link_capacity_bytes_per_s[scale_out])) == {8.0}  # 4x SDR, 8b/10b
    assert "1 accelerator a host, one for each NIC" in imported.fabric.assumptions


def test_ports_are_those_of_the_file() -> None:
    imported = import_fabric([FT16])
    assert imported.ports is not None
    seen = {imported.fabric.link_name(i): imported.ports.at(i) for i in range(imported.fabric.num_links)}
    assert seen["leaf-03 → node-012/nic0"] == ("1", "1")
    assert seen["node-015/nic0 → leaf-03"] == ("1", "4")
    assert seen["leaf-03 → spine-00"] == ("5", "4")
    assert seen["spine-01 → leaf-02"] == ("3", "6")


def test_both_forms_give_one_fabric() -> None:
    plain = import_fabric([FT16])
    flat = import_fabric([FT16.with_name("ibnetdiscover_ports.txt")])

    def cables(imported: object) -> Counter[tuple[str, float]]:
        fabric = imported.fabric  # type: ignore[attr-defined]
        return Counter(
            (fabric.link_name(i), float(fabric.link_capacity_bytes_per_s[i])) for i in range(fabric.num_links)
        )

    assert cables(plain) == cables(flat)
    assert plain.addresses["lid:22"] == flat.addresses["lid:22"] == "node-015/nic0"
    assert plain.addresses["guid:0x0000000000200003"] == flat.addresses["guid:0x0000000000200003"] == "leaf-03"


@pytest.mark.parametrize(
    ("folder", "leaf_spine", "spine_core", "rates"),
    [
        ("ft64_2cables_ftree", 64, 0, {8.0}),
        ("ft64_missing_cable_ftree", 31, 0, {8.0}),
        ("ft64_hdr_edr_ftree", 32, 0, {100.0, 200.0}),
        ("ft128_3level_ftree", 64, 64, {8.0}),
    ],
)
def test_other_real_subnets(folder: str, leaf_spine: int, spine_core: int, rates: set[float]) -> None:
    fabric = import_fabric([DATA / "infiniband" / folder / "ibnetdiscover.txt"]).fabric
    found = counts(fabric)
    assert (found["leaf_spine"], found["spine_core"]) == (leaf_spine, spine_core)
    scale_out = fabric.link_kind == LinkKind.SCALE_OUT
    assert set(to_gbps(fabric.link_capacity_bytes_per_s[scale_out])) == rates


def test_a_design_is_found_again() -> None:
    design = fabric_from(
        """
schema_version: 1
kind: rail-optimized
name: two-units
hosts: {part: dgx-h100, count: 63, names: "dgx-{:03d}"}
network: {tiers: 2, leaf: qm9700}
"""
    )
    found = import_sources([source(ibnetdiscover_text(design))]).fabric
    assert counts(found) == counts(design)
    assert list(found.host_names) == list(design.host_names)
    assert np.array_equal(found.nic_rail, design.nic_rail)
    assert np.array_equal(found.host_leaf_group, design.host_leaf_group)
    assert found.num_domains == 63


SWITCH = """vendid=0x2c9
switchguid=0x1(1)
Switch	64 "S-0000000000000001"		# "MF0;leaf1:MQM9700/U1" enhanced port 0 lid 1 lmc 0
"""
RAIL_NAMES = ("gpu1 mlx5_0", "gpu1 mlx5_10", "gpu2 mlx5_0", "gpu2 mlx5_2", "gpu2 mlx5_10")


def small(names: tuple[str, ...] = RAIL_NAMES, switch: str = SWITCH) -> str:
    text = switch
    for i, name in enumerate(names, start=1):
        text += f'[{i}]\t"H-{i:016x}"[1]({i + 256:x}) \t\t# "{name}" lid {i + 1} 4xNDR\n'
    for i, name in enumerate(names, start=1):
        text += f'\nCa\t1 "H-{i:016x}"\t\t# "{name}"\n'
        text += f'[1]({i + 256:x}) \t"S-0000000000000001"[{i}]\t\t# lid {i + 1} lmc 0 "leaf1" lid 1 4xNDR\n'
    return text


def test_hosts_rails_and_models_are_read_from_descriptions() -> None:
    imported = import_sources([source(small())])
    fabric = imported.fabric
    assert list(fabric.host_names) == ["gpu1", "gpu2"]
    assert list(fabric.node_names[5:10]) == [
        "gpu1/mlx5_0",
        "gpu1/mlx5_10",
        "gpu2/mlx5_0",
        "gpu2/mlx5_2",
        "gpu2/mlx5_10",
    ]
    assert fabric.nic_rail.tolist() == [0, 2, 0, 1, 2]
    assert fabric.node_names[-1] == "leaf1"
    assert [part.id for part in fabric.parts] == ["qm9700"]
    assert any("rail" in guess for guess in imported.guesses)


def test_a_host_without_one_of_its_nics_keeps_its_accelerators() -> None:
    whole = tuple(f"h{h} mlx5_{i}" for h in range(3) for i in range(4))
    fabric = import_sources([source(small(whole[:-1]))]).fabric
    assert fabric.host_num_accelerators.tolist() == [4, 4, 4]
    assert fabric.nic_rail.tolist() == [0, 1, 2, 3, 0, 1, 2, 3, 0, 1, 2]


def test_what_is_no_host_is_left_out_and_told() -> None:
    names = ("gpu1 mlx5_0", "gpu2 mlx5_0", "Mellanox Technologies Aggregation Node", "storage1 mlx5_0")
    imported = import_sources([source(small(names))], options=ReadOptions(hosts="^gpu"))
    assert list(imported.fabric.host_names) == ["gpu1", "gpu2"]
    assert any("aggregation nodes" in text for text in imported.left_out)
    assert any("--hosts ^gpu" in text for text in imported.left_out)


def test_adapters_of_one_description_are_told_apart() -> None:
    imported = import_sources([source(small(("gpu1 HCA-1", "gpu1 HCA-1", "MT4129 ConnectX7 Mellanox Technologies")))])
    assert sorted(imported.fabric.node_names[3:6]) == ["H-0000000000000003/nic0", "gpu1/HCA-1-0", "gpu1/HCA-1-1"]
    assert any("GUID" in guess for guess in imported.guesses)


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("4xNDR\n", "4xNDRX\n", r"file.txt:4: no such link rate"),
        ("[2]\t", "[1]\t", r"file.txt:5: a port has two links; found: port 1 of S-0+1, also on line 4"),
        ('"gpu2 mlx5_2" lid 5 4xNDR', '"gpu2 mlx5_2" lid 5 4xHDR', "ends of a link disagree"),
        ("[3]\t", "hello\n[3]\t", "file.txt:6: not a line of ibnetdiscover; found: 'hello'"),
        ("lid 1 lmc 0\n", "lid 1 lmc 0\n[x]\n", "file.txt:4: not a line of ibnetdiscover"),
        ('Ca\t1 "H-0000000000000002"', 'Ca\t1 "H-0000000000000001"', "described twice"),
    ],
)
def test_faults_name_their_line(old: str, new: str, words: str) -> None:
    text = small()
    assert old in text
    with pytest.raises(InputError, match=words):
        import_sources([source(text.replace(old, new, 1))], format="ibnetdiscover")


def test_two_runs_are_not_one_network(tmp_path: object) -> None:
    with pytest.raises(InputError, match="two files of one network"):
        import_sources([source(small()), source(small(), "other.txt")])


@given(st.integers(0, 5_500))
@settings(max_examples=60, deadline=None)
def test_a_file_cut_anywhere_is_refused_with_its_line_or_whole(length: int) -> None:
    text = FT16.read_text()
    whole = import_fabric([FT16]).fabric
    message = refusal(text[:length], "ibnetdiscover")
    if message:
        assert message.startswith("file.txt")
    else:  # only blank ends were cut
        assert import_sources([source(text[:length])]).fabric.num_links == whole.num_links


@given(st.text(max_size=300))
@settings(max_examples=80, deadline=None)
def test_any_text_is_read_or_refused(text: str) -> None:
    for whole in (text, small() + text, SWITCH + text):
        assert "\n" not in refusal(whole, "ibnetdiscover")


def test_words_of_infiniband() -> None:
    assert link_rate("4x", "NDR") == from_gbps(400.0)
    assert link_rate("2x", "HDR") == from_gbps(100.0)
    assert link_rate("4x", "FDR") == pytest.approx(from_gbps(54.5454545))
    assert link_rate("4x", "ZDR") is None
    assert switch_name("MF0;leaf 1:MQM9700/U1") == "leaf 1"
    assert switch_name("MF0;director:CS7500/L12/U1") == "director/L12"
    assert switch_name("Quantum Mellanox Technologies") == ""
    assert host_and_device("h1 mlx5_0") == ("h1", "mlx5_0")
    assert host_and_device("h1") == ("h1", "")
    assert host_and_device("MT4129 ConnectX7   Mellanox Technologies") is None
