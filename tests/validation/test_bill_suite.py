"""The bill suite: exact on the published designs, on rows it has never seen, and plain about broken ones."""

from __future__ import annotations

from pathlib import Path

import pytest

from planner.validation import run_suites
from planner.validation.record import Case

DATA = Path(__file__).parent / "data"
HEADER = (DATA / "measured" / "topology.csv").read_text().splitlines()[0]


def judged(tmp_path: Path, *rows: str) -> list[Case]:
    (tmp_path / "measured").mkdir()
    (tmp_path / "measured" / "topology.csv").write_text("\n".join([HEADER, *rows]) + "\n")
    (suite,) = run_suites(tmp_path, ["bill"]).suites
    return list(suite.outcome.cases)


def test_every_published_count_is_reproduced() -> None:
    (suite,) = run_suites(DATA, ["bill"]).suites
    assert len(suite.outcome.cases) == 66
    assert [case.name for case in suite.outcome.cases if not case.agrees] == []
    assert suite.met


UNSEEN = [
    "h100_3su,DGX H100 SuperPOD,3,95,760,760,QM9700 64x400G,64,24,16,0,764,768,0,A,4 UFM links in it,RA-11333-001",
    "xdr_4su,DGX B300 SuperPOD XDR,4,288,2304,2304,Q3400-RA 144x800G,144,32,18,0,2304,2304,0,A,,B300 XDR Table 3",
    "eth_8su,DGX B300 SuperPOD Spectrum-4,8,512,4096,4096,SN5610 64x800G,64,128,64,0,4096,4096,0,A,,B300 Table 3",
]


@pytest.mark.parametrize("row", UNSEEN)
def test_other_published_designs(tmp_path: Path, row: str) -> None:
    assert all(case.agrees for case in judged(tmp_path, row))


def test_more_spines_than_ports_need_are_explained(tmp_path: Path) -> None:
    spine = next(case for case in judged(tmp_path, UNSEEN[1]) if case.kind == "spine")
    assert "2304 cables need 16 switches of 144 ports; 18 leave every leaf 4 of its 72 cables" in spine.detail["why"]


def test_another_number_of_spines_is_explained_if_all_else_follows(tmp_path: Path) -> None:
    # 160 cables on spines of 40 ports: 4 would do; published with 5, which leave every leaf 4 cables to each.
    row = "a1,DGX A100 SuperPOD,1,20,160,160,QM8790 40x200G,40,8,5,0,160,160,0,A,,RA"
    cases = judged(tmp_path, row)
    (spine,) = [case for case in cases if not case.agrees]
    assert (spine.kind, spine.measured, spine.predicted) == ("spine", 5, 4)
    assert "with spines: 5 every count is the published one" in spine.detail["why"]


def test_pods_of_rails_are_taken_where_they_need_fewer_switches(tmp_path: Path) -> None:
    # 7 groups of 8 leaves on spines of 20 down: pods of 2 groups would leave one half empty. A rail has 7 leaves: 140
    # cables on 10 spines, 14 up from each of 80 to 28 cores.
    row = "a7,DGX A100 SuperPOD,7,140,1120,1120,QM8790 40x200G,40,56,80,28,1120,1120,1120,A,,RA"
    assert all(case.agrees for case in judged(tmp_path, row))


def test_a_wrong_count_is_a_miss(tmp_path: Path) -> None:
    cases = judged(tmp_path, UNSEEN[2].replace(",128,64,0,", ",128,65,0,"))
    (spine,) = [case for case in cases if not case.agrees]
    assert spine.kind == "spine"
    assert "is_choice" not in spine.detail


@pytest.mark.parametrize("switch", ["QM9700", "QM9700 2x400G"])
def test_what_cannot_be_built_is_a_miss_with_its_reason(tmp_path: Path, switch: str) -> None:
    cases = judged(tmp_path, UNSEEN[1].replace("Q3400-RA 144x800G,144", f"{switch},2"))
    assert all(case.agrees is False and case.detail["fault"] for case in cases)
