"""Destination-mod-k: the way up is picked by the destination's number, so each destination has its own tree.

Zahavi, *Fat-Trees Routing and Node Ordering Providing Contention Free Traffic for MPI Global Collectives*, 2011: at
height l the upward port is ``⌊d / Π_{j<l} w_j⌋ mod w_l`` with w_j the upward ports at height j. Shifts by a constant
then load every link once. What InfiniBand's ftree engine and many static set-ups do.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from topologies.routing.network import Batch, NetworkTables
from topologies.routing.pieces import Pieces
from topologies.routing.rows import Int64s
from topologies.routing.walk import DOWN, Hop, walk

__all__ = ["DModK"]


@dataclass(frozen=True)
class DModK:
    """Deterministic up-and-down routing by destination number.

    Destinations are numbered leaf by leaf. In graphs that are no folded Clos the number picks among shortest ways.
    """

    @property
    def name(self) -> str:
        """Short name."""
        return "dmodk"

    def add(self, network: NetworkTables, batch: Batch, pieces: Pieces) -> None:
        """Add the links of the flows in `batch` to `pieces`."""
        number = _number_by_leaf(network)
        spent = np.ones(int(batch.flow.max()) + 1, np.int64)

        def choose(hop: Hop) -> Int64s:
            pick = (number[hop.target] // spent[hop.flow]) % hop.num_choices
            if hop.stage != DOWN and hop.stage > 0:
                spent[hop.flow] *= hop.num_choices
            return pick

        walk(network, batch, pieces, choose)


def _number_by_leaf(network: NetworkTables) -> Int64s:
    """Give numbers to the endpoints leaf by leaf, in node order within a leaf, ``(num_endpoints,)``."""
    plane = network.plane
    number = np.zeros(plane.num_endpoints, np.int64)
    attached = np.flatnonzero(plane.group >= 0)
    first_switch = plane.group_switch[plane.group_start[plane.group[attached]]]
    number[attached[np.argsort(first_switch, kind="stable")]] = np.arange(attached.size)
    return number
