"""Static routes: every switch has a table that says which link leads to which destination, as a subnet manager writes.

The linear forwarding tables of InfiniBand, or the routes of switches set by hand.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from topologies.errors import InputError
from topologies.fabric import Fabric, Int32s
from topologies.routing.network import Batch, NetworkTables
from topologies.routing.pieces import Pieces
from topologies.routing.rows import Int64s, frozen

__all__ = ["NO_ROUTE", "NextHops", "Static"]

NO_ROUTE = -1
"""Stands in a table where a switch knows no way."""


@dataclass(frozen=True, eq=False)
class NextHops:
    """For each switch and destination the link that a flow takes next; arrays are read-only.

    Attributes
    ----------
    destination
        ``(D,)`` endpoints (NICs, or accelerators on the network itself), rising.
    next_link
        ``(num_switches, D)`` link, `NO_ROUTE` for none; row ``s`` is node ``num_accelerators + num_nics + s``.

    Raises
    ------
    InputError
        If the destinations do not rise or the shapes do not fit.
    """

    destination: Int64s
    next_link: Int32s

    def __post_init__(self) -> None:
        object.__setattr__(self, "destination", frozen(self.destination, np.int64))
        object.__setattr__(self, "next_link", frozen(self.next_link, np.int32))
        if np.any(np.diff(self.destination) <= 0):
            raise InputError(what="destinations must rise, each once", where="routes")
        if self.next_link.ndim != 2 or self.next_link.shape[1] != self.destination.size:
            raise InputError(what="the table does not fit its destinations", where="routes", found=self.next_link.shape)

    @classmethod
    def of_names(cls, fabric: Fabric, next_node: Mapping[str, Mapping[str, str]]) -> NextHops:
        """Return the table of routes given by names: switch → destination → next node.

        Of parallel cables to the next node the first is taken.

        Raises
        ------
        InputError
            If a name is unknown, or no link leads from the switch to the next node.
        """
        first_switch = fabric.num_accelerators + fabric.num_nics
        ends = {fabric.node_idx(d) for routes in next_node.values() for d in routes}
        destination = np.array(sorted(ends), np.int64)
        column = {int(d): i for i, d in enumerate(destination)}
        table = np.full((fabric.num_nodes - first_switch, destination.size), NO_ROUTE, np.int32)
        for switch, routes in next_node.items():
            node = fabric.node_idx(switch)
            out = fabric.out_links.link[fabric.out_links.start[node] : fabric.out_links.start[node + 1]]
            link_to = {int(fabric.link_target[link]): int(link) for link in out[::-1]}
            for end, via in routes.items():
                link = link_to.get(fabric.node_idx(via))
                if link is None or node < first_switch:
                    raise InputError(
                        what="a route leads to a node that no link of the switch leads to",
                        where=f"{fabric.name}: routes of {switch!r} to {end!r}",
                        found=repr(via),
                    )
                table[node - first_switch, column[fabric.node_idx(end)]] = link
        return cls(destination, table)


@dataclass(frozen=True, eq=False)
class Static:
    """Flows follow given tables; an endpoint with several ways out takes its first.

    Parameters
    ----------
    next_hops
        The tables.
    """

    next_hops: NextHops

    @property
    def name(self) -> str:
        """Short name."""
        return "static"

    def add(self, network: NetworkTables, batch: Batch, pieces: Pieces) -> None:
        """Add the links of the flows in `batch` to `pieces`.

        Raises
        ------
        InputError
            If a switch on the way has no route, or the routes lead in a circle; names both ends.
        """
        plane, table = network.plane, self.next_hops
        column = np.minimum(np.searchsorted(table.destination, batch.target), max(table.destination.size - 1, 0))
        unknown = np.ones(batch.flow.size, bool)
        if table.destination.size:
            unknown = table.destination[column] != batch.target
        link = plane.access_link[plane.access_start[batch.source]]
        pieces.add(batch.flow, link)
        at = plane.fabric.link_target[link].astype(np.int64)
        going = np.arange(batch.flow.size)
        for _ in range(plane.num_switches + 1):
            going = going[at[going] != batch.target[going]]
            if not going.size:
                return
            switch = at[going] - plane.num_endpoints
            taken = np.full(going.size, NO_ROUTE, np.int64)
            known = (switch >= 0) & ~unknown[going]
            taken[known] = table.next_link[switch[known], column[going[known]]]
            lost = going[taken == NO_ROUTE]
            if lost.size:
                raise _no_route(plane.fabric, batch, int(lost[0]), int(at[lost[0]]), "has no route")
            pieces.add(batch.flow[going], taken)
            at[going] = plane.fabric.link_target[taken]
        raise _no_route(plane.fabric, batch, int(going[0]), int(at[going[0]]), "is part of a circle of routes")


def _no_route(fabric: Fabric, batch: Batch, which: int, node: int, why: str) -> InputError:
    source, target = fabric.node_names[int(batch.source[which])], fabric.node_names[int(batch.target[which])]
    return InputError(
        what=f"the routes do not lead from {source!r} to {target!r}",
        where=fabric.name,
        found=f"{fabric.node_names[node]!r} {why}",
        fix="mend the tables of this switch, or let another routing find the ways",
    )
