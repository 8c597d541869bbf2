"""Time shifts, worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest

from planner.congestion.events import Program
from planner.congestion.incidence import Incidence
from planner.congestion.time_shift import best_time_shift
from topologies.errors import InputError

CAPACITY = np.array([10.0])


def one_link(rows: int) -> Incidence:
    return Incidence.from_entries(range(rows), [0] * rows, [1.0] * rows, num_rows=rows, num_links=1)


def test_two_half_busy_jobs_fit_like_a_zip() -> None:
    # each sends 1 s and computes 1 s: started half a period apart they never meet
    shift = best_time_shift(one_link(2), CAPACITY, Program.of([10.0, 10.0], compute_s=1.0))
    assert shift.shift_s.tolist() == pytest.approx([0.0, 1.0])
    assert shift.excess_frac == pytest.approx(0.0, abs=1e-12)
    # in step: demand 2 for half of the time
    assert shift.excess_in_step_frac == pytest.approx(0.5)
    np.testing.assert_allclose(shift.time_s, 1.0)
    np.testing.assert_allclose(shift.time_in_step_s, 2.0)


def test_three_jobs_that_send_a_third_each() -> None:
    shift = best_time_shift(one_link(3), CAPACITY, Program.of([10.0] * 3, compute_s=2.0))
    assert sorted(shift.shift_s.tolist()) == pytest.approx([0.0, 1.0, 2.0])
    np.testing.assert_allclose(shift.time_s, 1.0)
    np.testing.assert_allclose(shift.time_in_step_s, 3.0)


def test_periods_of_one_to_two() -> None:
    # one sends 0.5 s of every 1 s, the other 0.5 s of every 2 s
    program = Program.of([5.0, 5.0], compute_s=[0.5, 1.5])
    shift = best_time_shift(one_link(2), CAPACITY, program)
    assert shift.excess_frac == pytest.approx(0.0, abs=1e-12)
    np.testing.assert_allclose(shift.time_s, 0.5)


def test_jobs_that_cannot_fit_are_told_so() -> None:
    # 0.75 + 0.75 of the link: at best a half of the time both send; excess 1 × 0.5
    shift = best_time_shift(one_link(2), CAPACITY, Program.of([30.0, 30.0], compute_s=1.0))
    assert shift.excess_frac == pytest.approx(0.5, abs=0.01)
    assert shift.excess_in_step_frac == pytest.approx(0.75, abs=0.01)
    assert np.all(shift.time_s <= shift.time_in_step_s + 1e-9)


def test_jobs_on_different_links_need_no_shift() -> None:
    incidence = Incidence.from_entries([0, 1], [0, 1], [1.0, 1.0], num_rows=2, num_links=2)
    shift = best_time_shift(incidence, np.array([10.0, 10.0]), Program.of([10.0, 10.0], compute_s=1.0))
    assert shift.shift_s.tolist() == [0.0, 0.0]
    assert shift.excess_in_step_frac == 0.0


def test_no_period_no_shift() -> None:
    with pytest.raises(InputError, match="period"):
        best_time_shift(one_link(1), CAPACITY, Program.of([0.0]))
