"""``scaleplan fabric bill`` as a person uses it."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest

from planner.cli.main import run


def test_the_table_tells_all_of_it(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    wires = tmp_path / "wires.csv"
    assert run(["fabric", "bill", "dgx-h100-superpod-2su", "--wire-map", str(wires)]) == 0
    out = capsys.readouterr().out
    for text in ("qm9700", "NIC to leaf", "million USD low / typical / high", "oversubscription of the leaf tier"):
        assert text in out
    for text in ("bisection of the scale-out network: 99,200 Gbit/s", "without a common cable", "power feed of a row"):
        assert text in out
    assert len(list(csv.DictReader(wires.read_text().splitlines()))) == 504 + 512


def test_json_and_csv_say_the_same(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["fabric", "bill", "leaf-spine-4to1", "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts["schema"] == "scaleplan/bill/1"
    assert run(["fabric", "bill", "leaf-spine-4to1", "--csv"]) == 0
    rows = list(csv.DictReader(capsys.readouterr().out.splitlines()))
    counts = {row["item"]: int(row["count"]) for row in rows if row["class"] == "switch"}
    assert counts == {row["tier"]: row["count"] for row in facts["switches"]}


def test_own_parts_and_racks_are_taken(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    own = tmp_path / "parts.yaml"
    own.write_text(
        "schema_version: 1\nparts:\n  qm9700:\n    class: switch\n"
        "    attributes: {price_usd: {value: 1000, source: my offer}}\n"
    )
    fabric = tmp_path / "fabric.yaml"
    fabric.write_text(
        "schema_version: 1\nkind: leaf-spine\nname: own\nhosts: {part: dgx-h100, count: 31}\nnetwork: {leaf: qm9700}\n"
    )
    asked = ["fabric", "bill", str(fabric), "--json", "--parts", str(own), "--rack-kw", "25"]
    assert run(asked) == 0
    facts = json.loads(capsys.readouterr().out)
    leaf = next(row for row in facts["switches"] if row["tier"] == "leaf")
    assert leaf["price"]["typical"] == 1000 * leaf["count"]
    assert {row["source"] for row in facts["sources"] if row["part"] == "qm9700"} >= {"my offer"}
    assert facts["racks"]["hosts"] == -(-facts["hosts"] // 2)  # two hosts of 10.2 kW a rack


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        (["no-such-fabric"], "neither a file nor a fabric"),
        (["dgx-h100-superpod-1su", "--csv", "--json"], "two forms of output"),
        (["dgx-h100-superpod-1su", "--rack-kw", "-1"], "--rack-kw"),
        (["dgx-h100-superpod-1su", "--rack-kw", "nan"], "--rack-kw"),
        (["dgx-h100-superpod-1su", "--row-pitch-m", "inf"], "not a number"),
        (["dgx-h100-superpod-1su", "--parts", "nowhere.yaml"], "nowhere.yaml"),
    ],
)
def test_misuse_is_told_in_one_line(capsys: pytest.CaptureFixture[str], asked: list[str], said: str) -> None:
    assert run(["fabric", "bill", *asked]) == 2
    err = capsys.readouterr().err
    assert err.count("\n") == 1
    assert said in err
