"""Suite ``contention``: targets on the data here, and what happens with data that does not fit."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from planner.validation import run_suites
from topologies.errors import InputError

DATA = Path(__file__).parent / "data"


def test_targets_are_met() -> None:
    (suite,) = run_suites(DATA, ["contention"]).suites
    assert len(suite.outcome.targets) == 10
    for target in suite.outcome.targets:
        assert target.met, f"{target.metric}: {target.value} against {target.limit}"


def test_phase_sensitive_jobs_are_shown_and_do_not_count() -> None:
    (suite,) = run_suites(DATA, ["contention"]).suites
    jobs = [case for case in suite.outcome.cases if case.kind == "job"]
    assert len(jobs) == 208
    left_out = [case for case in jobs if not case.counts]
    assert left_out
    assert all("phase" in case.why_not for case in left_out)


@pytest.mark.parametrize(
    ("change", "what"),
    [
        (lambda cases: cases[1:], "unknown case"),
        (lambda cases: [cases[0] | {"jobs": []}, *cases[1:]], "unknown job"),
        (lambda cases: [cases[0] | {"L": "four"}, *cases[1:]], "malformed case"),
        (lambda cases: [cases[0] | {"paths": {}}, *cases[1:]], "malformed case"),
        (lambda cases: {"cases": 1}, "not a list"),
    ],
)
def test_cases_that_do_not_fit_the_rows_are_refused(tmp_path: Path, change: object, what: str) -> None:
    shutil.copytree(DATA / "contention", tmp_path / "contention")
    file = tmp_path / "contention" / "cases.json"
    file.write_text(json.dumps(change(json.loads(file.read_text()))))  # type: ignore[operator]
    with pytest.raises(InputError, match=what):
        run_suites(tmp_path, ["contention"])
