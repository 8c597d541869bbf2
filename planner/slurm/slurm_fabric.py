"""A fabric from Slurm's own topology, for sites that have no fabric file: the tree is known, the rates are assumed."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from planner.slurm.room import Room
from topologies.builder import FabricBuilder
from topologies.fabric import Fabric, Float64s, Int64s
from topologies.units import from_gbps, from_ns

__all__ = ["DEFAULT_OVERSUBSCRIPTION", "fabric_of_room"]

# Slurm's topology has no link rates. One 400 Gb/s NIC a GPU is the published reference design of an 8-GPU host since
# 2022 (NVIDIA DGX SuperPOD H100, "Reference Architecture", 2023); only ratios of loads are read off this fabric.
ASSUMED_NIC_GBPS = 400.0
ASSUMED_HOST_LINK_GBPS = 512.0  # PCIe 5.0 x16, 32 GT/s × 16 lanes, one direction
ASSUMED_LINK_NS = 500.0
DEFAULT_OVERSUBSCRIPTION = 2.0


def fabric_of_room(room: Room, *, oversubscription: float = DEFAULT_OVERSUBSCRIPTION) -> Fabric:
    """Build the switch tree that Slurm knows, one fat uplink a switch.

    Parameters
    ----------
    oversubscription
        Downlink over uplink capacity of each leaf switch; the switches above pass on all that they get.
    """
    builder = FabricBuilder(
        "slurm-topology",
        description="Slurm's own topology",
        assumptions=(
            f"one {ASSUMED_NIC_GBPS:g} Gb/s NIC a GPU",
            f"leaf switches oversubscribed {oversubscription:g}:1, none above",
        ),
    )
    num_gpus = np.maximum(room.gpus, 1)
    nic_rate = from_gbps(ASSUMED_NIC_GBPS)
    latency_s = from_ns(ASSUMED_LINK_NS)
    leaf_ids = builder.add_switches([name or "no-switch" for name in room.leaf_names], tier=1)
    for first, last in _alike_runs(num_gpus.tolist()):
        block = builder.add_hosts(
            room.hosts[first:last],
            accelerators=int(num_gpus[first]),
            nics=int(num_gpus[first]),
            host_link_bytes_per_s=from_gbps(ASSUMED_HOST_LINK_GBPS),
            host_link_latency_s=latency_s,
        )
        builder.add_cables(
            block.nic, leaf_ids[room.leaf[first:last]][:, None], rate_bytes_per_s=nic_rate, latency_s=latency_s
        )
    _add_tree(builder, room, leaf_ids, _leaf_rates(room, num_gpus, nic_rate), latency_s, oversubscription)
    return builder.build()


def _leaf_rates(room: Room, num_gpus: Int64s, nic_rate: float) -> Float64s:
    """``(leaves,)``: what the hosts of each leaf can send together, bytes/s."""
    gpus = np.bincount(room.leaf, weights=num_gpus, minlength=len(room.leaf_names))
    return (nic_rate * gpus).astype(np.float64)


def _alike_runs(values: Sequence[int]) -> list[tuple[int, int]]:
    """Return ``(first, last)`` of each run of equal values."""
    starts = [i for i, value in enumerate(values) if i == 0 or value != values[i - 1]]
    return list(zip(starts, [*starts[1:], len(values)], strict=True))


def _add_tree(
    builder: FabricBuilder,
    room: Room,
    leaf_ids: Int64s,
    leaf_rate: Float64s,
    latency_s: float,
    oversubscription: float,
) -> None:
    """Add the switches above the leaves and one uplink from each switch to the one above it."""
    below = leaf_ids
    rate = leaf_rate / oversubscription
    group_below = room.groups[0]
    levels = list(room.groups[1:])
    if len(np.unique(levels[-1] if levels else group_below)) > 1:
        levels.append(np.zeros(len(room.hosts), np.int64))  # blocks and loose trees meet somewhere
    for tier, level in enumerate(levels, start=2):
        ids = builder.add_switches([f"above-{tier}-{i}" for i in range(int(level.max()) + 1)], tier=min(tier, 3))
        parent = np.zeros(len(below), np.int64)
        parent[group_below] = level
        has_hosts = np.zeros(len(below), np.bool_)
        has_hosts[group_below] = True
        used = np.flatnonzero(has_hosts & (rate[: len(below)] > 0))
        builder.add_cables(below[used], ids[parent[used]], rate_bytes_per_s=rate[used], latency_s=latency_s)
        rate = np.bincount(parent[used], weights=rate[used], minlength=len(ids)).astype(np.float64)
        below, group_below = ids, level
