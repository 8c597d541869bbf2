"""Bands around the fair answer, worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest

from planner.congestion.bands import steady_band
from planner.congestion.events import Program
from planner.congestion.incidence import Incidence
from planner.congestion.maxmin import max_min_rates
from topologies.errors import InputError

CAPACITY = np.array([12.0])


def one_link(rows: int) -> Incidence:
    return Incidence.from_entries(range(rows), [0] * rows, [1.0] * rows, num_rows=rows, num_links=1)


def test_weights_share_a_link_in_proportion() -> None:
    rate = max_min_rates(one_link(2), CAPACITY, weight=np.array([2.0, 1.0])).rate_bytes_per_s
    assert rate.tolist() == pytest.approx([8.0, 4.0])
    with pytest.raises(InputError, match="weights"):
        max_min_rates(one_link(2), CAPACITY, weight=np.array([1.0, 0.0]))


def test_weights_do_not_beat_a_limit() -> None:
    rate = max_min_rates(
        one_link(2), CAPACITY, weight=np.array([2.0, 1.0]), rate_limit_bytes_per_s=np.array([3.0, np.inf])
    ).rate_bytes_per_s
    assert rate.tolist() == pytest.approx([3.0, 9.0])


def test_fair_queues_and_no_pauses_leave_no_band() -> None:
    band = steady_band(one_link(3), CAPACITY, Program.of([12.0] * 3), "fair")
    for found in (band.time_s, band.low_s, band.high_s):
        np.testing.assert_allclose(found, 3.0)


def test_a_fifo_queue_may_double_or_halve_the_weight() -> None:
    # two jobs: 2/3 or 1/3 of the link instead of 1/2
    band = steady_band(one_link(2), CAPACITY, Program.of([12.0, 12.0]), "fifo")
    np.testing.assert_allclose(band.time_s, 2.0)
    np.testing.assert_allclose(band.low_s, 1.5)
    np.testing.assert_allclose(band.high_s, 3.0)


def test_a_job_alone_has_no_band() -> None:
    band = steady_band(one_link(1), CAPACITY, Program.of([12.0]), "fifo")
    assert (band.low_s[0], band.time_s[0], band.high_s[0]) == (1.0, 1.0, 1.0)


def test_pauses_reach_from_never_met_to_always_met() -> None:
    band = steady_band(one_link(2), CAPACITY, Program.of([12.0, 12.0], compute_s=[1.0, 0.0]), "fair")
    np.testing.assert_allclose(band.low_s, 1.0)
    np.testing.assert_allclose(band.high_s, 2.0)
    assert np.all((band.low_s <= band.time_s) & (band.time_s <= band.high_s))
