"""What a routing is given: the tables of one network, and the flows that have to cross it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import numpy as np
import numpy.typing as npt

from topologies.fabric import Fabric, LinkKind
from topologies.routing.clos import ClosTables
from topologies.routing.pieces import Pieces
from topologies.routing.plane import Plane
from topologies.routing.rows import Int64s
from topologies.routing.search import SearchTables

__all__ = ["Batch", "NetworkTables", "Routing"]


class NetworkTables:
    """One network of a fabric with its routing tables, each made when first asked for.

    Parameters
    ----------
    fabric, kind
        The fabric, and which of its networks.
    number
        Its number among the router's networks.
    """

    def __init__(self, fabric: Fabric, kind: LinkKind, number: int) -> None:
        self.fabric = fabric
        self.number = number
        self.plane = Plane(fabric, kind)

    @cached_property
    def clos(self) -> ClosTables | None:
        """Up-and-down tables, None if the network is no folded Clos."""
        return ClosTables.of(self.plane)

    @cached_property
    def search(self) -> SearchTables:
        """Breadth-first distances."""
        return SearchTables(self.plane)


@dataclass(frozen=True, eq=False)
class Batch:
    """Flows that have to pass the switches of one network, checked to have a way.

    Attributes
    ----------
    flow
        Their numbers among all flows asked for.
    source, target, source_group, target_group
        Endpoints and their groups.
    height
        Tier where source and target meet, or `GENERAL`.
    """

    flow: Int64s
    source: Int64s
    target: Int64s
    source_group: Int64s
    target_group: Int64s
    height: Int64s

    def where(self, mask: npt.NDArray[np.bool_]) -> Batch:
        """Keep the flows that `mask` marks."""
        columns = (self.flow, self.source, self.target, self.source_group, self.target_group, self.height)
        return Batch(*(column[mask] for column in columns))


class Routing(Protocol):
    """How flows choose among their ways."""

    @property
    def name(self) -> str:
        """Short name, as in files and on the command line."""
        ...

    def add(self, network: NetworkTables, batch: Batch, pieces: Pieces) -> None:
        """Add the links of the flows in `batch` to `pieces`, in path order."""
        ...
