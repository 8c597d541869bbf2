"""Adaptive routing as a fluid: traffic is split over shortest ways so that the fullest link is as empty as can be.

What per-packet adaptive routing strives for, once it has settled: not a model of its transients. Where all links of a
bundle are alike, an even split already is the best one (each bundle's total is given by who talks to whom, and an even
share is the least that its fullest link can carry), so such flows are sprayed. The others (degraded or missing cables,
graphs that are no Clos) are split by the Frank–Wolfe method (1956) on ``Σ (load / capacity)^p``: prices from the
present loads, all traffic of each pair to its cheapest shortest way, a step towards that. The fullest link comes out
within a few per cent of the least there can be.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from topologies.routing.clos import GENERAL
from topologies.routing.pieces import Pieces
from topologies.routing.router import Batch, NetworkTables
from topologies.routing.rows import Float64s, Int64s, count_at, running_total, spans, sum_at
from topologies.routing.search import SearchTables
from topologies.routing.spray import Spray, add_access

__all__ = ["Adaptive"]

_POWER = 16.0  # of the potential: 2^(1/16) = 1.04 is what two equally full links add to the largest load
_MAX_STEPS = 200
_STEPS_TRIED = np.concatenate(([0.0], np.geomspace(1e-4, 1.0, 33)))
_SETTLED_REL = 1e-6


@dataclass(frozen=True)
class Adaptive:
    """Split over shortest ways that levels the load.

    Parameters
    ----------
    weight
        ``(F,)`` how much each flow carries, relative to the others; all alike without it.
    """

    weight: Float64s | None = None

    @property
    def name(self) -> str:
        """Short name."""
        return "adaptive"

    def add(self, network: NetworkTables, batch: Batch, pieces: Pieces) -> None:
        """Add the links of the flows in `batch` to `pieces`."""
        even = _evenly_best(network, batch)
        background = np.zeros(network.fabric.num_links)
        amount = np.ones(batch.flow.size) if self.weight is None else np.asarray(self.weight, np.float64)[batch.flow]
        if even.any():
            apart = Pieces(pieces.num_flows)
            Spray().add(network, batch.where(even), apart)
            found = apart.join()
            owner = found.entry_flow()
            pieces.add(owner, found.link, found.share_frac)
            by_flow = np.zeros(pieces.num_flows)
            by_flow[batch.flow] = amount
            background = sum_at(found.link, found.share_frac * by_flow[owner], background.size)
        if not even.all():
            _add_levelled(network, batch.where(~even), amount[~even], background, pieces)


def _evenly_best(network: NetworkTables, batch: Batch) -> npt.NDArray[np.bool_]:
    """Return which flows only use bundles of alike links, ``(batch,)``."""
    clos = network.clos
    even = batch.height != GENERAL
    if clos is None or not even.any():
        return np.zeros(batch.flow.size, bool)
    capacity = network.fabric.link_capacity_bytes_per_s
    filled = np.flatnonzero(np.diff(clos.bundle_start))
    alike = np.ones(clos.num_bundles, bool)
    if filled.size:
        start = clos.bundle_start[filled]
        for link in (clos.bundle_link, clos.bundle_link ^ 1):
            level = capacity[link] / clos.bundle_share
            lowest, highest = np.minimum.reduceat(level, start), np.maximum.reduceat(level, start)
            alike[filled] &= highest <= lowest * (1 + 1e-9)
    for h in range(1, int(batch.height.max())):
        climbs = even & (batch.height > h)
        for group in (batch.source_group, batch.target_group):
            even[climbs] &= alike[clos.bundle_of[h - 1, group[climbs]]]
    evenly: npt.NDArray[np.bool_] = even
    return evenly


def _add_levelled(network: NetworkTables, batch: Batch, amount: Float64s, background: Float64s, pieces: Pieces) -> None:
    """Level the load of the flows that spraying does not serve best."""
    plane = network.plane
    key, which = np.unique(batch.source_group * plane.num_groups + batch.target_group, return_inverse=True)
    which = which.ravel()
    source, target = key // plane.num_groups, key % plane.num_groups
    ways = network.search.split(source, target)
    add_access(plane, batch.flow, batch.source, which, (ways.source_key, ways.source_share), pieces, up=True)
    demand = sum_at(which, amount, key.size)
    pair, link, share = _levelled(network.search, ways.source_key, ways.source_share, target, demand, background)
    start = running_total(count_at(pair, key.size))
    size = start[which + 1] - start[which]
    entry = spans(start[which], size)
    pieces.add(np.repeat(batch.flow, size), link[entry], share[entry])
    # Where a pair leaves the network follows from where its split arrives.
    arrives = network.search.distances(target)
    last = arrives[1][arrives[0][pair], plane.switch_of(link)] == 0
    end_key, place = np.unique(pair[last] * plane.num_switches + plane.switch_of(link[last]), return_inverse=True)
    end_share = sum_at(place.ravel(), share[last], end_key.size)
    near = np.setdiff1d(np.arange(key.size), pair[last])  # pairs on one switch: they leave where they enter
    stays = np.isin(ways.source_key // plane.num_switches, near)
    end_key = np.concatenate((end_key, ways.source_key[stays]))
    end_share = np.concatenate((end_share, ways.source_share[stays]))
    order = np.argsort(end_key)
    ends = (end_key[order], end_share[order])
    add_access(plane, batch.flow, batch.target, which, ends, pieces, up=False)


def _levelled(
    search: SearchTables,
    source_key: Int64s,
    source_share: Float64s,
    target: Int64s,
    demand: Float64s,
    background: Float64s,
) -> tuple[Int64s, Int64s, Float64s]:
    """Split pairs over switch links: ``(pair, link, share)``, sorted by pair."""
    plane = search.plane
    num = plane.num_switches
    row, table = search.distances(target)
    rows, row = np.unique(row, return_inverse=True)
    ways = _Ways(search, rows, table)
    pair, entry_switch = source_key // num, source_key % num
    carried = source_share * demand[pair]
    cell = row.ravel()[pair] * num + entry_switch

    used = np.zeros(0, np.int64)
    share = np.zeros(0)
    load = background.copy()
    capacity = plane.fabric.link_capacity_bytes_per_s
    scale = max(float((carried.sum() + background.max(initial=0.0)) / capacity.min()), 1e-300)
    for step in range(_MAX_STEPS):
        price = (load / capacity / scale) ** (_POWER - 1) / capacity
        where, link = ways.cheapest(cell, price)
        toward = background + sum_at(link, carried[where], load.size)
        gamma = 1.0 if step == 0 else _best_step(load, toward, capacity)
        key = where * plane.fabric.num_links + link
        merged, place = np.unique(np.concatenate((used, key)), return_inverse=True)
        weights = np.concatenate((share * (1 - gamma), np.full(key.size, gamma)))
        used, share = merged, sum_at(place.ravel(), weights, merged.size)
        if step and gamma == 0.0:
            break
        load = (1 - gamma) * load + gamma * toward
        fullest = float((load / capacity).max(initial=0.0))
        if step and abs(fullest - scale) <= _SETTLED_REL * scale and gamma < _SETTLED_REL:
            break
        scale = max(fullest, 1e-300)
    keep = share > 0
    used, share = used[keep], share[keep]
    entry, link = used // plane.fabric.num_links, used % plane.fabric.num_links
    pair_key, place = np.unique(pair[entry] * plane.fabric.num_links + link, return_inverse=True)
    total = sum_at(place.ravel(), share * source_share[entry], pair_key.size)
    return pair_key // plane.fabric.num_links, pair_key % plane.fabric.num_links, total


def _best_step(load: Float64s, toward: Float64s, capacity: Float64s) -> float:
    """Step from `load` towards `toward` with the least potential, among a few."""
    touched = np.flatnonzero((load > 0) | (toward > 0))
    here, there = load[touched] / capacity[touched], toward[touched] / capacity[touched]
    blend = here[:, None] * (1 - _STEPS_TRIED) + there[:, None] * _STEPS_TRIED
    largest = blend.max(initial=1e-300)
    potential = ((blend / largest) ** _POWER).sum(axis=0)
    return float(_STEPS_TRIED[int(np.argmin(potential))])


class _Ways:
    """All hops that lead nearer to some destinations, level by level; a cell is (destination row, switch)."""

    def __init__(self, search: SearchTables, rows: Int64s, table: npt.NDArray[np.int32]) -> None:
        plane = search.plane
        num = plane.num_switches
        from_switch = np.repeat(np.arange(num), np.diff(plane.trunk_start))
        to_switch = plane.switch_of(plane.trunk_link)
        self._num_cells = rows.size * num
        level: list[Int64s] = []
        cells: list[Int64s] = []
        nexts: list[Int64s] = []
        links: list[Int64s] = []
        for i, r in enumerate(rows):
            hops = table[r].astype(np.int64)
            nearer = np.flatnonzero(hops[to_switch] < hops[from_switch])
            level.append(hops[from_switch[nearer]])
            cells.append(i * num + from_switch[nearer])
            nexts.append(i * num + to_switch[nearer])
            links.append(plane.trunk_link[nearer])
        self._by_level: list[tuple[Int64s, Int64s, Int64s, Int64s]] = []
        all_level = np.concatenate(level)
        columns = [np.concatenate(column) for column in (cells, nexts, links)]
        for distance in np.unique(all_level):
            at = np.flatnonzero(all_level == distance)
            at = at[np.argsort(columns[0][at], kind="stable")]
            cell = columns[0][at]
            start = np.flatnonzero(np.diff(cell, prepend=-1))
            self._by_level.append((start, cell, columns[1][at], columns[2][at]))

    def cheapest(self, cell: Int64s, price: Float64s) -> tuple[Int64s, Int64s]:
        """Links of the cheapest way from each cell: ``(number of the cell given, link)``."""
        cost = np.zeros(self._num_cells)
        best = np.full(self._num_cells, -1, np.int64)
        onward = np.zeros(self._num_cells, np.int64)
        for start, owner, following, link in self._by_level:
            total = price[link] + cost[following]
            size = np.diff(start, append=owner.size)
            lowest = np.minimum.reduceat(total, start)
            tight = np.flatnonzero(total <= np.repeat(lowest, size))
            row = np.searchsorted(start, tight, side="right") - 1
            first = tight[np.flatnonzero(np.diff(row, prepend=-1))]
            cost[owner[start]] = lowest
            best[owner[first]] = link[first]
            onward[owner[first]] = following[first]
        who, links = [np.zeros(0, np.int64)], [np.zeros(0, np.int64)]
        at, number = cell.copy(), np.arange(cell.size)
        while at.size:
            going = best[at] >= 0
            at, number = at[going], number[going]
            who.append(number)
            links.append(best[at])
            at = onward[at]
        return np.concatenate(who), np.concatenate(links)
