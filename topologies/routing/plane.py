"""`Plane`: one switched network of a fabric, scale-out or scale-up, as the routing sees it.

Accelerators and NICs are *endpoints*: flows begin and end there and never pass through. Endpoints that hang on the same
switches in the same way form one *group* and are routed alike, so tables are kept by group.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

import numpy as np

from topologies.fabric import Fabric, LinkKind
from topologies.routing.rows import Float64s, Int64s, count_at, running_total, spans

__all__ = ["Plane"]


class Plane:
    """The links of one kind: from endpoints to switches (*access*), between endpoints (*direct*), between switches.

    Parameters
    ----------
    fabric
        The fabric.
    kind
        `LinkKind.SCALE_OUT` or `LinkKind.SCALE_UP`.

    Attributes
    ----------
    num_endpoints
        Accelerators and NICs together; switch ``s`` of the plane is node ``num_endpoints + s``.
    access_start, access_link
        Compressed rows: the access links that leave each endpoint. ``link ^ 1`` is the way in.
    trunk_start, trunk_link
        Compressed rows: the links from each switch to other switches.
    """

    def __init__(self, fabric: Fabric, kind: LinkKind) -> None:
        self.fabric = fabric
        self.kind = kind
        self.num_endpoints = fabric.num_accelerators + fabric.num_nics
        self.num_switches = fabric.num_nodes - self.num_endpoints
        link = np.flatnonzero(fabric.link_kind == kind)
        source = fabric.link_source[link].astype(np.int64)
        target = fabric.link_target[link].astype(np.int64)
        from_switch, to_switch = source >= self.num_endpoints, target >= self.num_endpoints
        self.access_start, self.access_link = self._rows(
            link[~from_switch & to_switch], source[~from_switch & to_switch], self.num_endpoints
        )
        both = from_switch & to_switch
        self.trunk_start, self.trunk_link = self._rows(link[both], source[both] - self.num_endpoints, self.num_switches)
        direct = ~from_switch & ~to_switch
        key = source[direct] * self.num_endpoints + target[direct]
        order = np.argsort(key, kind="stable")
        self._direct_key, self._direct_link = key[order], link[direct][order]

    @staticmethod
    def _rows(link: Int64s, row: Int64s, num_rows: int) -> tuple[Int64s, Int64s]:
        order = np.argsort(row, kind="stable")
        return running_total(count_at(row, num_rows)), link[order]

    def switch_of(self, link: Int64s) -> Int64s:
        """Switch at the far end of each link."""
        return self.fabric.link_target[link].astype(np.int64) - self.num_endpoints

    def direct_links(self, source: Int64s, target: Int64s) -> tuple[Int64s, Int64s]:
        """Links that join two endpoints without a switch: ``(number for each pair, the links one after another)``."""
        key = source * self.num_endpoints + target
        begin = np.searchsorted(self._direct_key, key, side="left")
        size = np.searchsorted(self._direct_key, key, side="right") - begin
        return size, self._direct_link[spans(begin, size)]

    @cached_property
    def _groups(self) -> tuple[Int64s, Int64s, Int64s, Float64s]:
        """Group of each endpoint, and the compressed rows (start, switch, share) of each group's switches."""
        degree = np.diff(self.access_start)
        switch = self.switch_of(self.access_link)
        group = np.full(self.num_endpoints, -1, np.int64)
        sizes: list[Int64s] = []
        switches: list[Int64s] = []
        shares: list[Float64s] = []
        used = 0
        for num_links in np.unique(degree[degree > 0]):
            endpoint = np.flatnonzero(degree == num_links)
            fans = np.sort(switch[self.access_start[endpoint][:, None] + np.arange(num_links)], axis=1)
            distinct, inverse = (
                np.unique(fans[:, 0], return_inverse=True)
                if num_links == 1
                else np.unique(fans, axis=0, return_inverse=True)
            )
            group[endpoint] = used + inverse.ravel()
            fan = distinct.reshape(-1, num_links)
            first = np.ones(fan.shape, bool)
            first[:, 1:] = fan[:, 1:] != fan[:, :-1]
            begin = np.flatnonzero(first.ravel())
            sizes.append(first.sum(axis=1))
            switches.append(fan.ravel()[begin])
            shares.append(np.diff(begin, append=fan.size) / num_links)
            used += len(fan)
        if not used:
            return group, np.zeros(1, np.int64), np.zeros(0, np.int64), np.zeros(0)
        return group, running_total(np.concatenate(sizes)), np.concatenate(switches), np.concatenate(shares)

    @property
    def group(self) -> Int64s:
        """Group of each endpoint, ``(num_endpoints,)``; −1 for one without access links."""
        return self._groups[0]

    @property
    def group_start(self) -> Int64s:
        """Where the switches of each group start, ``(num_groups + 1,)``."""
        return self._groups[1]

    @property
    def group_switch(self) -> Int64s:
        """Switches of the groups, one after the other."""
        return self._groups[2]

    @property
    def group_share(self) -> Float64s:
        """Share of a group's access links that goes to the switch; adds up to 1 in each group."""
        return self._groups[3]

    @property
    def num_groups(self) -> int:
        """Number of groups."""
        return len(self.group_start) - 1

    def names(self, nodes: Sequence[int]) -> list[str]:
        """Names of some nodes, for messages."""
        return [self.fabric.node_names[int(n)] for n in nodes]
