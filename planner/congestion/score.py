"""Scores jobs that communicate at once on one fabric: from flows to rates, times, slow-downs and link heat."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from planner.collectives.traffic import JobFlows
from planner.congestion.incidence import Incidence
from planner.congestion.loads import Loads, loads_of
from planner.congestion.maxmin import NO_LINK, MaxMin, link_rate, max_min_rates
from planner.congestion.overlap import expected_inverse_rates
from planner.congestion.report import CongestionReport, View, ViewName
from topologies.errors import InputError
from topologies.fabric import Fabric
from topologies.routing.network import Routing
from topologies.routing.rows import Float64s, Int64s, sizes

__all__ = ["alone_rates", "score_flows"]


def score_flows(
    fabric: Fabric,
    flows: JobFlows,
    routing: Routing,
    *,
    compute_s: npt.ArrayLike = 0.0,
    seed: int = 0,
    num_samples: int = 64,
) -> CongestionReport:
    """Score jobs that run their collectives over and over at the same time.

    Parameters
    ----------
    fabric, flows, routing
        Where, what, and how flows find their ways.
    compute_s
        ``(J,)`` or one for all: time between two collectives in which a job sends nothing; shapes the expected view.
    seed, num_samples
        Of the expected view, where jobs compute in between: how many draws of who communicates when.

    Raises
    ------
    InputError
        If a flow has no way or a compute time is negative.
    """
    loads = loads_of(fabric, flows, routing)
    capacity = loads.channels.capacity_bytes_per_s
    compute = np.broadcast_to(np.asarray(compute_s, np.float64), (flows.num_jobs,))
    if compute.size and not compute.min() >= 0:
        raise InputError(what="compute time below zero", where="score", found=float(compute.min()))
    alone = alone_rates(loads.incidence, capacity)
    worst = max_min_rates(loads.incidence, capacity)
    worst_view = _view("worst", loads, worst.rate_bytes_per_s, worst.bottleneck_link)
    if np.any(compute > 0):
        inverse = expected_inverse_rates(loads, capacity, alone, compute, seed=seed, num_samples=num_samples)
        with np.errstate(divide="ignore"):
            expected_view = _view("expected", loads, 1.0 / inverse, worst.bottleneck_link)
    else:
        expected_view = View("expected", worst_view.time_s, worst_view.rate_bytes_per_s, worst_view.bottleneck_link)
    return CongestionReport(
        fabric=fabric,
        routing=routing.name,
        isolated=_view("isolated", loads, alone.rate_bytes_per_s, alone.bottleneck_link),
        expected=expected_view,
        worst=worst_view,
        channels=loads.channels,
        incidence=loads.incidence,
        num_phases=loads.num_phases,
        link_load_frac=_fill_frac(loads, worst.rate_bytes_per_s),
        link_demand_frac=_fill_frac(loads, alone.rate_bytes_per_s),
    )


def _fill_frac(loads: Loads, rate_bytes_per_s: Float64s) -> Float64s:
    """How full each link is when each row runs at its rate, ``(L,)``."""
    finite = np.where(loads.row_bytes > 0, rate_bytes_per_s, 0.0)
    on_links = loads.channels.to_links(link_rate(loads.incidence, finite))
    fill: Float64s = on_links / loads.channels.fabric.link_capacity_bytes_per_s
    return fill


def alone_rates(incidence: Incidence, capacity_bytes_per_s: Float64s) -> MaxMin:
    """Rate of each row with nobody else there: its tightest link, with the row's own entries on it added up."""
    level = capacity_bytes_per_s[incidence.link] / incidence.own_load()
    rate, link = np.full(incidence.num_rows, np.inf), np.full(incidence.num_rows, NO_LINK, np.int64)
    size = sizes(incidence.row_start)
    filled = np.flatnonzero(size)
    if filled.size:
        start = incidence.row_start[filled]
        rate[filled] = np.minimum.reduceat(level, start)
        tight = np.flatnonzero(level <= np.repeat(rate, size))
        link[filled] = incidence.link[tight[np.searchsorted(tight, start)]]
    return MaxMin(rate, link, 1)


def _view(name: ViewName, loads: Loads, rate: Float64s, link: Int64s) -> View:
    """Sum up rows to jobs: times of all phases, rate and bottleneck of the longest."""
    inverse = np.zeros(rate.shape)
    np.divide(1.0, rate, out=inverse, where=loads.row_bytes > 0)
    busy = (loads.row_bytes * inverse).reshape(-1, loads.num_phases)
    num_jobs = busy.shape[0]
    longest = busy.argmax(axis=1) + np.arange(num_jobs) * loads.num_phases
    idle = loads.row_bytes[longest] == 0
    return View(
        name,
        loads.job_times(inverse),
        np.where(idle, np.inf, rate[longest]),
        np.where(idle | (link[longest] == NO_LINK), NO_LINK, loads.channels.tightest_link[link[longest]]),
    )
