"""NCCL's graph search over one unit: which channels, at which speed, for each algorithm.

The steps of ``ncclTopoCompute`` (NCCL 2.30, ``src/graph/search.cc``): go down the list of speeds; at each one allow the
ring more and more (its own NIC, a relay, crossed pairs of NICs); keep what carries most; split fast channels in two; at
last see whether the same channels can run faster.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from planner.collectives.nccl.communicators import ChannelGraph
from planner.collectives.nccl.constants import Algorithm, Architecture, PathType, Pattern
from planner.collectives.nccl.hardware import INTER_SPEEDS_GB_PER_S, INTRA_SPEEDS_GB_PER_S
from planner.collectives.nccl.layout import Channel, Manner, lay_chains, lay_heads, lay_rings
from planner.collectives.nccl.node_view import NodeView
from topologies.units import from_gb_per_s

__all__ = ["NodeGraphs", "UnitGraph", "final_channels", "search_unit"]

_MAX_RING_CHANNELS: Final = 32
_MAX_CHANNELS: Final = 64
_MAX_NVLS_HEADS: Final = 32
_MIN_NVLS_ACCELERATORS: Final = 3
_MAX_COLLNET_HEADS: Final = 8
# search.cc: a slower speed is tried as long as it is above this part of the best one found.
_SLOWEST_FRAC: Final = 0.49
# search.cc, ncclTopoDupChannels: channels at least this fast are split in two…
_SPLIT_FROM_BYTES_PER_S: Final = 25e9
# …except, on Hopper and later, more than four of them that are slower than this.
_KEEP_BELOW_BYTES_PER_S: Final = 50e9
_KEEP_ABOVE_CHANNELS: Final = 4
# connect.cc: on Hopper and later, rings between units faster than this get twice the channels, if they are few.
_DOUBLE_ABOVE_BYTES_PER_S: Final = 45e9
_DOUBLE_BELOW_CHANNELS: Final = 16

# What a ring may do, in the order NCCL allows it.
_MANNERS = (Manner(), Manner(relay=True), Manner(cross=True), Manner(relay=True, cross=True))


@dataclass(frozen=True, slots=True)
class UnitGraph:
    """The graph of one algorithm on one unit: its figures, and the channels themselves."""

    graph: ChannelGraph
    channels: tuple[Channel, ...] = ()
    crosses_nics: bool = False


_NO_GRAPH = UnitGraph(ChannelGraph())


@dataclass(frozen=True, slots=True)
class NodeGraphs:
    """The graphs of one unit, by `Algorithm` up to NVLS_TREE."""

    by_algorithm: tuple[UnitGraph, ...]

    def __getitem__(self, algorithm: Algorithm) -> UnitGraph:
        return self.by_algorithm[algorithm]


@dataclass(slots=True)
class _Best:
    """What carries most so far."""

    channels: list[Channel]
    rate: float = 0.0
    manner: Manner | None = None

    @property
    def total(self) -> float:
        return len(self.channels) * self.rate


def _speeds(view: NodeView, *, inter: bool) -> list[float]:
    """Return the speeds of the list that one channel can have at all, fastest first; the slowest is always there."""
    table = INTER_SPEEDS_GB_PER_S if inter else INTRA_SPEEDS_GB_PER_S
    if inter:
        path = [
            min(view.nic_bytes_per_s[j], view.nic_host_bytes_per_s[j], view.host_bytes_per_s[view.near[j]].max())
            for j in range(view.num_nics)
        ]
        fastest = max(path, default=0.0)
    elif view.is_hub:
        fastest = float(view.hub_bytes_per_s.max())
    else:
        fastest = float(view.pair_bytes_per_s.max())
    speeds = [from_gb_per_s(speed) for speed in table[view.architecture]]
    return [speed for speed in speeds if speed <= fastest * (1 + 1e-9)] or speeds[-1:]


def _split(channels: list[Channel], rate: float, view: NodeView) -> tuple[list[Channel], float]:
    """Split fast channels in two, as one streaming multiprocessor cannot fill them."""
    if rate < _SPLIT_FROM_BYTES_PER_S:
        return channels, rate
    many = len(channels) > _KEEP_ABOVE_CHANNELS
    if view.architecture >= Architecture.HOPPER and rate < _KEEP_BELOW_BYTES_PER_S and many:
        return channels, rate
    twice = (channels + channels)[:_MAX_RING_CHANNELS]
    return twice, rate / -(-len(twice) // len(channels))


def _most_rings(view: NodeView, speed: float, *, closed: bool) -> int:
    """Return a number that rings of that speed cannot exceed: each takes its speed of nearly every accelerator."""
    num = view.num_accelerators
    if num == 1:
        return _MAX_RING_CHANNELS
    # A ring that leaves where it ends spares one accelerator's way out.
    room = view.scale_up_bytes_per_s * (1.0 if closed else num / (num - 1))
    return min(_MAX_RING_CHANNELS, int(room / speed + 1e-3))


def _search_ring(view: NodeView, *, inter: bool) -> UnitGraph:
    speeds = _speeds(view, inter=inter)
    best = _Best([])
    total = view.scale_up_bytes_per_s if view.num_accelerators > 1 else float("inf")
    manners: tuple[Manner | None, ...] = (None,)
    if inter:
        manners = _MANNERS if view.num_nics > 1 else _MANNERS[:2]
    for speed in speeds:
        if best.channels and speed / best.rate <= _SLOWEST_FRAC:
            break
        for manner in manners:
            if _most_rings(view, speed, closed=manner is None or manner.relay) * speed <= best.total * (1 + 1e-9):
                continue
            channels = lay_rings(view, speed, manner, _MAX_RING_CHANNELS)
            if len(channels) * speed > best.total * (1 + 1e-9):
                best = _Best(channels, speed, manner)
        if len(best.channels) == _MAX_RING_CHANNELS or best.total >= total:
            break
    if not best.channels:
        return _NO_GRAPH
    channels, rate = _split(best.channels, best.rate, view)
    for speed in sorted(s for s in speeds if s > rate):
        faster = lay_rings(view, speed, best.manner, _MAX_RING_CHANNELS)
        if len(faster) >= len(channels):
            channels, rate = faster, speed
    graph = ChannelGraph(
        channels=len(channels),
        intra_bytes_per_s=rate,
        inter_bytes_per_s=rate,
        pattern=Pattern.RING,
        intra_path=view.path,
        inter_path=best.manner.path if best.manner else PathType.PIX,
        same_channels=len({channel.order for channel in channels}) == 1,
    )
    return UnitGraph(graph, tuple(channels), crosses_nics=bool(best.manner and best.manner.cross))


def _search_tree(view: NodeView, ring: UnitGraph, *, inter: bool) -> UnitGraph:
    """Trees have as many channels as the ring and use its NICs."""
    count = ring.graph.channels
    num = view.num_accelerators
    nics = [channel.entry_nic for channel in ring.channels] if inter else None
    if nics is not None:
        order = [j for j in range(view.num_nics) if view.near[j].any()]
        nics = [order[c % len(order)] for c in range(count)]
    balanced = inter and num > 1 and _is_balanced(view, nics)
    pattern = Pattern.BALANCED_TREE if balanced or not inter else Pattern.TREE
    total = view.scale_up_bytes_per_s * (num / (num - 1) if num > 1 else 1.0)
    speeds = _speeds(view, inter=inter)
    for speed in speeds:
        if num > 1 and speed * count > total * (1 + 1e-9):
            continue
        channels = lay_chains(view, speed, speed, count, nics=nics, balanced=balanced)
        if len(channels) == count:
            break
    else:
        return _NO_GRAPH
    intra = speed
    if pattern is Pattern.TREE and num > 1:
        # The library raises plain trees only: the balanced trees of its own graphs keep one speed.
        for faster in sorted(s for s in map(from_gb_per_s, INTER_SPEEDS_GB_PER_S[view.architecture]) if s > speed):
            if intra >= 2 * speed:
                break
            raised = lay_chains(view, faster, speed, count, nics=nics, balanced=False)
            if len(raised) < count:
                break
            channels, intra = raised, faster
    own_nic = nics is None or all(view.near[c.entry_nic, c.order[1]] for c in channels if len(c.order) > 1)
    graph = ChannelGraph(
        channels=count,
        intra_bytes_per_s=intra,
        inter_bytes_per_s=speed,
        pattern=pattern,
        intra_path=view.path,
        inter_path=PathType.PIX if not balanced or own_nic else PathType.PHB,
        same_channels=len({channel.order for channel in channels}) == 1,
    )
    return UnitGraph(graph, tuple(channels))


def _is_balanced(view: NodeView, nics: list[int] | None) -> bool:
    """Before Hopper the second accelerator may be far from the NIC; from Hopper on it must hang on it too."""
    if view.architecture < Architecture.HOPPER:
        return True
    return all(int(view.near[nic].sum()) > 1 for nic in nics or ())


def _search_nvls(view: NodeView, *, inter: bool) -> UnitGraph:
    num = view.num_accelerators
    if not view.has_switch or view.architecture < Architecture.HOPPER or num < _MIN_NVLS_ACCELERATORS:
        return _NO_GRAPH
    wanted = min(_MAX_NVLS_HEADS, num)
    best = _Best([])
    for speed in _speeds(view, inter=inter):
        if best.channels and speed / best.rate <= _SLOWEST_FRAC:
            break
        channels = lay_heads(view, speed, speed, wanted, inter=inter)
        if len(channels) < (1 if inter else wanted):
            continue
        if len(channels) > len(best.channels) or len(channels) * speed > best.total * (1 + 1e-9):
            best = _Best(channels, speed)
        if len(best.channels) == wanted:
            break
    if not best.channels:
        return _NO_GRAPH
    table = INTER_SPEEDS_GB_PER_S if inter else INTRA_SPEEDS_GB_PER_S
    between = best.rate
    for faster in sorted(s for s in map(from_gb_per_s, table[view.architecture]) if s > best.rate):
        if between >= 2 * best.rate:
            break
        raised = lay_heads(view, best.rate, faster, len(best.channels), inter=inter)
        if len(raised) < len(best.channels):
            break
        between = faster
    graph = ChannelGraph(
        channels=len(best.channels),
        intra_bytes_per_s=best.rate,
        inter_bytes_per_s=between,
        pattern=Pattern.NVLS,
        intra_path=PathType.NVL,
        inter_path=PathType.PIX,
    )
    return UnitGraph(graph, tuple(best.channels))


def _search_collnet(view: NodeView, tree: UnitGraph) -> tuple[UnitGraph, UnitGraph]:
    """Reduction in the network: heads with a NIC of their own (direct), and the plain tree's chains (chain)."""
    chain = UnitGraph(tree.graph, tree.channels)
    heads: list[Channel] = []
    for j in range(view.num_nics):
        near = [int(g) for g in view.near[j].nonzero()[0]]
        if near and near[0] not in {head.order[0] for head in heads} and len(heads) < _MAX_COLLNET_HEADS:
            heads.append(Channel((near[0],), j, j))
    if not heads or view.num_accelerators < 2:
        return _NO_GRAPH, chain
    # Each head takes one share from every other accelerator and gives one to each: twice its rate in all, both ways.
    room = view.scale_up_bytes_per_s / 2
    fits = [speed for speed in _speeds(view, inter=True) if speed <= room]
    if not fits:
        return _NO_GRAPH, chain
    graph = ChannelGraph(
        channels=len(heads),
        intra_bytes_per_s=fits[0],
        inter_bytes_per_s=fits[0],
        pattern=Pattern.COLLNET_DIRECT,
        intra_path=view.path,
        inter_path=PathType.PIX,
    )
    return UnitGraph(graph, tuple(heads)), chain


def search_unit(view: NodeView, *, inter: bool, collnet: bool = False) -> NodeGraphs:
    """Return the graphs NCCL would find for one unit.

    Parameters
    ----------
    view
        The unit.
    inter
        Whether the group has more units than this one.
    collnet
        Whether the network reduces (SHARP).
    """
    ring = _search_ring(view, inter=inter)
    tree = _search_tree(view, ring, inter=inter) if ring.channels else _NO_GRAPH
    nvls = _search_nvls(view, inter=inter)
    direct, chain = _search_collnet(view, tree) if collnet and inter and tree.channels else (_NO_GRAPH, _NO_GRAPH)
    return NodeGraphs((tree, ring, direct, chain, nvls, nvls))


def final_channels(ring: ChannelGraph, tree: ChannelGraph, architecture: Architecture, num_units: int) -> int:
    """Return how many channels a communicator ends up with (connect.cc, ``ncclTopoPostset``).

    Twice those of the graphs; on Hopper and later twice again between units if rings are fast and few.
    """
    channels = min(_MAX_CHANNELS, 2 * (min(ring.channels, tree.channels) or ring.channels))
    fast = num_units > 1 and ring.intra_bytes_per_s > _DOUBLE_ABOVE_BYTES_PER_S
    if architecture >= Architecture.HOPPER and fast and channels < _DOUBLE_BELOW_CHANNELS:
        channels *= 2
    return channels
