"""`Router`: routes flows over a fabric; what is alike for all flows is worked out once and kept."""

from __future__ import annotations

from functools import cached_property, lru_cache

import numpy as np
import numpy.typing as npt

from topologies.fabric import Fabric, LinkKind
from topologies.routing.channels import Channels
from topologies.routing.clos import GENERAL
from topologies.routing.ends import split_ends, unreachable
from topologies.routing.flow_links import FlowLinks
from topologies.routing.network import Batch, NetworkTables, Routing
from topologies.routing.pieces import Pieces
from topologies.routing.relay import Relays
from topologies.routing.rows import Int64s
from topologies.routing.search import UNREACHABLE
from topologies.routing.spray import BundledSpray, Spray

__all__ = ["Router", "router_for"]

_ROUTERS_KEPT = 4  # tables of a large fabric take as much memory as the fabric


class Router:
    """Routes flows over one fabric.

    Parameters
    ----------
    fabric
        The fabric; a changed one needs a router of its own.
    """

    def __init__(self, fabric: Fabric) -> None:
        self.fabric = fabric

    @cached_property
    def scale_out(self) -> NetworkTables:
        """The scale-out network."""
        return NetworkTables(self.fabric, LinkKind.SCALE_OUT, 0)

    @cached_property
    def scale_up(self) -> NetworkTables:
        """The scale-up networks, all domains together."""
        return NetworkTables(self.fabric, LinkKind.SCALE_UP, 1)

    @cached_property
    def relays(self) -> Relays:
        """Who passes on what goes to networks that nothing else joins."""
        return Relays(self.scale_out.plane)

    @cached_property
    def channels(self) -> Channels:
        """Links that always share traffic in fixed proportions, taken together."""
        networks = (self.scale_out, self.scale_up)
        return Channels(self.fabric, [(network.plane, network.clos) for network in networks])

    def route_channels(
        self, source_node: npt.ArrayLike, target_node: npt.ArrayLike, routing: Routing
    ) -> tuple[Channels, FlowLinks]:
        """Find the channels of each flow: as `route`, with channels in place of links.

        A flow that sprays stays short in this form, however many links it is spread over.

        Returns
        -------
        channels
            Those of the router, and where flows meet broken cables, parts of bundles after them.
        flows
            With numbers of `channels` in place of links.

        Raises
        ------
        InputError
            As `route`.
        """
        bundled = BundledSpray(self.channels)
        chosen = bundled if isinstance(routing, Spray) else routing
        found = self._route(source_node, target_node, chosen, bundled)
        return bundled.channels, found

    def route(self, source_node: npt.ArrayLike, target_node: npt.ArrayLike, routing: Routing) -> FlowLinks:
        """Find the links of each flow.

        Parameters
        ----------
        source_node, target_node
            ``(F,)`` accelerators or NICs. A flow between accelerators of one scale-up domain stays in it and is sprayed
            over its switches; other accelerators go through their nearest NIC, or over their scale-up domain through
            another's, where their own NICs hang on networks that nothing joins (`topologies.routing.relay`).
        routing
            How flows choose among shortest ways, such as `Spray` or `Ecmp`.

        Returns
        -------
        FlowLinks
            A flow from a node to itself has no links.

        Raises
        ------
        InputError
            If an end is no accelerator and no NIC, or no way leads from a source to its target; names both.
        """
        return self._route(source_node, target_node, routing, Spray())

    def _route(
        self, source_node: npt.ArrayLike, target_node: npt.ArrayLike, routing: Routing, inside_routing: Routing
    ) -> FlowLinks:
        """Route over the network that each flow uses: by `inside_routing` inside scale-up domains."""
        ends = split_ends(self.fabric, source_node, target_node, self.relays)
        pieces = Pieces(ends.source.size)
        first, last = np.asarray(source_node, np.int64), np.asarray(target_node, np.int64)
        self._relay(first, ends.leaves, inside_routing, pieces)
        leaves = np.flatnonzero(ends.out_link >= 0)
        pieces.add(leaves, ends.out_link[leaves])
        inside = np.flatnonzero(ends.over_scale_up)
        if inside.size:
            self._over(self.scale_up, inside, ends.source[inside], ends.target[inside], inside_routing, pieces)
        outside = np.flatnonzero(~ends.over_scale_up & (ends.source != ends.target))
        if outside.size:
            self._over(self.scale_out, outside, ends.source[outside], ends.target[outside], routing, pieces)
        enters = np.flatnonzero(ends.in_link >= 0)
        pieces.add(enters, ends.in_link[enters])
        self._relay(ends.arrives, last, inside_routing, pieces)
        return pieces.join()

    def _relay(self, source: Int64s, target: Int64s, routing: Routing, pieces: Pieces) -> None:
        """Send flows over the scale-up network where a relay takes them on."""
        flow = np.flatnonzero(source != target)
        if flow.size:
            self._over(self.scale_up, flow, source[flow], target[flow], routing, pieces)

    def _over(
        self,
        network: NetworkTables,
        flow: Int64s,
        source: Int64s,
        target: Int64s,
        routing: Routing,
        pieces: Pieces,
    ) -> None:
        """Send flows over one network: by a direct link where there is one, else over its switches."""
        num_direct, link = network.plane.direct_links(source, target)
        share = np.repeat(1.0 / np.maximum(num_direct, 1), num_direct)
        pieces.add(np.repeat(flow, num_direct), link, share)
        rest = num_direct == 0
        batch = self._batch(network, flow[rest], source[rest], target[rest])
        if batch.flow.size:
            routing.add(network, batch, pieces)

    def _batch(self, network: NetworkTables, flow: Int64s, source: Int64s, target: Int64s) -> Batch:
        """Look up groups and heights, and refuse flows without a way."""
        plane = network.plane
        source_group, target_group = plane.group[source], plane.group[target]
        lost = np.flatnonzero((source_group < 0) | (target_group < 0))
        if lost.size:
            raise unreachable(self.fabric, int(source[lost[0]]), int(target[lost[0]]))
        height = np.full(flow.shape, GENERAL, np.int64)
        if network.clos is not None:
            height = network.clos.heights(source_group, target_group)
        general = np.flatnonzero(height == GENERAL)
        if general.size:
            hops = network.search.entry_hops(source_group[general], target_group[general])
            lost = general[hops == UNREACHABLE]
            if lost.size:
                raise unreachable(self.fabric, int(source[lost[0]]), int(target[lost[0]]))
        return Batch(flow, source, target, source_group, target_group, height)


@lru_cache(maxsize=_ROUTERS_KEPT)
def router_for(fabric: Fabric) -> Router:
    """Return the router of a fabric: the same one each time, while it is among the last few asked for."""
    return Router(fabric)
