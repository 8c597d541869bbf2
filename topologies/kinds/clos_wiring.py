"""Wire a folded Clos: NICs to leaves, leaves to spines, spines to cores, in bulk.

The kinds that are Clos networks differ in which leaf a NIC hangs on; the rest is here.
"""

from __future__ import annotations

import numpy as np

from topologies.builder import FabricBuilder
from topologies.fabric import Int64s
from topologies.kinds.clos_network import ClosNetwork
from topologies.kinds.clos_plan import CorePlan, SpinePlan
from topologies.names import NameTemplate

__all__ = ["add_leaves", "add_upper_tiers", "attach_nics", "join_leaves"]


def add_leaves(
    builder: FabricBuilder, network: ClosNetwork, template: str, within: tuple[int, ...] = (), *, prefix: str = ""
) -> Int64s:
    """Add the leaves; return their ids, ``(groups, leaves_a_group)``.

    Parameters
    ----------
    builder, network
        Where to, and what.
    template
        Name of a leaf from its group and its place in the group.
    within
        Shape of the places in a group; else one number.
    prefix
        Before every name.
    """
    shape = (network.groups, *(within or (network.leaves_a_group,)))
    pod = np.repeat(np.arange(network.groups) // network.groups_a_pod, network.leaves_a_group)
    ids = builder.add_switches(
        NameTemplate(prefix + template, shape),
        tier=1,
        pods=pod if network.core and not network.are_pods_rails else None,
        part=network.leaf_part,
    )
    return ids.reshape(network.groups, network.leaves_a_group)


def attach_nics(
    builder: FabricBuilder, network: ClosNetwork, nic: Int64s, leaf: Int64s, cable_bytes_per_s: float
) -> None:
    """Add the cables from NICs to leaves; the ids are broadcast against each other."""
    builder.add_cables(nic, leaf, rate_bytes_per_s=cable_bytes_per_s, latency_s=network.link_latency_s)


def add_upper_tiers(builder: FabricBuilder, network: ClosNetwork, leaves: Int64s, *, prefix: str = "") -> None:
    """Add spines and cores with all their cables.

    Cable ``j`` of the leaf number ``l`` of a pod goes to spine ``(l·up + j) mod spines``, so that spines take the same
    number of cables to within one even where the bundles are uneven; cores likewise.

    Parameters
    ----------
    builder, network
        Where to, and what.
    leaves
        ``(groups, leaves_a_group)`` ids; leaf ``i`` of a group belongs to plane ``i mod planes``.
    prefix
        Before every name.
    """
    if network.spine is None:
        _join_leaf_to_leaf(builder, network, leaves.ravel())
        return
    for plane in range(network.planes):
        mark = f"{prefix}plane{plane}/" if network.planes > 1 else prefix
        spines = _add_spines(builder, network, network.spine, mark)
        of_plane = leaves[:, plane :: network.planes]
        leaf, number, pod = _numbered(network, of_plane)
        join_leaves(builder, network, leaf, spines, first_cable=number * network.leaf.up, pod=pod)
        if network.core is not None:
            _add_cores(builder, network, network.core, spines, network.spine.up, mark)


def _join_leaf_to_leaf(builder: FabricBuilder, network: ClosNetwork, leaves: Int64s) -> None:
    first, second = np.triu_indices(len(leaves), 1)
    for _ in range(network.leaf_links):
        builder.add_cables(
            leaves[first],
            leaves[second],
            rate_bytes_per_s=network.leaf_part.number("port_bytes_per_s"),
            latency_s=network.link_latency_s,
        )


def join_leaves(
    builder: FabricBuilder, network: ClosNetwork, leaf: Int64s, spines: Int64s, *, first_cable: Int64s, pod: Int64s
) -> None:
    """Add the cables up from leaves.

    Parameters
    ----------
    builder, network
        Where to, and at what rate.
    leaf, first_cable, pod
        ``(leaves,)`` ids, number of the first cable of each among those of its pod, and pod.
    spines
        ``(pods, spines)`` ids.
    """
    spine = (first_cable[:, None] + np.arange(network.leaf.up)) % spines.shape[1]
    builder.add_cables(
        leaf[:, None],
        spines[pod[:, None], spine],
        rate_bytes_per_s=network.up_bytes_per_s,
        latency_s=network.link_latency_s,
    )


def _numbered(network: ClosNetwork, leaves: Int64s) -> tuple[Int64s, Int64s, Int64s]:
    """Return the leaves of a plane in order, the number of each in its pod, and its pod."""
    if network.are_pods_rails:
        rails = leaves.shape[1]
        number = np.repeat(np.arange(network.groups), rails)
        return leaves.ravel(), number, np.tile(np.arange(rails), network.groups)
    group = np.repeat(np.arange(network.groups), leaves.shape[1])
    pod = group // network.groups_a_pod
    number = np.arange(leaves.size) - pod * network.groups_a_pod * leaves.shape[1]
    return leaves.ravel(), number, pod


def _add_spines(builder: FabricBuilder, network: ClosNetwork, plan: SpinePlan, prefix: str) -> Int64s:
    if network.core is None:
        names = NameTemplate(prefix + "spine{:03d}", (plan.spines,))
        return builder.add_switches(names, tier=2, part=network.spine_part).reshape(1, -1)
    shape = (network.pods, plan.spines)
    ids = builder.add_switches(
        NameTemplate(prefix + ("rail{:03d}" if network.are_pods_rails else "pod{:03d}") + "/spine{:03d}", shape),
        tier=2,
        pods=None if network.are_pods_rails else np.repeat(np.arange(network.pods), plan.spines),
        part=network.spine_part,
    )
    return ids.reshape(shape)


def _add_cores(
    builder: FabricBuilder, network: ClosNetwork, plan: CorePlan, spines: Int64s, up: int, prefix: str
) -> None:
    groups, size = plan.groups, plan.cores_a_group
    cores = builder.add_switches(
        NameTemplate(prefix + "core{:03d}", (groups * size,)), tier=3, part=network.core_part
    ).reshape(groups, size)
    pods, num = spines.shape
    group = np.arange(num) % groups
    number = np.arange(pods)[:, None] * (num // groups) + np.arange(num) // groups
    core = (number[:, :, None] * up + np.arange(up)) % size
    builder.add_cables(
        spines[:, :, None],
        cores[group[:, None], core],
        rate_bytes_per_s=network.core_bytes_per_s,
        latency_s=network.link_latency_s,
    )
