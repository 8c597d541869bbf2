"""What an all-to-all moves inside units on its way between them: to the member at the NIC, and from it (PXN)."""

from __future__ import annotations

import numpy as np

from planner.collectives.groups import Crossings, Visits
from topologies.fabric import Fabric, LinkKind
from topologies.routing.rows import Float64s, Int64s, sum_at

__all__ = ["relayed_blocks"]


def relayed_blocks(
    fabric: Fabric,
    seen: Visits,
    leaves: Int64s,
    enters: Int64s,
    across: Crossings,
    pairs: tuple[Int64s, Int64s, Int64s],
    times: Int64s,
) -> Float64s:
    """Return how many blocks each pair of members moves for others, ``(P,)``.

    A unit's port carries its share of what the unit sends to another one: as much from each member. Members that have
    no such port hand their part to those that have it, evenly. Where more arrives at a port than its holders are due,
    they hand the rest on to the others, evenly.

    Parameters
    ----------
    seen, leaves, enters, across
        Units, passages between them, and the ports that carry each passage.
    pairs
        ``(P,)`` visit, source and target member of each pair.
    times
        For how many passages each one stands.
    """
    visit, source, target = pairs
    if not across.passage.size or not source.size:
        return np.zeros(source.size)
    holders = _Holders(fabric, seen)
    num = seen.num_members.astype(np.float64)
    a, b, share = leaves[across.passage], enters[across.passage], across.share_frac
    often = times[across.passage].astype(np.float64)
    out = holders.of_ports(a, across.source, often * num[b] * share)
    kept = holders.number_at(b, across.target)
    rest = often * num[a] * np.maximum(num[b] * share - kept, 0.0) / np.maximum(num[b] - kept, 1.0)
    back = holders.of_ports(b, across.target, rest)
    apart = ~holders.share_a_port(source, target)
    return (out[holders.row(visit, target)] + back[holders.row(visit, source)]) * apart


class _Holders:
    """Which members of each unit have which NIC."""

    def __init__(self, fabric: Fabric, seen: Visits) -> None:
        self.fabric = fabric
        self.num_nodes = fabric.num_nodes
        visit = np.repeat(np.arange(seen.job.size), seen.num_members)
        key = visit * self.num_nodes + seen.member
        self.order = np.argsort(key, kind="stable")
        self.member_key = key[self.order]
        inside = np.flatnonzero((fabric.link_kind == LinkKind.HOST) & (fabric.link_source < fabric.num_accelerators))
        holder, nic = fabric.link_source[inside].astype(np.int64), fabric.link_target[inside].astype(np.int64)
        by_holder = np.argsort(holder, kind="stable")
        begin = np.searchsorted(holder[by_holder], seen.member)
        size = np.searchsorted(holder[by_holder], seen.member, side="right") - begin
        place = np.repeat(begin - (np.cumsum(size) - size), size) + np.arange(size.sum())
        row = np.repeat(np.arange(seen.member.size), size)
        port_key = visit[row] * self.num_nodes + nic[by_holder[place]]
        order = np.argsort(port_key, kind="stable")
        self.port_key, self.port_row = port_key[order], row[order]
        self.num_rows = seen.member.size

    def row(self, visit: Int64s, member: Int64s) -> Int64s:
        """Return the row of each member among all members of all units."""
        at = np.searchsorted(self.member_key, visit * self.num_nodes + member)
        row: Int64s = self.order[at]
        return row

    def number_at(self, visit: Int64s, port: Int64s) -> Float64s:
        """Return how many members of a unit have a port; 1 where the port is a member itself."""
        key = visit * self.num_nodes + port
        size = np.searchsorted(self.port_key, key, side="right") - np.searchsorted(self.port_key, key)
        number: Float64s = np.maximum(size, 1).astype(np.float64)
        return number

    def of_ports(self, visit: Int64s, port: Int64s, blocks: Float64s) -> Float64s:
        """Add up the blocks at the ports of each member, evenly where several have a port, ``(num_rows,)``."""
        key, inverse = np.unique(visit * self.num_nodes + port, return_inverse=True)
        total = sum_at(inverse.ravel(), blocks, key.size)
        begin = np.searchsorted(self.port_key, key)
        size = np.searchsorted(self.port_key, key, side="right") - begin
        place = np.repeat(begin - (np.cumsum(size) - size), size) + np.arange(size.sum())
        return sum_at(self.port_row[place], np.repeat(total / np.maximum(size, 1), size), self.num_rows)

    def share_a_port(self, source: Int64s, target: Int64s) -> np.ndarray[tuple[int, ...], np.dtype[np.bool_]]:
        """Return which pairs hang on one nearest NIC."""
        nic = self.fabric.accelerator_nic
        shared: np.ndarray[tuple[int, ...], np.dtype[np.bool_]] = (nic[source] == nic[target]) & (nic[source] >= 0)
        return shared
