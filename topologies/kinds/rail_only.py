"""``kind: rail-only``: a network for each rail and none between rails; the scale-up domain crosses rails.

Rail *i* joins accelerator *i* of every scale-up domain (Wang et al., arXiv:2307.12169). A rail that fits on one switch
has no spine; a larger one is a Clos network of its own.
"""

from __future__ import annotations

from typing import Annotated, Literal

import numpy as np
from pydantic import Field

from topologies.builder import FabricBuilder
from topologies.fabric import Fabric
from topologies.files.validated import RuleError
from topologies.kinds.clos_network import plan_clos
from topologies.kinds.clos_wiring import add_leaves, add_upper_tiers, attach_nics
from topologies.kinds.design import Count, DesignFile, HostSpec, NetworkSpec
from topologies.kinds.hosts import add_hosts, latency_notes, plan_hosts
from topologies.kinds.rail_optimized import host_names
from topologies.kinds.registry import BuildContext

__all__ = ["RailOnlyDesign", "RailOnlyKind"]


class RailOnlyDesign(DesignFile):
    """Rails that nothing but the scale-up domains joins."""

    kind: Literal["rail-only"]
    hosts: HostSpec
    hosts_a_domain: Annotated[Count, Field(description="Hosts that share a scale-up domain.")] = 1
    network: Annotated[
        NetworkSpec, Field(description="Of each rail; hosts_a_leaf counts domains, and tiers may come out as 1.")
    ]


class RailOnlyKind:
    """Registers ``rail-only``."""

    name = "rail-only"
    summary = "a network for each rail, joined by nothing but the scale-up domains"
    parameters = RailOnlyDesign

    def build(self, design: RailOnlyDesign, context: BuildContext) -> Fabric:
        """Return the fabric of a design; see `topologies.kinds.registry.FabricKind.build`."""
        size = design.hosts_a_domain
        hosts = plan_hosts(
            design.hosts, design.hosts.count, context.parts, hosts_a_domain=size, a_rack=design.hosts.a_rack
        )
        if not hosts.nics:
            raise RuleError(what="hosts without NICs have no rails", fix="add nic and nics", key=("hosts", "nics"))
        if hosts.scale_up.form == "none":
            raise RuleError(
                what="nothing joins the rails",
                found="no scale-up links",
                fix="use kind: rail-optimized, or give the hosts scale-up links",
                key=("hosts", "scale_up"),
            )
        rails = size * hosts.nics
        network = plan_clos(
            design.network,
            hosts,
            context.parts,
            cables_a_leaf=hosts.nic_ports,
            leaves_a_group=rails,
            planes=rails,
            units=-(-hosts.count // size),
            least_tiers=1,
        )
        builder = FabricBuilder(design.name, description=design.full_description, assumptions=design.assumptions)
        builder.assumptions += [*network.notes, *latency_notes(hosts, design.network.link_latency_us)]
        block = add_hosts(
            builder,
            hosts,
            names=[host_names(design.hosts)],
            fabric=network.fabric,
            rails=hosts.nics,
            domain_names="domain{:04d}/nvs{}" if size > 1 else None,
        )
        leaves = add_leaves(builder, network, "leaf-g{:03d}-r{:03d}")
        group = block.host // size // network.leaf.hosts
        rail = (block.host % size)[:, None] * hosts.nics + np.arange(hosts.nics)
        for _ in range(hosts.nic_ports):
            attach_nics(builder, network, block.nic, leaves[group[:, None], rail], hosts.nic_cable_bytes_per_s)
        add_upper_tiers(builder, network, leaves)
        return builder.build()
