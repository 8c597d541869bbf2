"""Spraying: every flow is split evenly over all its shortest ways at every switch, as a fluid.

What packet spraying and per-packet adaptive routing come to on average, and the mean of hashing many flows.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from topologies.routing.channels import Channels, PlaneChannels
from topologies.routing.clos import GENERAL, ClosTables
from topologies.routing.network import Batch, NetworkTables
from topologies.routing.pieces import Pieces
from topologies.routing.plane import Plane
from topologies.routing.rows import Float64s, Int64s, count_at, spans
from topologies.routing.search import SplitWays
from topologies.routing.split_bundles import SplitBundles

__all__ = ["BundledSpray", "Spray", "add_access"]


@dataclass(frozen=True)
class Spray:
    """Even split over the shortest ways, hop by hop; each cable counts as one way, whatever its rate."""

    @property
    def name(self) -> str:
        """Short name."""
        return "spray"

    def add(self, network: NetworkTables, batch: Batch, pieces: Pieces) -> None:
        """Add the links of the flows in `batch` to `pieces`."""
        regular = batch.where(batch.height != GENERAL)
        if network.clos is not None and regular.flow.size:
            _add_regular(network.plane, network.clos, regular, pieces)
        general = batch.where(batch.height == GENERAL)
        if general.flow.size:
            _add_ways(network.plane, general, *_search(network, general), pieces)


class BundledSpray:
    """The same as `Spray`, with channels in place of links wherever a channel can stand for its links.

    A bundle that shares links with others, or with a flow of these that the tables do not cover, is used by parts.

    Parameters
    ----------
    channels
        Those of the router that routes.

    Attributes
    ----------
    channels
        The same, with the parts of bundles that came to be used.
    """

    def __init__(self, channels: Channels) -> None:
        self.channels = channels

    @property
    def name(self) -> str:
        """Short name."""
        return "spray"

    def add(self, network: NetworkTables, batch: Batch, pieces: Pieces) -> None:
        """Add the channels and links of the flows in `batch` to `pieces`."""
        clos, numbers = network.clos, self.channels.planes[network.number]
        general, regular = batch.where(batch.height == GENERAL), batch.where(batch.height != GENERAL)
        which, ways = _search(network, general) if general.flow.size else (None, None)
        parts = None
        if clos is not None and (ways is not None or numbers.shared.any()):
            parts = SplitBundles(clos, numbers, self.channels, ways)
            self.channels = parts.channels
        if which is not None and ways is not None:
            _add_ways(network.plane, general, which, parts.merged(ways) if parts else ways, pieces)
        if clos is not None and regular.flow.size:
            _add_channels(clos, numbers, regular, parts, pieces)


def _add_channels(
    clos: ClosTables, numbers: PlaneChannels, batch: Batch, parts: SplitBundles | None, pieces: Pieces
) -> None:
    """Climb and come down as `_add_regular` does, a channel a step."""
    pieces.add(batch.flow, numbers.access_up[batch.source])
    heights = range(1, int(batch.height.max()))
    for h, up in [(h, True) for h in heights] + [(h, False) for h in reversed(heights)]:
        climbing = batch.where(batch.height > h)
        bundle = clos.bundle_of[h - 1, climbing.source_group if up else climbing.target_group]
        flow, first = climbing.flow, numbers.first_up if up else numbers.first_down
        if parts is not None:
            row = bundle if up else bundle + clos.num_bundles
            cut = parts.is_cut[row]
            size, channel, share = parts.of_bundles(row[cut])
            pieces.add(np.repeat(flow[cut], size), channel, share)
            flow, bundle = flow[~cut], bundle[~cut]
        pieces.add(flow, first + bundle)
    pieces.add(batch.flow, numbers.access_down[batch.target])


def _add_regular(plane: Plane, clos: ClosTables, batch: Batch, pieces: Pieces) -> None:
    """Climb bundle by bundle to where the ends meet, and come down in the mirror."""
    _add_all_access(plane, batch.flow, batch.source, pieces, up=True)
    for h in range(1, int(batch.height.max())):
        _add_bundles(clos, h, batch.where(batch.height > h), pieces, up=True)
    for h in range(int(batch.height.max()) - 1, 0, -1):
        _add_bundles(clos, h, batch.where(batch.height > h), pieces, up=False)
    _add_all_access(plane, batch.flow, batch.target, pieces, up=False)


def _add_bundles(clos: ClosTables, height: int, batch: Batch, pieces: Pieces, *, up: bool) -> None:
    """Add the bundle between two heights for every flow that goes higher than `height`."""
    bundle = clos.bundle_of[height - 1, batch.source_group if up else batch.target_group]
    size = clos.bundle_start[bundle + 1] - clos.bundle_start[bundle]
    entry = spans(clos.bundle_start[bundle], size)
    link = clos.bundle_link[entry]
    pieces.add(np.repeat(batch.flow, size), link if up else link ^ 1, clos.bundle_share[entry])


def _add_all_access(plane: Plane, flow: Int64s, endpoint: Int64s, pieces: Pieces, *, up: bool) -> None:
    """Add all access links of each endpoint, evenly."""
    size = plane.access_start[endpoint + 1] - plane.access_start[endpoint]
    link = plane.access_link[spans(plane.access_start[endpoint], size)]
    pieces.add(np.repeat(flow, size), link if up else link ^ 1, np.repeat(1.0 / size, size))


def _search(network: NetworkTables, batch: Batch) -> tuple[Int64s, SplitWays]:
    """Search once for each pair of groups; return the pair of each flow, and the ways of the pairs."""
    num_groups = network.plane.num_groups
    key, which = np.unique(batch.source_group * num_groups + batch.target_group, return_inverse=True)
    return which.ravel(), network.search.split(key // num_groups, key % num_groups)


def _add_ways(plane: Plane, batch: Batch, which: Int64s, ways: SplitWays, pieces: Pieces) -> None:
    """Hand the split of a pair to all its flows."""
    add_access(plane, batch.flow, batch.source, which, (ways.source_key, ways.source_share), pieces, up=True)
    size = ways.pair_start[which + 1] - ways.pair_start[which]
    entry = spans(ways.pair_start[which], size)
    pieces.add(np.repeat(batch.flow, size), ways.link[entry], ways.share_frac[entry])
    add_access(plane, batch.flow, batch.target, which, (ways.target_key, ways.target_share), pieces, up=False)


def add_access(
    plane: Plane,
    flow: Int64s,
    endpoint: Int64s,
    pair: Int64s,
    end: tuple[Int64s, Float64s],
    pieces: Pieces,
    *,
    up: bool,
) -> None:
    """Add the access links to those switches where the pair enters or leaves, evenly over parallel cables."""
    size = plane.access_start[endpoint + 1] - plane.access_start[endpoint]
    link = plane.access_link[spans(plane.access_start[endpoint], size)]
    owner = np.repeat(np.arange(flow.size), size)
    switch = plane.switch_of(link)
    end_key, end_share = end
    key = pair[owner] * plane.num_switches + switch
    at = np.minimum(np.searchsorted(end_key, key), end_key.size - 1)
    used = end_key[at] == key
    owner, link, at, switch = owner[used], link[used], at[used], switch[used]
    _, where = np.unique(owner * plane.num_switches + switch, return_inverse=True)
    parallel = count_at(where.ravel(), int(where.max()) + 1 if where.size else 0)[where.ravel()]
    pieces.add(flow[owner], link if up else link ^ 1, end_share[at] / parallel)
