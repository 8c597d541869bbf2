"""Fabrics for the graph search: hosts with an NVSwitch or direct links, and one switch a rail."""

from __future__ import annotations

import numpy as np

from topologies.builder import FabricBuilder
from topologies.fabric import Fabric
from topologies.parts import Part

GB = 1e9

H100 = Part("h100", "accelerator", values={"compute_capability": 9.0, "host_cpu": "intel"})
A100 = Part("a100", "accelerator", values={"compute_capability": 8.0, "host_cpu": "amd"})
B200 = Part("b200", "accelerator", values={"compute_capability": 10.0, "host_cpu": "intel"})


def hosts_on_rails(
    part: Part | None = H100,
    *,
    hosts: int = 2,
    accelerators: int = 8,
    nics: int = 8,
    nic_gb_per_s: float = 50.0,
    scale_up_gb_per_s: float = 450.0,
    pair_gb_per_s: float = 0.0,
    leaf_gb_per_s: float | None = None,
) -> Fabric:
    """Build hosts; `pair_gb_per_s` joins accelerators directly instead of by a switch; 0 GB/s of both joins none.

        nvs0                nvs1
      /  |  \\             /  |  \\
    gpu gpu gpu …       gpu gpu gpu …
     |   |   |           |   |   |
    nic nic nic         nic nic nic
     |   |   |           |   |   |
    rail0 rail1 rail2 … (one switch each, shared by all hosts)
    """
    builder = FabricBuilder("hosts-on-rails")
    block = builder.add_hosts(
        [f"h{i}" for i in range(hosts)],
        accelerators=accelerators,
        part=part,
        nics=nics,
        host_link_bytes_per_s=nic_gb_per_s * GB,
    )
    if pair_gb_per_s:
        for i in range(accelerators):
            for j in range(i):
                builder.add_cables(
                    block.accelerator[:, i], block.accelerator[:, j], rate_bytes_per_s=pair_gb_per_s * GB
                )
    elif scale_up_gb_per_s:
        switch = builder.add_switches([f"nvs{i}" for i in range(hosts)], scale_up=True)
        builder.add_cables(block.accelerator, switch[:, np.newaxis], rate_bytes_per_s=scale_up_gb_per_s * GB)
    if nics:
        rail = builder.add_switches([f"rail{i}" for i in range(nics)], tier=1)
        builder.add_cables(block.nic, rail[np.newaxis, :], rate_bytes_per_s=(leaf_gb_per_s or nic_gb_per_s) * GB)
    return builder.build()
