"""Max-min fair rates of rows that share links, by freezing every local bottleneck at once.

All rows rise together; a link that fills up stops the rows on it, the others go on. A row's rate loads a link as many
times as its multiplicity says, so link l with capacity c and rows j at the common level x fills up at
``x = c / Σ m_jl`` (*job max-min*: every edge of a ring runs at the ring's rate, so a ring is one row).

Progressive filling: Bertsekas & Gallager, *Data Networks*, 1992, §6.5.2. A link that is the tightest one for *every*
row on it keeps its level whatever happens elsewhere, because none of its rows is stopped sooner anywhere; all such
local bottlenecks are therefore frozen in the same sweep (Ros-Giralt et al., *On the Bottleneck Structure of Congestion-
Controlled Networks*, 2019), which takes a few sweeps where one-at-a-time filling takes as many as there are rows.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from planner.congestion.incidence import Incidence
from topologies.errors import InputError
from topologies.routing.rows import running_total, sizes, sum_at

__all__ = ["NO_LINK", "MaxMin", "bottleneck_rates", "contended", "fill_rates", "link_rate", "max_min_rates"]

NO_LINK = -1
"""Stands in `MaxMin.bottleneck_link` where no link holds the row back."""

# Two levels closer than this, relatively, are one level: they differ by rounding only.
_SAME_LEVEL_REL = 1e-12

Float64s = npt.NDArray[np.float64]
Int64s = npt.NDArray[np.int64]


@dataclass(frozen=True)
class MaxMin:
    """Fair rates, and what holds each row back.

    Attributes
    ----------
    rate_bytes_per_s
        Rate of each row, shape ``(num_rows,)``; inf for a row that uses no link and has no limit.
    bottleneck_link
        The full link that stops the row, shape ``(num_rows,)``; `NO_LINK` where its own limit or nothing does.
    num_sweeps
        How many rounds of freezing it took.
    """

    rate_bytes_per_s: Float64s
    bottleneck_link: Int64s
    num_sweeps: int


def _check(incidence: Incidence, capacity_bytes_per_s: Float64s) -> Float64s:
    """Return `capacity_bytes_per_s` as floats, or say what is wrong with it."""
    capacity = np.asarray(capacity_bytes_per_s, dtype=np.float64)
    if capacity.shape != (incidence.num_links,):
        raise InputError(
            what="one capacity a link is needed",
            where="max-min",
            found=str(capacity.shape),
            allowed=f"({incidence.num_links},)",
        )
    if capacity.size and not capacity.min() >= 0.0:
        raise InputError(what="capacity below zero", where="max-min", found=str(capacity.min()), allowed=">= 0")
    return capacity


def _min_by_row(value: Float64s, row_start: Int64s, empty: float) -> Float64s:
    """Smallest entry of each row, shape ``(num_rows,)``; `empty` for a row without entries."""
    out = np.full(row_start.size - 1, empty)
    filled = np.flatnonzero(row_start[1:] > row_start[:-1])
    if filled.size:
        out[filled] = np.minimum.reduceat(value, row_start[filled])
    return out


def _any_by_row(flag: npt.NDArray[np.bool_], row_start: Int64s) -> npt.NDArray[np.bool_]:
    """Whether any entry of each row is set, shape ``(num_rows,)``."""
    count = running_total(flag)
    result: npt.NDArray[np.bool_] = count[row_start[1:]] > count[row_start[:-1]]
    return result


def _first_link(flag: npt.NDArray[np.bool_], incidence_link: Int64s, row_start: Int64s) -> Int64s:
    """Link of the first set entry of each row, `NO_LINK` where none is set."""
    out = np.full(row_start.size - 1, NO_LINK, dtype=np.int64)
    hit = np.flatnonzero(flag)
    if hit.size:
        first = hit[np.minimum(np.searchsorted(hit, row_start[:-1]), hit.size - 1)]
        found = (first >= row_start[:-1]) & (first < row_start[1:])
        out[found] = incidence_link[first[found]]
    return out


def link_rate(incidence: Incidence, rate_bytes_per_s: Float64s) -> Float64s:
    """Bytes/s on each link when each row runs at its rate, shape ``(num_links,)``."""
    rate = np.repeat(rate_bytes_per_s, sizes(incidence.row_start))
    return sum_at(incidence.link, incidence.multiplicity * rate, incidence.num_links)


def bottleneck_rates(incidence: Incidence, capacity_bytes_per_s: Float64s) -> MaxMin:
    """Fair share of each row's worst link, as if every row on that link took its full share (the *naive* rate).

    A lower bound of the max-min rate, in one pass: rows held back elsewhere leave room that this does not hand out.
    """
    capacity = _check(incidence, capacity_bytes_per_s)
    share = sum_at(incidence.link, incidence.multiplicity, incidence.num_links)
    with np.errstate(divide="ignore", invalid="ignore"):  # links that nobody uses, and that nobody will look up
        np.divide(capacity, share, out=share)
    level = share[incidence.link]
    rate = _min_by_row(level, incidence.row_start, np.inf)
    tight = level <= np.repeat(rate, sizes(incidence.row_start))
    return MaxMin(rate, _first_link(tight, incidence.link, incidence.row_start), 1)


def max_min_rates(
    incidence: Incidence,
    capacity_bytes_per_s: Float64s,
    *,
    rate_limit_bytes_per_s: Float64s | None = None,
    weight: Float64s | None = None,
) -> MaxMin:
    """Max-min fair rates of the rows.

    Parameters
    ----------
    incidence
        Rows × links with multiplicities.
    capacity_bytes_per_s
        Capacity of each link, shape ``(num_links,)``; 0 for a link that is down.
    rate_limit_bytes_per_s
        A rate no row exceeds whatever the links allow, shape ``(num_rows,)``.
    weight
        A row of weight 2 gets twice what one of weight 1 gets on a link that holds both back, shape ``(num_rows,)``,
        > 0; all alike without it.

    Returns
    -------
    MaxMin
        Exact up to rounding: every row is either at its limit or has a full link on which no row is faster.
    """
    capacity = _check(incidence, capacity_bytes_per_s)
    num_rows = incidence.num_rows
    limit = np.full(num_rows, np.inf) if rate_limit_bytes_per_s is None else np.asarray(rate_limit_bytes_per_s, float)
    if limit.shape != (num_rows,) or (limit.size and not limit.min() >= 0.0):
        raise InputError(what="rate limits must be one a row, not below zero", where="max-min", found=str(limit.shape))

    if weight is not None:
        if weight.shape != (num_rows,) or (weight.size and not weight.min() > 0):
            raise InputError(what="weights must be one a row, above zero", where="max-min", found=str(weight.shape))
        times = incidence.multiplicity * np.repeat(weight, sizes(incidence.row_start))
        level = max_min_rates(
            Incidence(incidence.row_start, incidence.link, times, incidence.num_links),
            capacity,
            rate_limit_bytes_per_s=limit / weight,
        )
        return MaxMin(level.rate_bytes_per_s * weight, level.bottleneck_link, level.num_sweeps)
    entry_capacity = capacity[incidence.link]
    bound, bottleneck = _bounds(incidence, entry_capacity, limit)
    live = _Live(incidence, np.flatnonzero(_can_fill(incidence, capacity, bound)), entry_capacity)
    rate = bound.copy()
    num_sweeps = live.fill(bound, rate, bottleneck)
    return MaxMin(rate, bottleneck, num_sweeps)


def fill_rates(incidence: Incidence, capacity_bytes_per_s: Float64s, limit_bytes_per_s: Float64s) -> Float64s:
    """Rates of `max_min_rates` for what `contended` left over, or some rows of it: unchecked, and not pruned again.

    Parameters
    ----------
    limit_bytes_per_s
        ``(num_rows,)`` rate that no row exceeds, finite unless the row has no links.
    """
    entries = np.arange(incidence.num_entries)
    live = _Live(incidence, entries, capacity_bytes_per_s[incidence.link])
    rate = limit_bytes_per_s.copy()
    live.fill(limit_bytes_per_s, rate, np.full(incidence.num_rows, NO_LINK, np.int64))
    return rate


def _bounds(incidence: Incidence, entry_capacity: Float64s, limit_bytes_per_s: Float64s) -> tuple[Float64s, Int64s]:
    """Return what each row cannot beat even alone, and the link that says so (`NO_LINK` if it is the row's limit)."""
    row_start = incidence.row_start
    alone = entry_capacity / incidence.multiplicity
    bound = np.minimum(_min_by_row(alone, row_start, np.inf), limit_bytes_per_s)
    tight = alone <= np.repeat(bound, sizes(row_start))
    return bound, _first_link(tight, incidence.link, row_start)


def _can_fill(
    incidence: Incidence, capacity_bytes_per_s: Float64s, bound_bytes_per_s: Float64s
) -> npt.NDArray[np.bool_]:
    """Return which entries are on links that overflow with every row at its bound; no others ever matter."""
    most = link_rate(incidence, np.where(np.isfinite(bound_bytes_per_s), bound_bytes_per_s, 0.0))
    most *= 1.0 - _SAME_LEVEL_REL
    overflows: npt.NDArray[np.bool_] = (most > capacity_bytes_per_s)[incidence.link]
    return overflows


def contended(incidence: Incidence, capacity_bytes_per_s: Float64s) -> tuple[Incidence, Float64s]:
    """Leave out the links that no subset of the rows can fill up.

    Returns
    -------
    tuple
        The remaining incidence, with the same rows, and the rate limit a row that stands for what was left out,
        ``(num_rows,)``: `max_min_rates` of the two, or of any selection of rows, gives the rates of the whole.
    """
    capacity = _check(incidence, capacity_bytes_per_s)
    entry_capacity = capacity[incidence.link]
    bound, _ = _bounds(incidence, entry_capacity, np.full(incidence.num_rows, np.inf))
    keep = _can_fill(incidence, capacity, bound)
    row_start = running_total(keep)[incidence.row_start]
    return Incidence(row_start, incidence.link[keep], incidence.multiplicity[keep], incidence.num_links), bound


class _Live:
    """The rows that still rise, and their entries on links that can still fill up.

    Links are numbered anew, so that a sweep costs what is still contended and not what the fabric has.
    """

    def __init__(self, incidence: Incidence, entry: Int64s, entry_capacity: Float64s) -> None:
        start = np.searchsorted(entry, incidence.row_start)
        self.row = np.flatnonzero(start[1:] > start[:-1])
        self.row_start = np.append(start[self.row], entry.size)
        self.size = sizes(self.row_start)
        self.multiplicity = incidence.multiplicity[entry]
        link = incidence.link[entry]
        used = np.zeros(incidence.num_links, dtype=bool)
        used[link] = True
        self.link_id = np.flatnonzero(used)
        new_id = np.empty(incidence.num_links, dtype=np.int32)
        new_id[self.link_id] = np.arange(self.link_id.size, dtype=np.int32)
        self.link = new_id[link].astype(np.int64)
        self.left_bytes_per_s = np.empty(self.link_id.size)
        self.left_bytes_per_s[self.link] = entry_capacity[entry]

    def fill(self, bound_bytes_per_s: Float64s, rate_bytes_per_s: Float64s, bottleneck: Int64s) -> int:
        """Freeze rows until none rises; write their rates and links, and return the number of sweeps."""
        num_sweeps = 0
        while self.row.size:
            num_sweeps += 1
            frozen, rate, link = self.sweep(bound_bytes_per_s)
            done = self.row[frozen]
            rate_bytes_per_s[done] = rate
            held = link != NO_LINK
            bottleneck[done[held]] = self.link_id[link[held]]
            self.drop(frozen, rate)
        return num_sweeps

    def sweep(self, bound_bytes_per_s: Float64s) -> tuple[Int64s, Float64s, Int64s]:
        """Find the rows that stop now: their positions among the live rows, rates, and links (or `NO_LINK`)."""
        load = sum_at(self.link, self.multiplicity, self.link_id.size)
        level = np.full(load.shape, np.inf)
        np.divide(self.left_bytes_per_s, load, out=level, where=load > 0)
        entry_level = level[self.link]
        own = bound_bytes_per_s[self.row]
        reach = np.minimum(np.minimum.reduceat(entry_level, self.row_start[:-1]), own)
        # A link is a local bottleneck unless a row on it is held back harder elsewhere.
        slower = np.repeat(reach, self.size) < entry_level * (1.0 - _SAME_LEVEL_REL)
        local = np.ones(load.shape, dtype=bool)
        local[self.link[slower]] = False
        stops = local[self.link] & ~slower
        frozen = np.flatnonzero(_any_by_row(stops, self.row_start) | (reach >= own))
        return frozen, reach[frozen], _first_link(stops, self.link, self.row_start)[frozen]

    def drop(self, frozen: Int64s, rate_bytes_per_s: Float64s) -> None:
        """Take the frozen rows out, and what they use off their links."""
        row_rate = np.zeros(self.row.size)
        row_rate[frozen] = rate_bytes_per_s
        stays = np.ones(self.row.size, dtype=bool)
        stays[frozen] = False
        entry_stays = np.repeat(stays, self.size)
        gone = ~entry_stays
        used = self.multiplicity[gone] * np.repeat(row_rate, self.size)[gone]
        left = self.left_bytes_per_s - sum_at(self.link[gone], used, self.link_id.size)
        self.left_bytes_per_s = np.maximum(left, 0.0)
        self.row = self.row[stays]
        self.link = self.link[entry_stays]
        self.multiplicity = self.multiplicity[entry_stays]
        self.size = self.size[stays]
        self.row_start = running_total(self.size)
