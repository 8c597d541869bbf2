"""Path diversity: how many ways lead from leaf to leaf, counted by cables."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from topologies.fabric import Fabric, Int64s, LinkKind, NodeKind

__all__ = ["PathDiversity", "path_diversity"]

MAX_SOURCES = 16
"""Leaves from which ways are counted, spread evenly over all."""


@dataclass(frozen=True)
class PathDiversity:
    """Ways between two leaves.

    Attributes
    ----------
    pair
        ``same pod`` or ``across pods``.
    hops
        Most links on a shortest way.
    shortest_min, shortest_max
        Fewest and most shortest ways that a pair has; parallel cables count each.
    disjoint_min
        Fewest ways without a common cable that a pair has, over all lengths.
    pairs
        Pairs looked at.
    """

    pair: str
    hops: int
    shortest_min: float
    shortest_max: float
    disjoint_min: int
    pairs: int


def path_diversity(fabric: Fabric) -> list[PathDiversity]:
    """Return path diversity in pods and across them, from a spread sample of leaves to all others."""
    from scipy.sparse import coo_array

    first = fabric.num_accelerators + fabric.num_nics
    num = fabric.num_nodes - first
    mask = (fabric.link_kind == LinkKind.SCALE_OUT) & (fabric.link_source >= first) & (fabric.link_target >= first)
    if not mask.any():
        return []
    cables = coo_array(
        (np.ones(int(mask.sum())), (fabric.link_source[mask] - first, fabric.link_target[mask] - first)),
        shape=(num, num),
    ).tocsr()
    is_leaf = (fabric.node_kind[first:] == NodeKind.SWITCH) & (fabric.node_tier[first:] == 1)
    leaves = np.flatnonzero(is_leaf)
    pod = _leaf_pods(fabric, first, num)
    sources = leaves[np.unique(np.linspace(0, len(leaves) - 1, MAX_SOURCES).astype(np.int64))]
    hops, ways = _shortest_ways(cables, sources)
    found = []
    for label, same in (("same pod", True), ("across pods", False)):
        reach = hops[:, leaves] > 0
        wanted = reach & ((pod[sources][:, None] == pod[leaves][None, :]) == same)
        if not wanted.any():
            continue
        counts = ways[:, leaves][wanted]
        row, column = np.argwhere(wanted)[int(np.argmin(counts))]
        disjoint = _disjoint(cables, int(sources[row]), int(leaves[column]))
        longest = int(hops[:, leaves][wanted].max())
        found.append(
            PathDiversity(label, longest, float(counts.min()), float(counts.max()), disjoint, int(wanted.sum()))
        )
    return found


def _leaf_pods(fabric: Fabric, first: int, num: int) -> Int64s:
    """Return the pod of each leaf by the hosts on it, ``(num,)``; −1 for other switches."""
    pod = np.full(num, -1, np.int64)
    good = fabric.nic_leaf >= first
    pod[fabric.nic_leaf[good] - first] = fabric.host_pod[fabric.nic_host[good]]
    return pod


def _shortest_ways(cables: Any, sources: Int64s) -> tuple[Int64s, np.ndarray[tuple[int, ...], np.dtype[np.float64]]]:
    """Return hops and number of shortest ways from each source to each switch, level by level; −1 hops: no way."""
    num = cables.shape[0]
    hops = np.full((len(sources), num), -1, np.int64)
    ways = np.zeros((len(sources), num))
    rows = np.arange(len(sources))
    hops[rows, sources], ways[rows, sources] = 0, 1.0
    front = ways.copy()
    for level in range(1, num + 1):
        front = np.asarray(front @ cables)
        front[hops >= 0] = 0.0
        new = front > 0
        if not new.any():
            break
        hops[new] = level
        ways[new] = front[new]
    hops[rows, sources] = -1
    return hops, ways


def _disjoint(cables: Any, source: int, target: int) -> int:
    """Return the number of ways between two switches without a common cable (Menger: the largest flow)."""
    from scipy.sparse.csgraph import maximum_flow

    return int(maximum_flow(cables.astype(np.int32), source, target).flow_value)
