"""Expected contention of jobs that compute and communicate in turns without regard to each other.

A job that communicates for t seconds and computes for c is met on the network a fraction ``d = t / (t + c)`` of the
time (its *duty*). With starts that nobody lines up, the others are there independently, each with its own duty; the
time a job takes is its bytes times the mean of one over its rate. Duties depend on times and times on duties, so the
two are worked out in turns from the times alone until they agree.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from planner.congestion.incidence import Incidence
from planner.congestion.loads import Loads
from planner.congestion.maxmin import MaxMin, contended, link_rate, max_min_rates
from topologies.routing.rows import sum_at

__all__ = ["expected_inverse_rates"]

Float64s = npt.NDArray[np.float64]

_MAX_ROUNDS = 6
_AGREED_REL = 1e-3


def expected_inverse_rates(
    loads: Loads,
    capacity_bytes_per_s: Float64s,
    alone: MaxMin,
    compute_s: Float64s,
    *,
    seed: int,
    num_samples: int,
) -> Float64s:
    """Mean seconds a byte of each row beside others that come and go, ``(rows,)``.

    Parameters
    ----------
    loads
        Rows × links and bytes a row.
    capacity_bytes_per_s
        ``(L,)``.
    alone
        Rates with nobody else there.
    compute_s
        ``(J,)`` silent time between two collectives of a job.
    seed, num_samples
        How many draws of who is there. A job that a draw leaves out is judged as if it joined that draw: it gets
        the fair share of each link or what is left there, whichever is more.
    """
    reduced, limit = contended(loads.incidence, capacity_bytes_per_s)
    draws = np.random.default_rng(seed).random((num_samples, compute_s.size))
    limit = np.minimum(limit, alone.rate_bytes_per_s)
    inverse = _inverse(loads, alone.rate_bytes_per_s)
    time_s = loads.job_times(inverse)
    for _ in range(_MAX_ROUNDS):
        cycle_s = time_s + compute_s
        duty = np.divide(time_s, cycle_s, out=np.zeros(time_s.shape), where=cycle_s > 0)
        total = np.zeros(inverse.shape)
        for draw in draws:
            there = np.repeat(draw < duty, loads.num_phases)
            total += _inverse(loads, _rates_of_draw(reduced, capacity_bytes_per_s, limit, there))
        inverse = total / num_samples
        before, time_s = time_s, loads.job_times(inverse)
        if np.all(np.abs(time_s - before) <= _AGREED_REL * before):
            break
    return inverse


def _inverse(loads: Loads, rate_bytes_per_s: Float64s) -> Float64s:
    """Seconds a byte, 0 for rows without flows."""
    inverse = np.zeros(rate_bytes_per_s.shape)
    np.divide(1.0, rate_bytes_per_s, out=inverse, where=loads.row_bytes > 0)
    return inverse


def _rates_of_draw(
    incidence: Incidence, capacity_bytes_per_s: Float64s, limit: Float64s, there: npt.NDArray[np.bool_]
) -> Float64s:
    """Rates of the rows that are there, and of the others as if each of them joined alone."""
    rows = np.flatnonzero(there)
    present = incidence.select(rows)
    rate = limit.copy()
    rate[rows] = max_min_rates(present, capacity_bytes_per_s, rate_limit_bytes_per_s=limit[rows]).rate_bytes_per_s
    used = link_rate(present, rate[rows])
    weight = sum_at(present.link, present.multiplicity, present.num_links)
    absent = incidence.select(np.flatnonzero(~there))
    if absent.num_entries:
        own, capacity = absent.own_load(), capacity_bytes_per_s[absent.link]
        fair = capacity / (own + weight[absent.link])
        left = (capacity - used[absent.link]) / own
        level = np.maximum(fair, left)
        who = np.flatnonzero(~there)[absent.entry_row()]
        np.minimum.at(rate, who, level)
    return rate
