"""Faults of a model, pointed at file, line and key."""

from typing import Annotated, Literal

import pytest
from pydantic import Field, model_validator

from topologies.errors import InputError
from topologies.files.loading import parse_document
from topologies.files.validated import RuleError, StrictModel, validate


class Leaf(StrictModel):
    part: str
    ports: Annotated[int, Field(gt=0)] = 1
    rate_gbps: Annotated[float, Field(gt=0)] = 1.0


class Clos(StrictModel):
    kind: Literal["clos"]
    leaf: Leaf | None = None
    leaves: list[Leaf] = Field(default_factory=list)
    by_name: dict[str, Leaf] = Field(default_factory=dict)

    @model_validator(mode="after")
    def check_number(self) -> "Clos":
        if len(self.leaves) == 3:
            raise RuleError(what="three leaves", found=3, allowed=2, fix="drop one", key=("leaves",))
        return self


class Torus(StrictModel):
    kind: Literal["torus"]
    wrap: bool


Design = Annotated[Clos | Torus, Field(discriminator="kind")]


def fault(text: str, name: str = "f.yaml") -> str:
    with pytest.raises(InputError) as caught:
        validate(Design, parse_document(text, name))  # type: ignore[arg-type]
    return caught.value.message


def test_returns_the_model() -> None:
    design = validate(Clos, parse_document("kind: clos\nleaves: [{part: a}]\n", "f.yaml"))
    assert design == Clos(kind="clos", leaves=[Leaf(part="a")])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "kind: clos\nleef: {part: x}",
            "f.yaml:2: leef: unknown key; found: leef; allowed: kind, leaf, leaves, by_name; fix: did you mean leaf?",
        ),
        (
            "kind: clos\nleaf:\n  prt: x",
            "f.yaml:3: leaf.prt: unknown key (and 1 further fault in this file); found: prt; "
            "allowed: part, ports, rate_gbps; fix: did you mean part?",
        ),
        (
            "kind: clos\nleaf:\n  ports: 4",
            "f.yaml:2: leaf.part: the key is missing; found: keys ports; fix: add part",
        ),
        (
            "kind: clos\nby_name: {q: {part: a,\n  prts: 3}}",
            "f.yaml:3: by_name.q.prts: unknown key; found: prts; allowed: part, ports, rate_gbps; "
            "fix: did you mean ports?",
        ),
        (
            "kind: clos\nleaf: {part: 3}",
            'f.yaml:2: leaf.part: not text; found: 3; allowed: text; fix: write "3" in quotes',
        ),
        (
            "kind: clos\nleaf: {part: x, ports: '15'}",
            "f.yaml:2: leaf.ports: not a whole number; found: text '15'; allowed: a whole number; "
            "fix: take the quotes off",
        ),
        (
            "kind: clos\nleaf: {part: x, ports: true}",
            "f.yaml:2: leaf.ports: not a whole number; found: true; allowed: a whole number",
        ),
        (
            "kind: clos\nleaf: {part: x, rate_gbps: -4}",
            "f.yaml:2: leaf.rate_gbps: out of range; found: -4; allowed: above 0",
        ),
        ("kind: clos\nleaf: 3", "f.yaml:2: leaf: not a mapping; found: 3; allowed: a mapping of keys to values"),
        ("kind: clos\nleaves: {a: 3}", "f.yaml:2: leaves: not a list; found: a mapping with 1 key; allowed: a list"),
        (
            "kind: clos\nleaves: [{part: a}, {part: b}, {part: c}]",
            "f.yaml:2: leaves: three leaves; found: 3; allowed: 2; fix: drop one",
        ),
        (
            "kind: clo",
            "f.yaml:1: kind: not one of the choices; found: text 'clo'; allowed: clos, torus; fix: did you mean clos?",
        ),
        ("wrap: true", "f.yaml:1: the key kind is missing; found: a mapping with 1 key; fix: add kind"),
        ("- 3", "f.yaml:1: not a mapping; found: a list of 1; allowed: a mapping of keys to values"),
    ],
)
def test_faults(text: str, message: str) -> None:
    assert fault(text) == message


def test_faults_in_json_have_lines_too() -> None:
    assert fault('{"kind": "clos",\n"leaf": {"part": "x",\n"ports": 0}}', "f.json") == (
        "f.json:3: leaf.ports: out of range; found: 0; allowed: above 0"
    )


def test_a_part_of_a_document() -> None:
    document = parse_document("a: 1\nleaf:\n  part: x\n  ports: 0\n", "f.yaml")
    with pytest.raises(InputError, match=r"^f.yaml:4: leaf.ports: out of range"):
        validate(Leaf, document, at=("leaf",))
