"""The parts catalogue: complete, sourced, overridable."""

from pathlib import Path

import pytest

from topologies.errors import InputError
from topologies.part_attributes import ATTRIBUTES
from topologies.parts import Part
from topologies.parts_catalog import find_part, load_parts
from topologies.parts_table import parts_markdown

ROOT = Path(__file__).parents[2]


def test_values_are_in_inside_units_and_one_direction() -> None:
    parts = load_parts()
    h100 = parts["h100-sxm"]
    assert h100.part_class == "accelerator"
    assert h100.number("bf16_flops_per_s") == 989e12
    assert h100.number("memory_bytes") == 80 * 2**30
    assert h100.number("scale_up_bytes_per_s") == 450e9  # NVLink 4: 900 GB/s two-way
    qm9700 = parts["qm9700"]
    assert qm9700.number("num_ports") == 64
    assert qm9700.number("port_bytes_per_s") == 50e9
    assert parts["nvlink-5-switch"].number("port_bytes_per_s") == 50e9
    assert parts["dgx-h100"].values["accelerator"] == "h100-sxm"


def test_every_value_has_a_source_and_every_part_its_bare_minimum() -> None:
    needed = {
        "accelerator": {"memory_bytes", "bf16_flops_per_s"},
        "switch": {"num_ports", "port_bytes_per_s", "fabric"},
        "scale-up switch": {"num_ports", "port_bytes_per_s"},
        "nic": {"nic_bytes_per_s"},
        "host": {"accelerator", "num_accelerators", "nic", "num_nics"},
    }
    parts = load_parts()
    for part in parts.values():
        assert part.sources.keys() == part.values.keys()
        assert part.unverified <= part.values.keys()
        assert all(part.sources.values())
        assert needed.get(part.part_class, set()) <= part.values.keys(), part.id
        if part.part_class == "host":
            find_part(parts, str(part.values["accelerator"]), "accelerator")
            find_part(parts, str(part.values["nic"]), "nic")


def test_what_was_not_checked_is_marked() -> None:
    for part in load_parts().values():
        for name, source in part.sources.items():
            if source.startswith("general knowledge"):
                assert name in part.unverified, (part.id, name)


def test_attribute_names_convert_there_and_back() -> None:
    assert len({a.file_name for a in ATTRIBUTES}) == len(ATTRIBUTES)
    for attribute in ATTRIBUTES:
        value = "x" if attribute.is_text else 3
        assert attribute.outside(attribute.inside(value)) == (value if attribute.is_text else pytest.approx(3))


def write(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "parts.yaml"
    path.write_text(text)
    return path


def test_a_users_file_adds_and_overrides(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        "schema_version: 1\n"
        "sources: {offer: an offer}\n"
        "parts:\n"
        "  qm9700: {class: switch, attributes: {price_usd: {value: 21000, source: offer}}}\n"
        "  my-nic: {class: nic, attributes: {nic_gbps: {value: 400, source: data sheet, verified: false}}}\n",
    )
    parts = load_parts(path)
    assert parts["qm9700"].values == {**load_parts()["qm9700"].values, "price_usd": 21000}
    assert parts["qm9700"].sources["price_usd"] == "an offer"
    assert "price_usd" not in parts["qm9700"].unverified
    assert "price_usd" in load_parts()["qm9700"].unverified
    assert parts["my-nic"] == Part(
        id="my-nic",
        part_class="nic",
        values={"nic_bytes_per_s": 50e9},
        sources={"nic_bytes_per_s": "data sheet"},
        unverified=frozenset({"nic_bytes_per_s"}),
    )


def test_an_own_price_does_away_with_the_band_of_the_catalogue(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = (
        "schema_version: 1\nparts:\n"
        "  h100-sxm: {class: accelerator, attributes: {price_usd: {value: 9000, source: offer}}}\n"
    )
    monkeypatch.setenv("SCALEPLAN_PARTS", str(write(tmp_path, text)))
    own = load_parts()["h100-sxm"]
    assert own.values["price_usd"] == 9000
    assert not {"price_low_usd", "price_high_usd"} & (own.values.keys() | own.sources.keys() | own.unverified)
    assert own.values["watts"] == 700
    monkeypatch.setenv("SCALEPLAN_PARTS", "")
    assert load_parts()["h100-sxm"].values["price_usd"] != 9000


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "schema_version: 1\nparts:\n  x: {class: nic, attributes: {nic_gpbs: {value: 3, source: s}}}\n",
            ":3: parts.x.attributes.nic_gpbs: unknown attribute; found: nic_gpbs;",
        ),
        (
            "schema_version: 1\nparts:\n  x: {class: nic, attributes: {nic_gbps: {value: -3, source: s}}}\n",
            ":3: parts.x.attributes.nic_gbps.value: wrong kind of value; found: -3; "
            "allowed: a number above 0, in 10⁹ bit/s",
        ),
        (
            "schema_version: 1\nparts:\n  x: {class: switch, attributes: {num_ports: {value: 6.5, source: s}}}\n",
            ":3: parts.x.attributes.num_ports.value: wrong kind of value; found: 6.5; "
            "allowed: a whole number above 0, in ports",
        ),
        (
            "schema_version: 1\nparts:\n  x: {class: nik, attributes: {}}\n",
            ":3: parts.x.class: not one of the choices; found: text 'nik';",
        ),
        ("schema_version: 2\nparts: {}\n", ":1: schema_version: not one of the choices; found: 2; allowed: 1"),
        (
            "schema_version: 1\nparts:\n  x: {class: nic, attributes: {nic_gbps: {value: 3}}}\n",
            ":3: parts.x.attributes.nic_gbps.source: the key is missing; found: keys value; fix: add source",
        ),
    ],
)
def test_bad_parts_files(tmp_path: Path, text: str, message: str) -> None:
    path = write(tmp_path, text)
    with pytest.raises(InputError) as caught:
        load_parts(path)
    assert caught.value.message.startswith(f"{path}{message}")


def test_find_part_names_the_nearest() -> None:
    with pytest.raises(InputError, match=r"no such accelerator; found: 'h100'; .*; fix: did you mean h100-sxm\?$"):
        find_part(load_parts(), "h100", "accelerator")
    with pytest.raises(
        InputError, match=r"this part is of another class than switch; found: .h100-sxm., class accelerator"
    ):
        find_part(load_parts(), "h100-sxm", "switch")


def test_the_docs_page_is_current() -> None:
    page = ROOT / "docs" / "parts.md"
    assert page.read_text(encoding="utf-8") == parts_markdown(), "run: python -m topologies.parts_table > docs/parts.md"
