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
