"""From a group of accelerators on a fabric to what NCCL's tuner needs: units, their graphs, what all of them can do.

Units that are wired alike are searched once a fabric.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from weakref import WeakKeyDictionary

import numpy as np
import numpy.typing as npt

from planner.collectives.groups import visits
from planner.collectives.nccl.communicators import ChannelGraph, Communicator
from planner.collectives.nccl.constants import Algorithm, Cpu, Pattern
from planner.collectives.nccl.node_view import NodeView, node_view, view_key
from planner.collectives.nccl.search import NodeGraphs, final_channels, search_unit
from topologies.errors import InputError
from topologies.fabric import Fabric, Int64s

__all__ = ["Group", "UnitKind", "find_groups"]


@dataclass(frozen=True, eq=False)
class UnitKind:
    """What units that are wired alike have in common.

    Attributes
    ----------
    view
        One of them; node numbers are that one's.
    graphs
        What the search found.
    ring_nic_bytes_per_s, tree_nic_bytes_per_s, head_nic_bytes_per_s
        Line rate of the NICs that the rings, the trees and the in-switch heads use, together.
    scale_up_bytes_per_s
        Scale-up line rate of the accelerator that has the least.
    """

    view: NodeView
    graphs: NodeGraphs
    ring_nic_bytes_per_s: float
    tree_nic_bytes_per_s: float
    head_nic_bytes_per_s: float
    scale_up_bytes_per_s: float


@dataclass(frozen=True, eq=False)
class Group:
    """A group as NCCL sees it.

    Attributes
    ----------
    communicator
        What the tuner takes.
    member, member_start
        Accelerators of each unit in device order, compressed rows; units in the order of their first rank.
    kind
        Wiring of each unit.
    """

    communicator: Communicator
    member: Int64s
    member_start: Int64s
    kind: tuple[UnitKind, ...]

    @property
    def num_units(self) -> int:
        """Number of units."""
        return len(self.kind)

    def least(self, name: str) -> float:
        """Return the smallest value of one of `UnitKind`'s rates over all units."""
        return float(min(getattr(kind, name) for kind in set(self.kind)))


_KINDS: WeakKeyDictionary[Fabric, dict[tuple[bytes, bool, bool], UnitKind]] = WeakKeyDictionary()


def _nic_rate(view: NodeView, graphs: NodeGraphs, algorithm: Algorithm) -> float:
    used = {channel.entry_nic for channel in graphs[algorithm].channels if channel.entry_nic >= 0}
    return float(sum(view.nic_bytes_per_s[j] for j in used))


def _unit_kind(fabric: Fabric, members: Int64s, *, inter: bool, collnet: bool) -> UnitKind:
    kinds = _KINDS.setdefault(fabric, {})
    key = (view_key(fabric, members), inter, collnet)
    if key not in kinds:
        view = node_view(fabric, members)
        graphs = search_unit(view, inter=inter, collnet=collnet)
        kinds[key] = UnitKind(
            view,
            graphs,
            _nic_rate(view, graphs, Algorithm.RING),
            _nic_rate(view, graphs, Algorithm.TREE),
            _nic_rate(view, graphs, Algorithm.NVLS),
            float(fabric.accelerator_scale_up_bytes_per_s[members].min()),
        )
    return kinds[key]


def _least_graph(graphs: Sequence[ChannelGraph]) -> ChannelGraph:
    """Return what all units can do: least channels and rates, furthest paths (init.cc, ncclAllGather3)."""
    first = graphs[0]
    if all(graph == first for graph in graphs):
        return first
    plain = any(graph.pattern is Pattern.TREE for graph in graphs)
    return replace(
        first,
        channels=min(graph.channels for graph in graphs),
        intra_bytes_per_s=min(graph.intra_bytes_per_s for graph in graphs),
        inter_bytes_per_s=min(graph.inter_bytes_per_s for graph in graphs),
        pattern=Pattern.TREE if plain else first.pattern,
        intra_path=max(graph.intra_path for graph in graphs),
        inter_path=max(graph.inter_path for graph in graphs),
        same_channels=all(graph.same_channels for graph in graphs),
    )


def _communicator(kinds: Sequence[UnitKind], num_ranks: int, *, collnet: bool) -> Communicator:
    distinct = list(dict.fromkeys(kinds))
    graphs = [
        _least_graph([kind.graphs[algorithm].graph for kind in distinct])
        for algorithm in Algorithm
        if algorithm is not Algorithm.PAT
    ]
    views = [kind.view for kind in distinct]
    architecture = min(view.architecture for view in views)
    cpus = {view.cpu for view in views}
    return Communicator(
        num_nodes=len(kinds),
        num_ranks=num_ranks,
        architecture=architecture,
        cpu=cpus.pop() if len(cpus) == 1 else Cpu.MIXED,
        channels=final_channels(graphs[Algorithm.RING], graphs[Algorithm.TREE], architecture, len(kinds)),
        graphs=tuple(graphs),
        collnet=collnet and len(kinds) > 1,
        nvswitch=all(view.has_switch for view in views),
        same_architecture=len({view.architecture for view in views}) == 1,
    )


def find_groups(fabric: Fabric, ranks: Sequence[npt.ArrayLike], *, collnet: bool = False) -> list[Group]:
    """Look at groups of accelerators as NCCL does when it makes a communicator.

    Parameters
    ----------
    fabric
        Where.
    ranks
        For each group its accelerators in rank order.
    collnet
        Whether the network reduces (SHARP).

    Raises
    ------
    InputError
        If a group has fewer than two members, a member twice or one that does not exist, or members that no path joins.
    """
    small = next((i for i, group in enumerate(ranks) if np.size(group) < 2), None)
    if small is not None:
        raise InputError(
            what="a collective needs two members or more", where=f"group {small}", found=int(np.size(ranks[small]))
        )
    seen = visits(fabric, ranks)
    groups = []
    for j in range(len(ranks)):
        first, last = int(seen.job_start[j]), int(seen.job_start[j + 1])
        start = seen.member_start[first : last + 1]
        member = seen.member[start[0] : start[-1]].copy()
        start = start - start[0]
        for lower, upper in pairwise(start):
            member[lower:upper].sort()
        kinds = tuple(
            _unit_kind(fabric, member[lower:upper], inter=last - first > 1, collnet=collnet)
            for lower, upper in pairwise(start)
        )
        for i, kind in enumerate(kinds):
            if not kind.graphs[Algorithm.RING].graph.channels:
                raise _no_way(fabric, member[start[i] : start[i + 1]], kind.view, j)
        groups.append(Group(_communicator(kinds, len(member), collnet=collnet), member, start, kinds))
    return groups


def _no_way(fabric: Fabric, members: Int64s, view: NodeView, group: int) -> InputError:
    name = fabric.node_names[int(members[0])]
    what = "members that no path joins"
    if not view.num_nics:
        return InputError(
            what=what,
            where=f"group {group}",
            found=f"{name!r} has no NIC, and the group is spread over more than one scale-up domain or host",
            fix="leave it out, or keep the group in one scale-up domain",
        )
    return InputError(
        what=what,
        where=f"group {group}",
        found=f"no ring through the {len(members)} accelerators beside {name!r}",
        fix="check the links inside that unit",
    )
