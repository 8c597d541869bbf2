"""Pictures of fabrics: well-formed, with what is there, and no more than fits."""

from __future__ import annotations

import re
from xml.etree import ElementTree

import pytest

from tests.fixtures.clos_fabrics import leaf_spine
from tests.topologies.fabrics import fabric_from
from topologies.builder import FabricBuilder
from topologies.drawing.picture import counts_line, fabric_svg
from topologies.files.fabric_file import load_fabric

_NS = "{http://www.w3.org/2000/svg}"


def titles(svg: str, shape: str) -> list[str]:
    return [e.findtext(f"{_NS}title", "") for e in ElementTree.fromstring(svg).iter(f"{_NS}{shape}")]


def test_a_small_fabric_is_drawn_whole() -> None:
    svg = fabric_svg(leaf_spine())
    boxes = titles(svg, "rect")
    assert set(boxes) >= {"sp0", "sp1", "leaf0", "leaf1", "h0", "h1", "h2", "h3", "h0/nic0", "h3/gpu0"}
    # 4 leaf-spine cables, 4 NICs on leaves, 4 accelerators on NICs
    assert len(titles(svg, "path")) == 12


@pytest.mark.parametrize("name", ["hgx-h100-16384", "gb200-nvl72-8-racks", "three-pools", "nvl576", "lingjun-2023"])
def test_a_large_one_is_drawn_in_part_with_its_counts(name: str) -> None:
    fabric = load_fabric(name)
    svg = fabric_svg(fabric)
    assert len(svg) < 60_000
    words = " ".join(e.text or "" for e in ElementTree.fromstring(svg).iter(f"{_NS}text"))
    assert f"{fabric.num_hosts:,} hosts" in words
    assert len(titles(svg, "path")) > 10


def test_bundles_say_how_many_cables_they_are() -> None:
    svg = fabric_svg(leaf_spine(cables=3))
    assert titles(svg, "path").count("3 × 8e-08 Gb/s") == 4  # rates of 10 bytes/s


def test_a_torus_is_a_mesh() -> None:
    fabric = fabric_from(
        "schema_version: 1\nkind: torus\nname: t\ngrid: {shape: [4, 4], host_shape: [2, 2]}\n"
        "hosts: {accelerator: tpu-v5e}\n"
    )
    svg = fabric_svg(fabric)
    assert len([title for title in titles(svg, "rect") if title]) == 16
    assert len(titles(svg, "path")) == 32  # two a chip


def test_names_are_data() -> None:
    builder = FabricBuilder("<b>&")
    leaf = builder.add_switches(['"><script>'])
    block = builder.add_hosts(["h<i>"], accelerators=1, nics=1, host_link_bytes_per_s=1.0)
    builder.add_cables(block.nic[:, 0], leaf, rate_bytes_per_s=1.0)
    svg = fabric_svg(builder.build())
    assert not re.search("<script>|<i>|<b>", svg)
    assert {'"><script>', "h<i>"} <= set(titles(svg, "rect"))


def test_counts_are_in_words() -> None:
    assert counts_line(leaf_spine()) == "2 spines, 2 leaves, 4 accelerators, 4 hosts, 4 scale-up domains"
