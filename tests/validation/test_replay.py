"""Suites ``replay`` and ``occupancy``."""

from __future__ import annotations

from pathlib import Path

import pytest

from planner.validation import run_suites

DATA = Path(__file__).parent / "data"

_PUBLISHED = "cluster,metric,x,value\nEarth,util_pct_by_month,2020-05,50\n"
_OCCUPANCY = """vc,t_s,total_gpus,running_gpus,pending_gpus,running_jobs,pending_jobs
a,0,10,10,4,1,1
a,1339200,10,{running},4,0,1
"""
_DAYS = "date,a,total\n" + "".join(f"2020-05-{day:02d},10,{{total}}\n" for day in range(1, 32))


def test_queues_of_venus_come_out_as_published() -> None:
    (suite,) = run_suites(DATA, ["replay"]).suites
    assert suite.met
    judged = {case.name: case for case in suite.outcome.cases if case.counts and case.kind == "queue"}
    assert set(judged) == {"venus vcvGl fifo mean completion", "venus vcvGl sjf mean completion"}
    assert all(case.error_frac is not None and case.error_frac < 0.001 for case in judged.values())
    assert sum(not case.counts for case in suite.outcome.cases) == 3
    lingjun = {case.name: case for case in suite.outcome.cases if case.kind == "range"}
    assert len(lingjun) == 3
    assert all(case.agrees for case in lingjun.values())
    jobs = lingjun["lingjun jobs at risk of contention"].detail
    assert jobs["best-fit"] < 36.3 < jobs["first-fit"]


def test_half_of_earth_is_not_judged_against_all_of_it() -> None:
    (suite,) = run_suites(DATA, ["occupancy"]).suites
    whole, rest = suite.outcome.cases[:2]
    assert not whole.counts
    assert whole.predicted == pytest.approx(56.86, abs=0.01)
    assert rest.agrees
    assert suite.met


def _occupancy(tmp_path: Path, *, running: int, total: int) -> Path:
    folder = tmp_path / "traces"
    folder.mkdir()
    (folder / "helios_published_utilization.csv").write_text(_PUBLISHED)
    (folder / "helios_earth_may2020_occupancy.csv").write_text(_OCCUPANCY.format(running=running))
    (folder / "helios_earth_vc_gpus_daily.csv").write_text(_DAYS.format(total=total))
    return tmp_path


def test_a_whole_cluster_is_judged(tmp_path: Path) -> None:
    # Half of the month all 10 run, half of it none: 50 %, while one job of 4 waits and 10 are idle for 15.5 days.
    (suite,) = run_suites(_occupancy(tmp_path, running=0, total=10), ["occupancy"]).suites
    assert suite.met
    (case,) = [case for case in suite.outcome.cases if case.kind == "recoverable"]
    assert case.predicted == 15.5 * 24 * 60
    assert case.detail["gpu_hours"] == 4 * 15.5 * 24


def test_a_wrong_utilization_is_found(tmp_path: Path) -> None:
    (suite,) = run_suites(_occupancy(tmp_path, running=5, total=10), ["occupancy"]).suites
    assert not suite.met


def test_an_impossible_published_figure_is_found(tmp_path: Path) -> None:
    # 10 of 11 accelerators ran all the time: the last one cannot bring the whole down to half.
    (suite,) = run_suites(_occupancy(tmp_path, running=10, total=11), ["occupancy"]).suites
    assert not suite.met
