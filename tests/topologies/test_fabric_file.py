"""Fabric files as a whole: the catalogue, the schema, and bad input in one line each."""

import json
import re
from pathlib import Path

import pytest

from tests.topologies.fabrics import counts, fabric_from
from topologies.errors import InputError
from topologies.files.fabric_file import catalog_folder, fabric_json_schema, list_catalog, load_fabric
from topologies.kinds.registry import fabric_kinds, kind_names
from topologies.parts_catalog import load_parts

GOOD = """\
schema_version: 1
kind: rail-optimized
name: good
hosts: {part: dgx-h100, count: 4}
network: {tiers: 2, leaf: qm9700}
"""

EXPECTED = {  # accelerators, leaves, spines, cores
    "dgx-a100-superpod-4su": (640, 32, 20, 0),
    "dgx-b200-superpod-16su": (4096, 128, 128, 64),
    "dgx-b200-superpod-4su": (1024, 32, 16, 0),
    "dgx-b300-superpod-ethernet-16su": (8192, 256, 128, 0),
    "dgx-b300-superpod-xdr-4su": (2304, 32, 18, 0),
    "dgx-h100-superpod-1su": (248, 8, 4, 0),
    "dgx-h100-superpod-2su": (504, 16, 8, 0),
    "dgx-h100-superpod-4su": (1016, 32, 16, 0),
    "dragonfly-plus-1024": (1024, 32, 32, 0),
    "rail-only-1024": (1024, 32, 16, 0),
    "gb200-nvl72-8-racks": (576, 32, 9, 0),
    "hgx-a100-847": (6776, 28, 32, 14),  # 4 rails × ⌈847 hosts / 128 a leaf⌉; 32 uplinks a leaf; 896 uplinks / 64 ports
    "hgx-h100-131072": (131072, 2048, 2048, 1024),
    "hgx-h100-16384": (16384, 512, 512, 256),
    "hpn-pod-15360": (15360, 240, 120, 0),
    "leaf-spine-4to1": (768, 8, 2, 0),
    "lingjun-2023": (6776, 119, 48, 16),
    "mi300x-leaf-spine": (512, 8, 4, 0),
    "nvl576": (576, 24, 11, 0),
    "three-pools": (528, 26, 12, 0),
    "tpu-v5p-cube": (64, 0, 0, 0),
}


def test_every_fabric_of_the_catalogue_is_built_as_counted() -> None:
    entries = list_catalog()
    assert [entry.name for entry in entries] == sorted(EXPECTED)
    for entry in entries:
        fabric = load_fabric(entry.name)
        found = counts(fabric)
        assert fabric.name == entry.name
        assert entry.description
        assert (found["accelerators"], found["leaves"], found["spines"], found["cores"]) == EXPECTED[entry.name]


def test_catalogue_files_name_the_schema_for_editors() -> None:
    for entry in list_catalog():
        first = entry.path.read_text(encoding="utf-8").splitlines()[0]
        assert first == "# yaml-language-server: $schema=fabric.schema.json"


def test_the_schema_beside_the_catalogue_is_current() -> None:
    path = catalog_folder() / "fabric.schema.json"
    assert json.loads(path.read_text(encoding="utf-8")) == fabric_json_schema(), (
        "run: python -m topologies.files.fabric_file > topologies/catalog/fabric.schema.json"
    )


def test_the_schema_has_a_branch_for_every_kind() -> None:
    schema = fabric_json_schema()
    assert set(schema["discriminator"]["mapping"]) == set(fabric_kinds())
    assert len(schema["oneOf"]) == len(fabric_kinds())
    text = json.dumps(schema)
    for reference in {word.split('"')[0] for word in text.split('"#/$defs/')[1:]}:
        assert reference in schema["$defs"]
    for definition in schema["$defs"].values():
        assert definition.get("additionalProperties") is False or "properties" not in definition


def test_kinds_say_what_they_are() -> None:
    for name, kind in fabric_kinds().items():
        assert kind.name == name
        assert kind.summary
        assert kind.parameters.model_fields["kind"].annotation.__args__ == (name,)


def test_a_users_parts_are_used(tmp_path: Path) -> None:
    path = tmp_path / "parts.yaml"
    path.write_text(
        "schema_version: 1\nparts:\n  tiny:\n    class: switch\n    attributes:\n"
        "      num_ports: {value: 32, source: mine}\n      port_gbps: {value: 400, source: mine}\n"
    )
    fabric_path = tmp_path / "fabric.yaml"
    fabric_path.write_text(GOOD.replace("qm9700", "tiny"))
    found = counts(load_fabric(fabric_path, parts=load_parts(path)))
    assert (found["leaves"], found["spines"]) == (8, 4)  # 16 down, 16 up; 8 × 16 cables on spines of 32


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            GOOD.replace("network:", "netwrok:"),
            "fabric.yaml:5: netwrok: unknown key (and 1 further fault in this file); found: netwrok; "
            "allowed: schema_version, kind, name, description, source, licence, assumptions, hosts, network; "
            "fix: did you mean network?",
        ),
        (
            GOOD.replace("count: 4", 'count: "4"'),
            "fabric.yaml:4: hosts.count: not a whole number; found: text '4'; allowed: a whole number; "
            "fix: take the quotes off",
        ),
        (
            GOOD.replace("count: 4", "count: 1e9"),
            "fabric.yaml:4: hosts.count: some readers take this for text and others for a number; found: 1e9; "
            "allowed: a number with a digit before the point, and with a point and a sign if it has an exponent; "
            "fix: write 1.0e+9 or 1000000000",
        ),
        (
            GOOD.replace("count: 4", "count: 4, count: 5"),
            "fabric.yaml:4: hosts.count: the key stands twice; found: count on line 4 and on line 4; "
            "allowed: each key once; fix: take one of them out",
        ),
        (
            GOOD.replace("kind: rail-optimized", "kind: no"),
            "fabric.yaml:2: kind: some readers take no for a truth value and others for text; found: no; "
            'allowed: true, false, or text in quotes; fix: write false or "no"',
        ),
        (
            GOOD.replace("rail-optimized", "rail-optimised"),
            "fabric.yaml:2: kind: no such kind of fabric; found: text 'rail-optimised'; "
            f"allowed: {', '.join(fabric_kinds())}; fix: did you mean rail-optimized?",
        ),
        (
            GOOD.replace("kind:", "kid:"),
            "fabric.yaml:1: the key kind is missing; found: keys schema_version, kid, name, hosts, network; "
            f"allowed: {', '.join(fabric_kinds())}; fix: did you mean kind instead of kid?",
        ),
        (
            GOOD.replace("schema_version: 1", "schema_version: 2"),
            "fabric.yaml:1: schema_version: not one of the choices; found: 2; allowed: 1",
        ),
        (
            GOOD.replace("dgx-h100", "dgx-h1000"),
            None,
        ),
        (
            GOOD.replace("part: dgx-h100, ", ""),
            "fabric.yaml:4: hosts.accelerator: the key is missing; found: neither accelerator nor part; "
            "fix: add accelerator or part",
        ),
        (GOOD.replace("count: 4", "count: 4, scale_up: {gb_per_s: 0}"), None),
        (
            GOOD.replace("count: 4", "count: 4, names: 'h{}{}'"),
            None,
        ),
        (
            "- 1\n",
            "fabric.yaml:1: a fabric file holds keys and values; found: a list of 1; allowed: a mapping with kind: …",
        ),
        ("just words\n", None),
    ],
)
def test_bad_fabric_files(text: str, message: str | None) -> None:
    with pytest.raises(InputError) as caught:
        fabric_from(text)
    assert caught.value.message.startswith("fabric.yaml:")
    assert "\n" not in caught.value.message
    if message is not None:
        assert caught.value.message == message


def test_names_that_are_neither_a_file_nor_in_the_catalogue(tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught:
        load_fabric("dgx-h100-superpod-3su")
    assert caught.value.message.startswith(
        "neither a file nor a fabric of the catalogue; found: 'dgx-h100-superpod-3su'; allowed: dgx-a100-superpod-4su, "
    )
    assert caught.value.message.endswith("fix: did you mean dgx-h100-superpod-4su?")
    with pytest.raises(InputError, match=r"no such file"):
        load_fabric(tmp_path / "fabric.yaml")


DOCS = Path(__file__).parents[2] / "docs"


def files_shown(page: Path) -> list[str]:
    fences = re.findall(
        r'^```yaml(?: title="[^"\n]*")?\n(.*?)^```', page.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE
    )
    return [text for text in fences if "schema_version" in text]


def test_the_files_shown_in_the_docs_are_built() -> None:
    shown = files_shown(DOCS / "fabric-files.md")
    assert len(shown) >= 2
    for text in shown:
        assert fabric_from(text).num_accelerators > 0


@pytest.mark.parametrize("kind", kind_names())
def test_every_kind_has_a_page_with_a_file_that_is_built(kind: str) -> None:
    page = DOCS / "kinds" / f"{kind}.md"
    shown = files_shown(page)
    assert shown
    for text in shown:
        assert f"kind: {kind}\n" in text
        assert fabric_from(text).num_accelerators > 0
    assert f"(kinds/{kind}.md)" in (DOCS / "fabric-files.md").read_text(encoding="utf-8")
