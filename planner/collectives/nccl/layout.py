"""Lay as many channels as fit over one unit at a given speed: rings, tree chains and in-switch heads.

The order in which accelerators and NICs are tried follows NCCL's search (``src/graph/search.cc``), so the channels come
out the same; that search tries and undoes step by step, while here a whole channel is laid or not.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice, pairwise

from planner.collectives.nccl.budget import Attempt, Budget
from planner.collectives.nccl.constants import PathType
from planner.collectives.nccl.node_view import NodeView

__all__ = ["Channel", "Manner", "lay_chains", "lay_heads", "lay_rings"]

# How many orders of directly linked accelerators are tried for one channel.
_MAX_ORDERS = 512


@dataclass(frozen=True, slots=True)
class Channel:
    """One channel inside one unit, in the unit's own numbering.

    Attributes
    ----------
    order
        The accelerators in turn; of an in-switch channel only the head.
    entry_nic, exit_nic
        NICs; −1 in a group of one unit.
    relay
        The accelerator that hands what leaves on to the exit NIC, if the last one is not near it (PXN); else −1.
    """

    order: tuple[int, ...]
    entry_nic: int = -1
    exit_nic: int = -1
    relay: int = -1


@dataclass(frozen=True, slots=True)
class Manner:
    """What a ring between units may do.

    Attributes
    ----------
    relay
        Leave by way of an accelerator near the NIC (PXN).
    cross
        Channels in pairs: the second enters where the first leaves and leaves where it entered (``crossNic`` 2).
    """

    relay: bool = False
    cross: bool = False

    @property
    def path(self) -> PathType:
        """Worst path to the NIC."""
        return PathType.PXN if self.relay else PathType.PIX


def _nic_order(view: NodeView) -> list[int]:
    """Return the NICs in the order of the accelerators they hang on."""
    return [j for j in range(view.num_nics) if view.near[j].any()]


def _near(view: NodeView, nic: int) -> list[int]:
    return [int(g) for g in view.near[nic].nonzero()[0]]


def _around(view: NodeView, first: int, *, steps: tuple[int, ...]) -> Iterator[tuple[int, ...]]:
    """Orders through a hub: neighbours only, as NVSwitches like few peers (``ncclTopoSearchNextGpuSort``)."""
    num = view.num_accelerators
    seen = set()
    for step in steps:
        order = tuple((first + step * k) % num for k in range(num))
        if order not in seen:
            seen.add(order)
            yield order


def _through_links(budget: Budget, first: int, rate: float, *, closed: bool) -> Iterator[tuple[int, ...]]:
    """Orders over direct links with room left, the emptiest link first."""
    num = budget.view.num_accelerators

    def extend(order: list[int]) -> Iterator[tuple[int, ...]]:
        if len(order) == num:
            if not closed or budget.pair_left(order[-1], first) >= rate:
                yield tuple(order)
            return
        here = order[-1]
        open_to = [g for g in range(num) if g not in order and budget.pair_left(here, g) >= rate]
        for peer in sorted(open_to, key=lambda g: (-budget.pair_left(here, g), (g - here) % num)):
            yield from extend([*order, peer])

    return islice(extend([first]), _MAX_ORDERS)


def _orders(
    budget: Budget, first: int, rate: float, *, steps: tuple[int, ...], closed: bool = False
) -> Iterator[tuple[int, ...]]:
    view = budget.view
    if view.num_accelerators == 1:
        return iter([(0,)])
    if view.is_hub:
        return _around(view, first, steps=steps)
    return _through_links(budget, first, rate, closed=closed)


def _walk(attempt: Attempt, order: tuple[int, ...], rate: float) -> None:
    for source, target in pairwise(order):
        attempt.hop(source, target, rate)


def lay_rings(view: NodeView, rate: float, manner: Manner | None, max_channels: int) -> list[Channel]:
    """Lay rings.

    Parameters
    ----------
    view
        The unit.
    rate
        Speed of one channel, bytes/s.
    manner
        How rings leave the unit; ``None`` if they stay in it.
    max_channels
        At most so many.
    """
    budget = Budget(view)
    channels: list[Channel] = []
    while len(channels) < max_channels:
        found = _closed_ring(budget, rate) if manner is None else _open_ring(budget, rate, manner, channels)
        if found is None:
            break
        channels.append(found)
    return channels


def _closed_ring(budget: Budget, rate: float) -> Channel | None:
    for order in _orders(budget, 0, rate, steps=(1,), closed=True):
        with budget.attempt() as attempt:
            _walk(attempt, order, rate)
            attempt.hop(order[-1], order[0], rate)
        if attempt.ok:
            return Channel(order)
    return None


def _open_ring(budget: Budget, rate: float, manner: Manner, channels: list[Channel]) -> Channel | None:
    view = budget.view
    nics = _nic_order(view)
    partner = channels[-1] if manner.cross and len(channels) % 2 else None
    for turn in range(len(nics)):
        entry = nics[(len(channels) + turn) % len(nics)]
        if partner is not None and entry != partner.exit_nic:
            continue
        for first in _near(view, entry):
            for order in _orders(budget, first, rate, steps=(-1, 1)):
                for exit_nic in _exits(view, entry, order[-1], manner, partner):
                    for relay in _relays(view, exit_nic, order[-1], manner):
                        with budget.attempt() as attempt:
                            attempt.enter(entry, first, rate)
                            _walk(attempt, order, rate)
                            if relay >= 0:
                                attempt.hop(order[-1], relay, rate)
                            attempt.leave(relay if relay >= 0 else order[-1], exit_nic, rate)
                        if attempt.ok:
                            return Channel(order, entry, exit_nic, relay)
    return None


def _exits(view: NodeView, entry: int, last: int, manner: Manner, partner: Channel | None) -> list[int]:
    if partner is not None:
        return [partner.entry_nic]
    if not manner.cross:
        return [entry]
    return [j for j in _nic_order(view) if manner.relay or view.near[j, last]]


def _relays(view: NodeView, nic: int, last: int, manner: Manner) -> list[int]:
    if view.near[nic, last]:
        return [-1]
    return _near(view, nic) if manner.relay else []


def lay_chains(
    view: NodeView, rate: float, inter_rate: float, count: int, *, nics: list[int] | None, balanced: bool
) -> list[Channel]:
    """Lay tree chains: every accelerator hands to the next; trees between units enter and leave by one NIC.

    Parameters
    ----------
    rate, inter_rate
        Speed of one channel inside the unit and through the NIC.
    count
        How many are wanted; fewer come back if they do not fit.
    nics
        NIC of each channel; ``None`` if trees stay in the unit, where all channels take one order.
    balanced
        The second accelerator shares the way out with the first, half each.
    """
    budget = Budget(view)
    channels: list[Channel] = []
    while len(channels) < count:
        found = _chain(budget, rate, inter_rate, None if nics is None else nics[len(channels)], balanced=balanced)
        if found is None:
            break
        channels.append(found)
    return channels


def _chain(budget: Budget, rate: float, inter_rate: float, nic: int | None, *, balanced: bool) -> Channel | None:
    view = budget.view
    for first in [0] if nic is None else _near(view, nic):
        for order in _orders(budget, first, rate, steps=(1, -1) if balanced and nic is not None else (1,)):
            with budget.attempt() as attempt:
                _walk(attempt, order, rate)
                if nic is not None:
                    attempt.enter(nic, first, inter_rate)
                    _leave_chain(attempt, view, order, nic, inter_rate, balanced=balanced)
            if attempt.ok:
                return Channel(order) if nic is None else Channel(order, nic, nic)
    return None


def _leave_chain(
    attempt: Attempt, view: NodeView, order: tuple[int, ...], nic: int, rate: float, *, balanced: bool
) -> None:
    if not balanced or len(order) == 1:
        attempt.leave(order[0], nic, rate)
        return
    attempt.leave(order[0], nic, rate / 2)
    if view.near[nic, order[1]]:
        attempt.leave(order[1], nic, rate / 2)
    else:
        attempt.hop(order[1], order[0], rate / 2)
        attempt.leave(order[0], nic, rate / 2)


def lay_heads(view: NodeView, rate: float, inter_rate: float, max_channels: int, *, inter: bool) -> list[Channel]:
    """Lay in-switch channels: each has a head that pulls the sum and pushes it back; every accelerator joins in each.

    Source: ``ncclTopoSearchTryNvls``: a channel takes its rate from every accelerator to the switch and back, twice
    that from its head.
    """
    budget = Budget(view)
    channels: list[Channel] = []
    heads: set[int] = set()
    nics = _nic_order(view)
    while len(channels) < min(max_channels, len(nics) if inter else view.num_accelerators):
        found = None
        for entry, head in _head_candidates(view, nics, len(channels), inter=inter):
            if head in heads:
                continue
            with budget.attempt() as attempt:
                if entry >= 0:
                    attempt.enter(entry, head, inter_rate)
                    attempt.leave(head, entry, inter_rate)
                for g in range(view.num_accelerators):
                    attempt.from_switch(g, rate * (2 if g == head else 1))
                    attempt.to_switch(g, rate * (2 if g == head else 1))
            if attempt.ok:
                found = Channel((head,), entry, entry)
            break
        if found is None:
            break
        heads.add(found.order[0])
        channels.append(found)
    return channels


def _head_candidates(view: NodeView, nics: list[int], channel: int, *, inter: bool) -> Iterator[tuple[int, int]]:
    if not inter:
        yield -1, channel
        return
    for turn in range(len(nics)):
        nic = nics[(channel + turn) % len(nics)]
        yield nic, _near(view, nic)[0]
