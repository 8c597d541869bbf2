"""Flows that keep to one way: at every hop one of the links that lead on is chosen, for all flows at once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from topologies.routing.clos import GENERAL, ClosTables
from topologies.routing.network import Batch, NetworkTables
from topologies.routing.pieces import Pieces
from topologies.routing.rows import Int64s, count_at, running_total, spans

__all__ = ["Choice", "Hop", "walk"]


@dataclass(frozen=True, eq=False)
class Hop:
    """One hop of some flows.

    Attributes
    ----------
    flow
        Numbers of the flows among all flows asked for.
    target
        Endpoint each flow goes to.
    node
        Node each flow is at.
    num_choices
        How many links lead on from there, all on shortest ways.
    stage
        Hops done on the way up so far (0 on the access link); `DOWN` on the way down and in graphs that are no Clos.
    """

    flow: Int64s
    target: Int64s
    node: Int64s
    num_choices: Int64s
    stage: int


DOWN = -1

Choice = Callable[[Hop], Int64s]
"""Picks a number from 0 to ``num_choices − 1`` for each flow of a hop."""


def walk(network: NetworkTables, batch: Batch, pieces: Pieces, choose: Choice) -> None:
    """Lead every flow of `batch` from its source to its target, and add the links to `pieces`."""
    regular = batch.where(batch.height != GENERAL)
    if network.clos is not None:
        for height in np.unique(regular.height):
            _walk_regular(network, network.clos, regular.where(regular.height == height), int(height), pieces, choose)
    general = batch.where(batch.height == GENERAL)
    if general.flow.size:
        _walk_general(network, general, pieces, choose)


def _take(
    begin: Int64s, size: Int64s, pool: npt.NDArray[np.int64], hop: tuple[Int64s, Int64s, Int64s, int], choose: Choice
) -> Int64s:
    """Choose one of ``pool[begin], …, pool[begin + size − 1]`` for each flow."""
    flow, target, node, stage = hop
    link: Int64s = pool[begin + choose(Hop(flow, target, node, size, stage))]
    return link


def _walk_regular(
    network: NetworkTables, clos: ClosTables, batch: Batch, height: int, pieces: Pieces, choose: Choice
) -> None:
    """Climb `height` tiers and come down again."""
    plane = network.plane
    begin = plane.access_start[batch.source]
    size = plane.access_start[batch.source + 1] - begin
    link = _take(begin, size, plane.access_link, (batch.flow, batch.target, batch.source, 0), choose)
    pieces.add(batch.flow, link)
    switch = plane.switch_of(link)
    for stage in range(1, height):
        begin, size = clos.up_start[switch], clos.up_start[switch + 1] - clos.up_start[switch]
        here = (batch.flow, batch.target, switch + plane.num_endpoints, stage)
        link = _take(begin, size, clos.up_link, here, choose)
        pieces.add(batch.flow, link)
        switch = plane.switch_of(link)
    for stage in range(height - 1, 0, -1):
        key = clos.bundle_of[stage - 1, batch.target_group] * plane.num_switches + switch
        begin = np.searchsorted(clos.down_key, key, side="left")
        size = np.searchsorted(clos.down_key, key, side="right") - begin
        here = (batch.flow, batch.target, switch + plane.num_endpoints, DOWN)
        link = _take(begin, size, clos.down_link, here, choose)
        pieces.add(batch.flow, link)
        switch = plane.switch_of(link)
    _last_hop(network, batch, switch, pieces, choose)


def _last_hop(network: NetworkTables, batch: Batch, switch: Int64s, pieces: Pieces, choose: Choice) -> None:
    """Go from the last switch to the endpoint, over one of the cables between the two."""
    plane = network.plane
    size = plane.access_start[batch.target + 1] - plane.access_start[batch.target]
    if np.all(size == 1):
        pieces.add(batch.flow, plane.access_link[plane.access_start[batch.target]] ^ 1)
        return
    owner = np.repeat(np.arange(batch.flow.size), size)
    link = plane.access_link[spans(plane.access_start[batch.target], size)]
    here = plane.switch_of(link) == switch[owner]
    owner, link = owner[here], link[here] ^ 1
    size = count_at(owner, batch.flow.size)
    begin = running_total(size)[:-1]
    at = (batch.flow, batch.target, switch + plane.num_endpoints, DOWN)
    pieces.add(batch.flow, _take(begin, size, link, at, choose))


def _walk_general(network: NetworkTables, batch: Batch, pieces: Pieces, choose: Choice) -> None:
    """Go one hop nearer at a time, by breadth-first distances."""
    plane, search = network.plane, network.search
    row, table = search.distances(batch.target_group)
    hops = search.entry_hops(batch.source_group, batch.target_group)
    size = plane.access_start[batch.source + 1] - plane.access_start[batch.source]
    owner = np.repeat(np.arange(batch.flow.size), size)
    link = plane.access_link[spans(plane.access_start[batch.source], size)]
    best = table[row[owner], plane.switch_of(link)] == hops[owner]
    owner, link = owner[best], link[best]
    size = count_at(owner, batch.flow.size)
    link = _take(running_total(size)[:-1], size, link, (batch.flow, batch.target, batch.source, 0), choose)
    pieces.add(batch.flow, link)
    switch = plane.switch_of(link)
    going = np.flatnonzero(hops > 0)
    while going.size:
        size, pool = search.next_links(switch[going], row[going], table)
        here = (batch.flow[going], batch.target[going], switch[going] + plane.num_endpoints, DOWN)
        link = _take(running_total(size)[:-1], size, pool, here, choose)
        pieces.add(batch.flow[going], link)
        switch[going] = plane.switch_of(link)
        going = going[table[row[going], switch[going]] > 0]
    _last_hop(network, batch, switch, pieces, choose)
