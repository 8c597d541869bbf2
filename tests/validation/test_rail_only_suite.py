"""The rail-only suite: near the published ranges, and able to fail."""

from __future__ import annotations

from pathlib import Path

from planner.validation import run_suites

DATA = Path(__file__).parent / "data"


def test_what_is_saved_is_near_the_published_ranges(tmp_path: Path) -> None:
    (tmp_path / "measured").mkdir()
    text = (DATA / "measured" / "rail_only.csv").read_text()
    (tmp_path / "measured" / "rail_only.csv").write_text(text + "wrong,network_cost_saved_most,0.9,A,,nobody\n")
    (suite,) = run_suites(tmp_path, ["rail-only"]).suites
    *published, wrong = suite.outcome.cases
    assert [case.measured for case in published] == [0.38, 0.77, 0.37, 0.75]
    assert max(case.error_frac or 1.0 for case in published) <= 0.10
    assert (wrong.error_frac or 0.0) > 0.10
    assert not suite.met
    assert "switches 1,280 → 256, cables 196,608 → 65,536" in wrong.detail["why"]
