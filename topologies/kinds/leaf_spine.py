"""``kind: leaf-spine``: all NICs of a host hang on one leaf; leaves are joined by spines (and cores)."""

from __future__ import annotations

from typing import Literal

from topologies.builder import FabricBuilder
from topologies.fabric import Fabric
from topologies.files.validated import RuleError
from topologies.kinds.clos_network import plan_clos
from topologies.kinds.clos_wiring import add_leaves, add_upper_tiers, attach_nics
from topologies.kinds.design import DesignFile, HostSpec, NetworkSpec
from topologies.kinds.hosts import add_hosts, latency_notes, plan_hosts
from topologies.kinds.rail_optimized import host_names
from topologies.kinds.registry import BuildContext

__all__ = ["LeafSpineDesign", "LeafSpineKind"]


class LeafSpineDesign(DesignFile):
    """A Clos network in which all NICs of a host hang on one leaf."""

    kind: Literal["leaf-spine"]
    hosts: HostSpec
    network: NetworkSpec


class LeafSpineKind:
    """Registers ``leaf-spine``."""

    name = "leaf-spine"
    summary = "Clos of 1 to 3 tiers in which all NICs of a host hang on one leaf"
    parameters = LeafSpineDesign

    def build(self, design: LeafSpineDesign, context: BuildContext) -> Fabric:
        """Return the fabric of a design; see `topologies.kinds.registry.FabricKind.build`."""
        spec = design.network
        hosts = plan_hosts(design.hosts, design.hosts.count, context.parts, a_rack=design.hosts.a_rack)
        if not hosts.nics:
            raise RuleError(what="hosts without NICs hang on no leaf", fix="add nic and nics", key=("hosts", "nics"))
        if spec.planes == "by-rail":
            raise RuleError(
                what="a leaf-spine network has no rails",
                found="planes: by-rail",
                allowed="together",
                fix="use kind: rail-optimized",
                key=("network", "planes"),
            )
        network = plan_clos(
            spec,
            hosts,
            context.parts,
            cables_a_leaf=hosts.nics * hosts.nic_ports,
            leaves_a_group=1,
            planes=1,
        )
        builder = FabricBuilder(design.name, description=design.full_description, assumptions=design.assumptions)
        builder.assumptions += [*network.notes, *latency_notes(hosts, spec.link_latency_us)]
        block = add_hosts(builder, hosts, names=[host_names(design.hosts)], fabric=network.fabric, rails=hosts.nics)
        leaves = add_leaves(builder, network, "leaf{:03d}-{}")
        for _ in range(hosts.nic_ports):
            attach_nics(
                builder, network, block.nic, leaves[block.host // network.leaf.hosts], hosts.nic_cable_bytes_per_s
            )
        add_upper_tiers(builder, network, leaves)
        return builder.build()
