"""The suite of training runs, on the published rows in this repository and on made-up ones."""

from __future__ import annotations

from pathlib import Path

from planner.validation import run_suites

DATA = Path(__file__).parent / "data"


def test_targets_on_the_published_rows() -> None:
    (suite,) = run_suites(DATA, ["train"]).suites
    for target in suite.outcome.targets:
        assert target.met, f"{target.metric}: {target.value} against {target.limit}"
    assert suite.outcome.metrics["rows"] >= 200
    assert suite.outcome.metrics["families"] >= 6


def test_other_rows_of_the_same_kind_are_judged(tmp_path: Path) -> None:
    text = (DATA / "measured" / "train.csv").read_text(encoding="utf-8").splitlines()
    row = next(line for line in text if line.startswith("mcore_h100_177B"))
    other = row.replace("mcore_h100_177B", "mine").replace("H100-SXM-80GB (Eos)", "Abacus 9000")
    (tmp_path / "measured").mkdir()
    (tmp_path / "measured" / "train.csv").write_text("\n".join([text[0], row, other]) + "\n", encoding="utf-8")
    (suite,) = run_suites(tmp_path, ["train"]).suites
    rows = [case for case in suite.outcome.cases if case.kind == "throughput"]
    assert [case.counts for case in rows] == [True, False]
    assert rows[1].why_not == "no part for Abacus 9000"
    assert sum(case.kind == "recomputation" for case in suite.outcome.cases) == 8
