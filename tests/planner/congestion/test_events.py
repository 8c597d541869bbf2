"""Event-driven completion, worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest

from planner.congestion.events import Program, run_events
from planner.congestion.incidence import Incidence
from topologies.errors import InputError


def one_link(rows: int) -> Incidence:
    return Incidence.from_entries(range(rows), [0] * rows, [1.0] * rows, num_rows=rows, num_links=1)


CAPACITY = np.array([10.0])


def test_the_one_that_stays_speeds_up() -> None:
    # 10 and 30 bytes over 10 a second: 5 each until 2 s; the second has 20 left and takes 2 s more
    timeline = run_events(one_link(2), CAPACITY, Program.of([10, 30]))
    assert timeline.finish_s.tolist() == [2.0, 4.0]


def test_late_start() -> None:
    # the first has 20 left when the second comes at 1 s; both have 5 a second: 10 more needs 2 s, then 10 alone 1 s
    timeline = run_events(one_link(2), CAPACITY, Program.of([30, 10], start_s=[0, 1]))
    assert timeline.finish_s.tolist() == [4.0, 3.0]


def test_latency_is_paid_along_the_way() -> None:
    # alone: 1 s latency + 10 bytes at 10 = 2 s
    assert run_events(one_link(1), CAPACITY, Program.of([10], row_latency_s=1.0)).finish_s.tolist() == [2.0]


def test_rounds_with_pauses_that_interleave_perfectly() -> None:
    # each sends 1 s and computes 1 s; started 1 s apart they never meet
    timeline = run_events(one_link(2), CAPACITY, Program.of([10, 10], start_s=[0, 1], rounds=3, compute_s=1.0))
    assert timeline.finish_s.tolist() == [5.0, 6.0]
    np.testing.assert_allclose(timeline.round_s, 1.0)


def test_rounds_with_pauses_in_step_share_every_time() -> None:
    timeline = run_events(one_link(2), CAPACITY, Program.of([10, 10], rounds=3, compute_s=1.0))
    assert timeline.finish_s.tolist() == [8.0, 8.0]
    np.testing.assert_allclose(timeline.round_s, 2.0)


def test_stages_follow_each_other_and_wait_for_the_slowest_row() -> None:
    # job 0: rows 0 and 1 together on two links (1 s and 3 s), then row 2 (1 s)
    incidence = Incidence.from_entries([0, 1, 2], [0, 1, 0], [1.0] * 3, num_rows=3, num_links=2)
    program = Program.of([10, 30, 10], row_job=[0, 0, 0], row_stage=[0, 0, 1])
    assert run_events(incidence, np.array([10.0, 10.0]), program).finish_s.tolist() == [4.0]


def test_a_job_that_sends_nothing_is_done_when_it_starts() -> None:
    incidence = Incidence(np.zeros(1, np.int64), np.zeros(0, np.int64), np.zeros(0), 1)
    program = Program.of([], start_s=[3.0], num_jobs=1)
    assert run_events(incidence, CAPACITY, program).finish_s.tolist() == [3.0]


def test_a_link_that_is_down_never_ends() -> None:
    assert run_events(one_link(1), np.array([0.0]), Program.of([1])).finish_s.tolist() == [np.inf]


def test_the_clock_can_be_stopped() -> None:
    timeline = run_events(one_link(2), CAPACITY, Program.of([10, 10**6]), until_s=100.0)
    assert timeline.finish_s.tolist() == [2.0, np.inf]


def test_many_alike_rounds_solve_only_a_few_times() -> None:
    timeline = run_events(one_link(2), CAPACITY, Program.of([10, 10], rounds=50, compute_s=0.5))
    assert timeline.num_solves <= 4
    assert timeline.finish_s[0] == pytest.approx(50 * 2 + 49 * 0.5)


@pytest.mark.parametrize(
    "bad",
    [
        {"start_s": -1.0},
        {"rounds": 0},
        {"compute_s": np.nan},
        {"row_latency_s": -1e-6},
        {"row_job": [5], "num_jobs": 2},
    ],
)
def test_bad_programs_are_refused(bad: dict[str, object]) -> None:
    with pytest.raises(InputError):
        Program.of([1.0], **bad)  # type: ignore[arg-type]


def test_program_and_incidence_must_fit() -> None:
    with pytest.raises(InputError, match="different numbers"):
        run_events(one_link(2), CAPACITY, Program.of([1.0]))


def test_jobs_that_share_hide_each_others_latency() -> None:
    # alone: 1 + 1 s each; together the link is never idle: 20 bytes at 10 a second
    timeline = run_events(one_link(2), CAPACITY, Program.of([10, 10], row_latency_s=1.0))
    np.testing.assert_allclose(timeline.finish_s, 2.0)
    # with three, 30 bytes need 3 s
    np.testing.assert_allclose(run_events(one_link(3), CAPACITY, Program.of([10] * 3, row_latency_s=1.0)).finish_s, 3.0)


def test_a_row_of_latency_alone() -> None:
    assert run_events(one_link(1), CAPACITY, Program.of([0], row_latency_s=0.5)).finish_s.tolist() == [0.5]
    assert run_events(one_link(1), CAPACITY, Program.of([0])).finish_s.tolist() == [0.0]
