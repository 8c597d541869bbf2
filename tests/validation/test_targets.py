"""The published targets, held on the data in this repository."""

from __future__ import annotations

from pathlib import Path

import pytest

from planner.validation import run_suites

DATA = Path(__file__).parent / "data"


@pytest.mark.parametrize("name", ["astra", "smpi"])
def test_targets_are_met(name: str) -> None:
    (suite,) = run_suites(DATA, [name]).suites
    assert suite.outcome.targets
    for target in suite.outcome.targets:
        assert target.met, f"{name} {target.metric}: {target.value} against {target.limit}"


def test_astra_judges_every_row() -> None:
    (suite,) = run_suites(DATA, ["astra"]).suites
    assert all(case.counts for case in suite.outcome.cases)


def test_nccl_picks_are_its_own() -> None:
    (suite,) = run_suites(DATA, ["nccl"]).suites
    assert suite.agreement_frac() == 1.0
    assert sum(case.kind == "pick" for case in suite.outcome.cases) == 216
    assert suite.met


def test_sweeps_keep_their_targets_except_the_one_known_to_be_missed() -> None:
    (suite,) = run_suites(DATA, ["sweeps"]).suites
    missed = {target.metric for target in suite.outcome.targets if not target.met}
    # The 90 % quantile after calibration is 13 to 14 %, not 12: hiccups of one shared production machine
    # (docs/validation.md).
    assert missed == {"calibrated p90_error_frac"}
    values = {target.metric: target.value or 1.0 for target in suite.outcome.targets}
    assert values["calibrated p90_error_frac"] < 0.15


def test_the_uncalibrated_band_is_what_the_sweeps_show() -> None:
    from planner.collectives.efficiency import UNCALIBRATED

    (suite,) = run_suites(DATA, ["sweeps"]).suites
    errors = [c.error_frac for c in suite.outcome.cases if c.kind == "uncalibrated" and c.counts]
    inside = sum(error is not None and error <= UNCALIBRATED.error_frac for error in errors)
    assert inside >= 0.9 * len(errors)
    small = [c for c in suite.outcome.cases if c.kind == "uncalibrated" and c.why_not == "below 16 MiB"]
    ratios = [(c.predicted or 0.0) / (c.measured or 1.0) for c in small]
    inside = sum(1 / UNCALIBRATED.small_error_factor <= ratio <= UNCALIBRATED.small_error_factor for ratio in ratios)
    assert len(small) > 300
    assert inside >= 0.9 * len(small)


def test_pairs_of_nodes_keep_their_targets() -> None:
    (suite,) = run_suites(DATA, ["pairwise"]).suites
    assert suite.met
    assert suite.agreement_frac() == 1.0
    medians = [case for case in suite.outcome.cases if case.kind == "median"]
    assert len(medians) == 8
    assert max(case.error_frac or 1.0 for case in medians) < 0.07


def test_every_claim_is_reproduced_or_listed_with_the_reason() -> None:
    (suite,) = run_suites(DATA, ["effects"]).suites
    assert suite.met
    cases = suite.outcome.cases
    assert sum(case.counts for case in cases) >= 40
    failed = [case.name for case in cases if case.agrees is False]
    assert sorted(failed) == [
        "stas_leaving_the_node: 1GiB",
        "stas_leaving_the_node: 1MiB",
        "stas_leaving_the_node: 32KiB",
        "together_sharp_gain",
    ]
    left_out = [case.name for case in cases if not case.counts]
    for name in (*failed, *left_out):
        assert any(note.startswith(name) for note in suite.outcome.notes), name
