"""Small fabrics for the routing tests."""

from __future__ import annotations

import numpy as np

from topologies.builder import FabricBuilder
from topologies.fabric import Fabric


def leaf_spine(
    *, leaves: int = 2, spines: int = 2, hosts: int = 2, rate: float = 10.0, up: float = 10.0, cables: int = 1
) -> Fabric:
    """One accelerator and one NIC a host; every leaf to every spine.

    sp0   sp1
     | \\ / |
     | / \\ |
    leaf0  leaf1
    h0 h1  h2 h3
    """
    builder = FabricBuilder("leaf-spine")
    leaf = builder.add_switches([f"leaf{i}" for i in range(leaves)], tier=1)
    spine = builder.add_switches([f"sp{i}" for i in range(spines)], tier=2)
    host = builder.add_hosts(
        [f"h{i}" for i in range(leaves * hosts)], accelerators=1, nics=1, host_link_bytes_per_s=10 * rate
    )
    builder.add_cables(host.nic[:, 0], np.repeat(leaf, hosts), rate_bytes_per_s=rate)
    for _ in range(cables):
        builder.add_cables(leaf[:, None], spine[None, :], rate_bytes_per_s=up)
    return builder.build()


def three_tiers(
    *, pods: int = 2, leaves: int = 2, spines: int = 2, cores_a_spine: int = 2, hosts: int = 2, dual: bool = False
) -> Fabric:
    """Pods of leaves and spines; spine i of every pod goes to the same cores. `dual`: a NIC hangs on two leaves."""
    builder = FabricBuilder("three-tiers")
    core = builder.add_switches([f"core{i}" for i in range(spines * cores_a_spine)], tier=3)
    core = core.reshape(spines, cores_a_spine)
    for p in range(pods):
        leaf = builder.add_switches([f"p{p}leaf{i}" for i in range(leaves)], tier=1, pods=p)
        spine = builder.add_switches([f"p{p}sp{i}" for i in range(spines)], tier=2, pods=p)
        block = builder.add_hosts(
            [f"p{p}h{i}" for i in range(leaves * hosts)], accelerators=1, nics=1, host_link_bytes_per_s=100.0
        )
        home = np.repeat(np.arange(leaves), hosts)
        builder.add_cables(block.nic[:, 0], leaf[home], rate_bytes_per_s=10.0)
        if dual:
            builder.add_cables(block.nic[:, 0], leaf[home ^ 1], rate_bytes_per_s=10.0)
        builder.add_cables(leaf[:, None], spine[None, :], rate_bytes_per_s=10.0)
        builder.add_cables(spine[:, None], core, rate_bytes_per_s=10.0)
    return builder.build()


def boxes(*, hosts: int = 4, accelerators: int = 4, rails: int = 2, direct: bool = False) -> Fabric:
    """Hosts with an NVSwitch pair (or direct links) inside, one leaf a rail, two spines."""
    builder = FabricBuilder("boxes")
    leaf = builder.add_switches([f"rail{i}" for i in range(rails)], tier=1)
    spine = builder.add_switches(["sp0", "sp1"], tier=2)
    block = builder.add_hosts(
        [f"h{i}" for i in range(hosts)], accelerators=accelerators, nics=rails, host_link_bytes_per_s=50.0
    )
    builder.add_cables(block.nic, np.broadcast_to(leaf, (hosts, rails)), rate_bytes_per_s=10.0)
    builder.add_cables(leaf[:, None], spine[None, :], rate_bytes_per_s=10.0)
    if direct:
        for i in range(accelerators):
            for j in range(i):
                builder.add_cables(block.accelerator[:, i], block.accelerator[:, j], rate_bytes_per_s=30.0)
    else:
        up = builder.add_switches([f"nvs{i}" for i in range(2 * hosts)], scale_up=True).reshape(hosts, 1, 2)
        builder.add_cables(block.accelerator[:, :, None], up, rate_bytes_per_s=90.0)
    return builder.build()
