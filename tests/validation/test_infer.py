"""The suite of serving figures."""

from __future__ import annotations

from pathlib import Path

import pytest

from planner.validation import run_suites
from topologies.errors import InputError

DATA = Path(__file__).parent / "data"


def test_targets_on_the_published_figures() -> None:
    (suite,) = run_suites(DATA, ["infer"]).suites
    for target in suite.outcome.targets:
        assert target.met, f"{target.metric}: {target.value} against {target.limit}"
    assert sum(case.counts for case in suite.outcome.cases) >= 5
    assert all(case.why_not for case in suite.outcome.cases if not case.counts)


def test_another_case_of_the_kind(tmp_path: Path) -> None:
    (tmp_path / "measured").mkdir()
    path = tmp_path / "measured" / "infer.yaml"
    path.write_text(
        "kind: x\ncases:\n- id: mine\n  setup: llama3-70b on 8 H200, 1K input\n  output_tokens_per_s_per_gpu: 1000\n"
        "  quality: A\n- id: other\n  setup: abacus\n  output_tokens_per_s_per_gpu: 1\n  quality: A\n",
        encoding="utf-8",
    )
    (suite,) = run_suites(tmp_path, ["infer"]).suites
    assert [case.counts for case in suite.outcome.cases] == [True, False]
    path.write_text("cases: 3\n", encoding="utf-8")
    with pytest.raises(InputError, match="not a file of serving figures"):
        run_suites(tmp_path, ["infer"])
