"""A fabric file with everything stated: any fabric comes back the same, in few lines."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.topologies.fabrics import fabric_from
from tests.topologies.formats.texts import DATA, source
from topologies.errors import InputError
from topologies.fabric import Fabric
from topologies.files.fabric_file import load_fabric
from topologies.files.name_ranges import expand_names
from topologies.formats.importing import export_fabric, import_fabric, import_sources
from topologies.formats.name_runs import name_runs

#  one leaf, two hosts of odd names and rails; a mesh inside the first
STATED = """\
schema_version: 1
kind: graph
name: odd
host_types:
  two: {inside: stated, accelerators: 2, nics: 2, nic_names: [mlx5_0, mlx5_3], nic_rails: [0, 3],
        accelerator_names: [a, b], accelerator: h100-sxm}
  one: {inside: stated, accelerators: 1, nics: 1}
hosts:
  - {names: h0, type: two, rack: R7}
  - {names: h1, type: one}
switches:
  - {names: leaf, tier: 1}
links:
  - {a: h0/a, b: h0/b, rate_gbps: 3600, latency_us: 3.33}
  - {a: "h0/a", b: h0/mlx5_0, rate_gbps: 400, latency_us: 0.8}
  - {a: "h0/b", b: h0/mlx5_3, rate_gbps: 400, reverse_gbps: 200, latency_us: 0.8}
  - {a: h1/gpu0, b: h1/nic0, rate_gbps: 100}
  - {a: ["h0/mlx5_[0,3]", h1/nic0], b: leaf, rate_gbps: 100}
"""


def again(fabric: Fabric) -> Fabric:
    return import_sources([source(export_fabric(fabric, "fabric").text, "f.yaml")]).fabric


def test_a_stated_inside_is_as_stated() -> None:
    fabric = fabric_from(STATED)
    assert list(fabric.node_names) == ["h0/a", "h0/b", "h1/gpu0", "h0/mlx5_0", "h0/mlx5_3", "h1/nic0", "leaf"]
    assert fabric.nic_rail.tolist() == [0, 3, 0]
    assert fabric.accelerator_domain.tolist() == [0, 0, 1]
    assert [part.id for part in fabric.parts] == ["h100-sxm"]
    assert again(fabric).fingerprint == fabric.fingerprint


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("nic_rails: [0, 3]", "nic_rails: [0]", "f.yaml:5: host_types.two.nic_rails: nic_rails needs as many"),
        (
            "{inside: stated, accelerators: 1, nics: 1}",
            "{inside: stated, accelerators: 1}",
            "needs accelerators and nics",
        ),
        ("accelerator: h100-sxm", "part: dgx-h100", "a key that makes links, where all of them are stated"),
        ("type: one}", "type: one, leaf: leaf}", "leaf makes cables, where all links are stated"),
        ("accelerator: h100-sxm", "accelerator: h100-sxn", "did you mean h100-sxm"),
        ("  - {a: h1/gpu0, b: h1/nic0, rate_gbps: 100}\n", "", ""),
        ("h0/mlx5_[0,3]", "h0/mlx5_3", "NIC"),
    ],
)
def test_faults_of_a_stated_inside(old: str, new: str, words: str) -> None:
    assert old in STATED
    if not words:  # an accelerator without NIC and without peers reaches nobody
        words = "pieces"
    with pytest.raises(InputError) as caught:
        import_sources([source(STATED.replace(old, new), "f.yaml")])
    assert words in caught.value.message


@pytest.mark.parametrize("name", ["dgx-h100-superpod-1su", "gb200-nvl72-8-racks", "tpu-v5p-cube", "mi300x-leaf-spine"])
def test_a_design_comes_back_to_the_last_bit(name: str) -> None:
    fabric = load_fabric(name)
    exported = export_fabric(fabric, "fabric")
    assert exported.losses == ()
    assert again(fabric).fingerprint == fabric.fingerprint


@pytest.mark.parametrize("name", ["ft16_ftree", "ft64_2cables_ftree", "ft64_hdr_edr_ftree", "ft128_3level_ftree"])
def test_an_import_comes_back_to_the_last_bit(name: str) -> None:
    imported = import_fabric([DATA / "infiniband" / name / "ibnetdiscover.txt"])
    exported = export_fabric(imported, "fabric")
    assert exported.losses == ()
    back = import_sources([source(exported.text, "f.yaml")])
    assert back.fabric.fingerprint == imported.fabric.fingerprint
    assert imported.ports is not None
    assert back.ports is not None
    assert (back.ports.source, back.ports.target) == (imported.ports.source, imported.ports.target)


def test_ports_are_as_many_as_cables() -> None:
    text = STATED.replace(
        "b: leaf, rate_gbps: 100}", "b: leaf, rate_gbps: 100, b_ports: '[1-3]', a_ports: ['-', p1, p2]}"
    )
    imported = import_sources([source(text, "f.yaml")])
    assert imported.ports is not None
    assert list(imported.ports.target[-3:]) == ["1", "2", "3"]
    assert list(imported.ports.source[-3:]) == ["", "p1", "p2"]
    with pytest.raises(InputError, match=r"f\.yaml:18: links\[4\]\.b_ports: the ports are not as many as the cables"):
        import_sources([source(text.replace("[1-3]", "[1-4]"), "f.yaml")])


def test_names_in_short() -> None:
    assert name_runs(["h1/n0", "h1/n1", "h2/n0", "h2/n1", "x", "h2/n1"]) == ["h[1-2]/n[0-1]", "x", "h2/n1"]
    assert name_runs(["leaf09", "leaf10", "leaf12"]) == ["leaf[09-10]", "leaf12"]
    assert name_runs(["9", "10", "011"]) == ["[9-10]", "011"]
    with pytest.raises(InputError, match="brackets"):
        name_runs(["a[0]"])


@given(st.lists(st.from_regex(r"[a-b]{0,2}[0-2]{0,2}(/n[0-3])?", fullmatch=True), max_size=12))
def test_short_names_expand_to_the_same(names: list[str]) -> None:
    assert [name for text in name_runs(names) for name in expand_names(text)] == names
