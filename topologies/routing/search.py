"""Shortest ways through any switch graph, by breadth-first search from each distinct destination.

The answer for pairs that the up-and-down tables of `topologies.routing.clos` do not cover: graphs that are no folded
Clos, and the pairs that a broken cable touches.
"""

from __future__ import annotations

import numpy as np

from topologies.fabric import Int32s
from topologies.routing.plane import Plane
from topologies.routing.rows import Float64s, Int64s, count_at, running_total, spans, sum_at

__all__ = ["UNREACHABLE", "SearchTables", "SplitWays"]

UNREACHABLE = np.iinfo(np.int32).max
"""Distance of what cannot be reached."""

_MAX_CELLS = 20_000_000  # distances are searched for so many (destination, switch) pairs at a time: 80 MB


class SplitWays:
    """Even split of each (source group, target group) pair over all shortest ways.

    Attributes
    ----------
    pair_start, link, share_frac
        Compressed rows: links between switches that the pair uses, hop after hop.
    source_key, source_share
        Sorted ``pair × switches + switch`` and what of the pair enters the network there.
    target_key, target_share
        The same for where it leaves.
    """

    def __init__(
        self, entries: tuple[Int64s, Int64s, Float64s], ends: list[tuple[Int64s, Float64s]], num_pairs: int
    ) -> None:
        pair, link, share = entries
        order = np.argsort(pair, kind="stable")
        self.pair_start = running_total(count_at(pair, num_pairs))
        self.link, self.share_frac = link[order], share[order]
        (self.source_key, self.source_share), (self.target_key, self.target_share) = ends

    @property
    def num_pairs(self) -> int:
        """Number of pairs."""
        return int(self.pair_start.size - 1)

    def with_entries(self, pair: Int64s, link: Int64s, share_frac: Float64s) -> SplitWays:
        """Return the same pairs over other links."""
        ends = [(self.source_key, self.source_share), (self.target_key, self.target_share)]
        return SplitWays((pair, link, share_frac), ends, self.num_pairs)


class SearchTables:
    """Distances from every switch to groups of endpoints, found when first asked for.

    Parameters
    ----------
    plane
        The network.
    """

    def __init__(self, plane: Plane) -> None:
        self.plane = plane
        self._row_of_group = np.full(plane.num_groups, -1, np.int64)
        self._distance = np.zeros((0, plane.num_switches), np.int32)

    def distances(self, groups: Int64s) -> tuple[Int64s, Int32s]:
        """Return hops from each switch to each group: ``(row of each of the groups, table (rows, num_switches))``.

        A switch that the group hangs on has distance 0.
        """
        missing = np.unique(groups[self._row_of_group[groups] < 0])
        if missing.size:
            step = max(1, _MAX_CELLS // max(self.plane.num_switches, 1))
            found = [self._search(missing[i : i + step]) for i in range(0, missing.size, step)]
            self._row_of_group[missing] = len(self._distance) + np.arange(missing.size)
            self._distance = np.concatenate([self._distance, *found])
        return self._row_of_group[groups], self._distance

    def _search(self, groups: Int64s) -> Int32s:
        from scipy.sparse import csr_array
        from scipy.sparse.csgraph import shortest_path

        plane, num = self.plane, self.plane.num_switches
        size = plane.group_start[groups + 1] - plane.group_start[groups]
        root = plane.group_switch[spans(plane.group_start[groups], size)]
        start = np.concatenate((plane.trunk_start, plane.trunk_start[-1] + np.cumsum(size)))
        target = np.concatenate((plane.switch_of(plane.trunk_link), root))
        graph = csr_array((np.ones(target.size, np.int8), target, start), shape=(num + groups.size,) * 2)
        graph.sum_duplicates()
        hops = shortest_path(graph, method="D", unweighted=True, indices=num + np.arange(groups.size))[:, :num] - 1.0
        hops[~np.isfinite(hops)] = UNREACHABLE
        return hops.astype(np.int32)

    def entry_hops(self, source_group: Int64s, target_group: Int64s) -> Int64s:
        """Return switch-to-switch hops of the shortest way of each pair, `UNREACHABLE` if there is none."""
        row, table = self.distances(target_group)
        plane = self.plane
        size = plane.group_start[source_group + 1] - plane.group_start[source_group]
        if not size.size:
            return np.zeros(0, np.int64)
        switch = plane.group_switch[spans(plane.group_start[source_group], size)]
        hops = table[np.repeat(row, size), switch]
        return np.minimum.reduceat(hops, running_total(size)[:-1]).astype(np.int64)

    def next_links(self, switch: Int64s, row: Int64s, table: Int32s) -> tuple[Int64s, Int64s]:
        """Links one hop nearer: ``(number for each switch, the links one after another)``.

        Parameters
        ----------
        switch, row
            Where each traveller is, and the row of `table` with the distances to where it goes.
        """
        plane = self.plane
        size = plane.trunk_start[switch + 1] - plane.trunk_start[switch]
        link = plane.trunk_link[spans(plane.trunk_start[switch], size)]
        owner = np.repeat(np.arange(switch.size), size)
        nearer = table[row[owner], plane.switch_of(link)] < table[row, switch][owner]
        return count_at(owner[nearer], switch.size), link[nearer]

    def split(self, source_group: Int64s, target_group: Int64s) -> SplitWays:
        """Split each pair evenly at every switch over the links that lead one hop nearer.

        At the source it splits evenly over the access links that begin a shortest way.
        """
        plane, num = self.plane, self.plane.num_switches
        num_pairs = source_group.size
        row, table = self.distances(target_group)
        hops = self.entry_hops(source_group, target_group)
        size = plane.group_start[source_group + 1] - plane.group_start[source_group]
        entry = spans(plane.group_start[source_group], size)
        pair = np.repeat(np.arange(num_pairs), size)
        switch, share = plane.group_switch[entry], plane.group_share[entry]
        best = table[row[pair], switch] == hops[pair]
        pair, switch, share = pair[best], switch[best], share[best]
        share = share / sum_at(pair, share, num_pairs)[pair]
        source_end = (pair * num + switch, share)
        pairs, links, shares = [np.zeros(0, np.int64)], [np.zeros(0, np.int64)], [np.zeros(0)]
        arrived_key, arrived_share = [np.zeros(0, np.int64)], [np.zeros(0)]
        while pair.size:
            there = table[row[pair], switch] == 0
            arrived_key.append(pair[there] * num + switch[there])
            arrived_share.append(share[there])
            pair, switch, share = pair[~there], switch[~there], share[~there]
            fan, link = self.next_links(switch, row[pair], table)
            link_pair = np.repeat(pair, fan)
            link_share = np.repeat(share / np.maximum(fan, 1), fan)
            pairs.append(link_pair)
            links.append(link)
            shares.append(link_share)
            key, where = np.unique(link_pair * num + plane.switch_of(link), return_inverse=True)
            share = sum_at(where.ravel(), link_share, key.size)
            pair, switch = key // num, key % num
        key = np.concatenate(arrived_key)
        order = np.argsort(key)
        target_end = (key[order], np.concatenate(arrived_share)[order])
        entries = (np.concatenate(pairs), np.concatenate(links), np.concatenate(shares))
        return SplitWays(entries, [source_end, target_end], num_pairs)
