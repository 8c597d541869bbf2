"""Where things sit, found from the links: scale-up domains, nearest NICs, switch tiers, leaf groups and pods."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from topologies.errors import InputError
from topologies.fabric import Fabric, Int32s, LinkKind, NodeKind, UInt8s

__all__ = [
    "accelerator_nics",
    "check_connected",
    "check_nics_cabled",
    "leaf_groups",
    "pods",
    "scale_up_domains",
    "switch_tiers",
]

_CORE_TIER = 3


def _components(num_nodes: int, a: npt.NDArray[np.integer], b: npt.NDArray[np.integer]) -> Int32s:
    """Return the connected component of each node under undirected edges a–b, ``(num_nodes,)``."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    graph = coo_array((np.ones(len(a), np.int8), (a, b)), shape=(num_nodes, num_nodes)).tocsr()
    return np.asarray(connected_components(graph, directed=False)[1], np.int32)


def _by_first_seen(labels: npt.NDArray[np.integer]) -> Int32s:
    """Return the labels renumbered from 0 in the order in which they first stand."""
    _, first, inverse = np.unique(labels, return_index=True, return_inverse=True)
    rank = np.empty(len(first), np.int32)
    rank[np.argsort(first, kind="stable")] = np.arange(len(first), dtype=np.int32)
    renumbered: Int32s = rank[inverse.ravel()]
    return renumbered


def scale_up_domains(
    num_accelerators: int, num_nodes: int, source: Int32s, target: Int32s, link_kind: UInt8s
) -> Int32s:
    """Return the scale-up domain of each accelerator: what scale-up links join, ``(A,)``."""
    mask = link_kind == LinkKind.SCALE_UP
    return _by_first_seen(_components(num_nodes, source[mask], target[mask])[:num_accelerators])


def accelerator_nics(num_accelerators: int, source: Int32s, target: Int32s, link_kind: UInt8s) -> Int32s:
    """Return the node number of the first NIC linked to each accelerator, ``(A,)``; −1 if none is."""
    nic = np.full(num_accelerators, -1, np.int32)
    mask = (link_kind == LinkKind.HOST) & (source < num_accelerators)
    nic[source[mask][::-1]] = target[mask][::-1]  # reversed: the first link is written last
    return nic


def switch_tiers(tier: Int32s, node_kind: UInt8s, source: Int32s, target: Int32s) -> Int32s:
    """Return the tiers with those left open (−1) filled by the distance from the NICs: 1 is a leaf."""
    tier = tier.copy()
    scale_out = (node_kind[source] == NodeKind.SWITCH) & (node_kind[target] == NodeKind.SWITCH)
    from_nic = (node_kind[source] <= NodeKind.NIC) & (node_kind[target] == NodeKind.SWITCH)
    leaves = np.unique(target[from_nic])
    tier[leaves[tier[leaves] < 0]] = 1
    source, target = source[scale_out], target[scale_out]
    level = 1
    while (tier < 0).any():
        frontier = (tier[source] == level) & (tier[target] < 0)
        tier[target[frontier]] = level + 1
        level += 1
        if level > len(tier):
            tier[tier < 0] = 1  # unreachable from any NIC: the connectivity check names it
    return tier


def leaf_groups(fabric: Fabric) -> Int32s:
    """Return the leaf group of each host, ``(H,)``: hosts on the same set of leaves share one.

    A host without any leaf shares a group with its scale-up domain.
    """
    first, num = fabric.num_accelerators, fabric.num_nics
    is_access = (fabric.link_kind == LinkKind.SCALE_OUT) & (fabric.link_source >= first)
    is_access &= fabric.link_source < first + num
    host = fabric.nic_host[fabric.link_source[is_access] - first]
    pairs = np.unique(np.stack([host, fabric.link_target[is_access]], axis=1), axis=0)
    count = np.bincount(pairs[:, 0], minlength=fabric.num_hosts)
    start = np.concatenate([[0], np.cumsum(count)])
    label = np.full(fabric.num_hosts, -1, np.int64)
    used = 0
    for num_leaves in np.unique(count):
        hosts = np.flatnonzero(count == num_leaves)
        if num_leaves == 0:
            rows = fabric.host_domain[hosts][:, None]
        else:
            rows = pairs[start[hosts][:, None] + np.arange(num_leaves), 1]
        _, inverse = np.unique(rows, axis=0, return_inverse=True)
        label[hosts] = used + inverse.ravel()
        used += len(hosts)
    return _by_first_seen(label)


def pods(fabric: Fabric) -> Int32s:
    """Return the pod of each host, ``(H,)``: as its leaf is labelled, else what hangs together below the core tier."""
    first, num = fabric.num_accelerators, fabric.num_nics
    if not num:
        return np.zeros(fabric.num_hosts, np.int32)
    below_core = (fabric.link_kind == LinkKind.SCALE_OUT) & (fabric.link_tier < _CORE_TIER)
    source, target = fabric.link_source[below_core], fabric.link_target[below_core]
    if (fabric.node_pod >= 0).any():
        label = np.full(fabric.num_hosts, -1, np.int64)
        access = (source >= first) & (source < first + num)
        label[fabric.nic_host[source[access] - first][::-1]] = fabric.node_pod[target[access]][::-1]
        return _by_first_seen(label)
    host_node = fabric.num_nodes + fabric.nic_host
    nic_node = np.arange(first, first + num)
    num_all = fabric.num_nodes + fabric.num_hosts
    component = _components(num_all, np.concatenate([source, nic_node]), np.concatenate([target, host_node]))
    return _by_first_seen(component[fabric.num_nodes :])


def check_connected(fabric: Fabric) -> None:
    """Refuse a graph in several pieces.

    Raises
    ------
    InputError
        Naming a node of a smaller piece.
    """
    component = _components(fabric.num_nodes, fabric.link_source, fabric.link_target)
    sizes = np.bincount(component)
    if len(sizes) > 1:
        smallest = int(np.argmin(sizes))
        example = fabric.node_names[int(np.argmax(component == smallest))]
        raise InputError(
            what=f"the graph is in {len(sizes)} pieces that no link joins",
            where=fabric.name,
            found=f"{int(sizes[smallest])} of {fabric.num_nodes} nodes around {example!r} stand apart",
            allowed="one connected graph",
            fix="add the missing links, or remove the nodes",
        )


def check_nics_cabled(fabric: Fabric, nic_leaf: Int32s) -> None:
    """Refuse a host with a NIC that no cable joins to a switch.

    Raises
    ------
    InputError
        Naming the host.
    """
    bare = np.flatnonzero(nic_leaf < 0)
    if len(bare):
        host = fabric.host_names[int(fabric.nic_host[bare[0]])]
        raise InputError(
            what="a host has no leaf",
            where=f"{fabric.name}: {host}",
            found=f"NIC {fabric.node_names[fabric.num_accelerators + int(bare[0])]!r} without a cable",
            allowed="every NIC on a switch",
            fix="connect it to a leaf",
        )
