"""Channels: links that always carry the same traffic in fixed shares, taken together as one.

Spraying over a folded Clos loads all links of a bundle (`topologies.routing.clos`) in the same proportions, whoever
sends. A bundle is then as good as one link with the capacity ``min c_l / share_l``, and a flow that would touch a
thousand links touches a handful of channels. The same goes for the parallel access links of an endpoint.
"""

from __future__ import annotations

from copy import copy
from functools import cached_property

import numpy as np

from topologies.fabric import Fabric
from topologies.routing.clos import ClosTables
from topologies.routing.plane import Plane
from topologies.routing.rows import Float64s, Int64s, count_at, running_total, spans, sum_at

__all__ = ["Channels", "PlaneChannels"]


class PlaneChannels:
    """Where the channels of one network start.

    Attributes
    ----------
    access_up, access_down
        ``(num_endpoints,)`` channel of all access links of an endpoint, out and in; −1 for an endpoint without any.
    first_up, first_down
        Channel of bundle 0, up and down.
    shared
        ``(num_bundles,)`` bundles that have links in common with others and cannot stand for them.
    """

    def __init__(self, plane: Plane, clos: ClosTables | None, first_channel: int) -> None:
        degree = np.diff(plane.access_start)
        self.access_up = np.full(plane.num_endpoints, -1, np.int64)
        single, several = np.flatnonzero(degree == 1), np.flatnonzero(degree > 1)
        self.access_up[single] = plane.access_link[plane.access_start[single]]
        self.access_down = np.where(degree == 1, self.access_up ^ 1, -1)
        self.access_up[several] = first_channel + np.arange(several.size)
        self.access_down[several] = first_channel + several.size + np.arange(several.size)
        self.first_up = first_channel + 2 * several.size
        self.num_bundles = 0 if clos is None else clos.num_bundles
        self.first_down = self.first_up + self.num_bundles
        self.end = self.first_down + self.num_bundles
        self._rows = _rows_of(plane, clos, several)
        self.shared = np.zeros(self.num_bundles, bool)
        if clos is not None:
            several_own = count_at(clos.bundle_link, plane.fabric.num_links)[clos.bundle_link] > 1
            self.shared[np.repeat(np.arange(self.num_bundles), np.diff(clos.bundle_start))[several_own]] = True

    @property
    def rows(self) -> tuple[Int64s, Int64s, Float64s]:
        """Sizes, links and shares of the channels after the single links, one after the other."""
        return self._rows


def _rows_of(plane: Plane, clos: ClosTables | None, several: Int64s) -> tuple[Int64s, Int64s, Float64s]:
    size = plane.access_start[several + 1] - plane.access_start[several]
    out = plane.access_link[spans(plane.access_start[several], size)]
    even = np.repeat(1.0 / np.maximum(size, 1), size)
    sizes, links, shares = [size, size], [out, out ^ 1], [even, even]
    if clos is not None:
        fan = np.diff(clos.bundle_start)
        sizes += [fan, fan]
        links += [clos.bundle_link, clos.bundle_link ^ 1]
        shares += [clos.bundle_share, clos.bundle_share]
    return np.concatenate(sizes), np.concatenate(links), np.concatenate(shares)


class Channels:
    """All channels of a fabric: first every link by itself, then access channels and bundles of its networks.

    Parameters
    ----------
    fabric
        The fabric.
    networks
        Plane and tables of each of its networks.

    Attributes
    ----------
    planes
        The channels of each network, in the order given.
    capacity_bytes_per_s
        ``(num_channels,)`` rate at which the first of the channel's links is full.
    tightest_link
        ``(num_channels,)`` that link.
    """

    def __init__(self, fabric: Fabric, networks: list[tuple[Plane, ClosTables | None]]) -> None:
        self.fabric = fabric
        self.planes: list[PlaneChannels] = []
        first = fabric.num_links
        for plane, clos in networks:
            self.planes.append(PlaneChannels(plane, clos, first))
            first = self.planes[-1].end
        self._set_rows(*(np.concatenate(columns) for columns in zip(*(p.rows for p in self.planes), strict=True)))

    def _set_rows(self, size: Int64s, link: Int64s, share: Float64s) -> None:
        """Set what the channels after the single links stand for."""
        fabric = self.fabric
        self._start, self._link, self._share = running_total(size), link, share
        self.num_channels = fabric.num_links + size.size
        capacity = fabric.link_capacity_bytes_per_s
        self.capacity_bytes_per_s = np.full(self.num_channels, np.inf)
        self.capacity_bytes_per_s[: fabric.num_links] = capacity
        self.tightest_link = np.arange(self.num_channels)
        filled = np.flatnonzero(size)
        if filled.size:
            level = capacity[self._link] / self._share
            at = self._start[filled]
            lowest = np.minimum.reduceat(level, at)
            tight = np.flatnonzero(level <= np.repeat(lowest, size[filled]))
            row = np.searchsorted(at, tight, side="right") - 1
            leading = np.flatnonzero(np.diff(row, prepend=-1))
            self.capacity_bytes_per_s[fabric.num_links + filled] = lowest
            self.tightest_link[fabric.num_links + filled] = self._link[tight[leading]]
        self.capacity_bytes_per_s.flags.writeable = False

    def with_rows(self, size: Int64s, link: Int64s, share: Float64s) -> Channels:
        """Return these channels and more of them at the end.

        Parameters
        ----------
        size
            ``(n,)`` links of each.
        link, share
            Their links one after the other, and what part of the channel's load each carries.
        """
        more = copy(self)
        more.__dict__.pop("latency_s", None)
        more._set_rows(
            np.append(np.diff(self._start), size), np.append(self._link, link), np.append(self._share, share)
        )
        return more

    def to_links(self, channel_load: Float64s) -> Float64s:
        """Spread the load of each channel over its links, ``(num_links,)``."""
        num_links = self.fabric.num_links
        extra = np.repeat(channel_load[num_links:], np.diff(self._start))
        return channel_load[:num_links] + sum_at(self._link, extra * self._share, num_links)

    @cached_property
    def latency_s(self) -> Float64s:
        """Mean latency of each channel's links, by share, ``(num_channels,)``."""
        latency = self.fabric.link_latency_s
        owner = np.repeat(np.arange(self._start.size - 1), np.diff(self._start))
        extra = sum_at(owner, latency[self._link] * self._share, self._start.size - 1)
        return np.concatenate((latency, extra))

    def of_link(self, link: int) -> Int64s:
        """Return the channels that a link is part of, itself first."""
        at = np.flatnonzero(self._link == link)
        owner = np.searchsorted(self._start, at, side="right") - 1
        return np.concatenate((np.array([link], np.int64), self.fabric.num_links + owner))

    def of_links(self, links: Int64s) -> tuple[Int64s, Int64s]:
        """Return pairs of position in `links` and channel: every channel that each link is part of.

        Parameters
        ----------
        links
            Links, each at most once, ``(n,)``.
        """
        place = np.full(self.fabric.num_links, -1, np.int64)
        place[links] = np.arange(links.size)
        at = np.flatnonzero(place[self._link] >= 0)
        owner = np.searchsorted(self._start, at, side="right") - 1
        position = np.concatenate((np.arange(links.size), place[self._link[at]]))
        return position, np.concatenate((links.astype(np.int64), self.fabric.num_links + owner))
