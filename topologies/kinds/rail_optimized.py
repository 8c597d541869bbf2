"""``kind: rail-optimized``: NIC *i* of every host of a leaf group hangs on leaf *i* of the group.

Two accelerators on the same rail and in the same group are one switch apart; across rails or groups the way goes over
the spines.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal

import numpy as np
from pydantic import Field

from topologies.builder import FabricBuilder
from topologies.fabric import Fabric
from topologies.files.validated import RuleError
from topologies.kinds.clos_network import ClosNetwork, plan_clos
from topologies.kinds.clos_wiring import add_leaves, add_upper_tiers, attach_nics
from topologies.kinds.design import Count, DesignFile, HostSpec, NetworkSpec
from topologies.kinds.hosts import AddedHosts, HostPlan, add_hosts, latency_notes, plan_hosts
from topologies.kinds.registry import BuildContext
from topologies.names import NameTemplate

__all__ = ["RailNetworkSpec", "RailOptimizedDesign", "RailOptimizedKind", "build_rails", "host_names", "rails_of"]


class RailNetworkSpec(NetworkSpec):
    """A Clos network with rails."""

    rails: Annotated[Count | None, Field(description="Rails; else one for each NIC of a host.")] = None


class RailOptimizedDesign(DesignFile):
    """A rail-optimized Clos network of 1, 2 or 3 tiers."""

    kind: Literal["rail-optimized"]
    hosts: HostSpec
    network: RailNetworkSpec


class RailOptimizedKind:
    """Registers ``rail-optimized``."""

    name = "rail-optimized"
    summary = "Clos of 1 to 3 tiers in which NIC i of a host hangs on the leaf of rail i"
    parameters = RailOptimizedDesign

    def build(self, design: RailOptimizedDesign, context: BuildContext) -> Fabric:
        """Return the fabric of a design; see `topologies.kinds.registry.FabricKind.build`."""
        hosts = plan_hosts(design.hosts, design.hosts.count, context.parts, a_rack=design.hosts.a_rack)
        builder = FabricBuilder(design.name, description=design.full_description, assumptions=design.assumptions)
        build_rails(builder, hosts, design.network, context, [host_names(design.hosts)])
        return builder.build()


def host_names(spec: HostSpec) -> NameTemplate:
    """Return the names of hosts: the template given, else ``h0000`` with as many digits as needed."""
    last = spec.first + spec.count - 1
    return NameTemplate(spec.names or f"h{{:0{max(4, len(str(last)))}d}}", (spec.count,), (spec.first,))


def rails_of(spec: RailNetworkSpec, hosts: HostPlan) -> int:
    """Return the number of rails.

    Raises
    ------
    RuleError
        If there are no NICs, or they do not divide into the rails.
    """
    if not hosts.nics:
        raise RuleError(what="hosts without NICs have no rails", fix="add nic and nics", key=("hosts", "nics"))
    rails = spec.rails or hosts.nics
    if hosts.nics % rails:
        raise RuleError(
            what="the NICs do not divide into the rails",
            found=f"{hosts.nics} NICs, {rails} rails",
            allowed="a number of rails that divides the NICs of a host",
            key=("network", "rails"),
        )
    return rails


def build_rails(
    builder: FabricBuilder,
    hosts: HostPlan,
    spec: RailNetworkSpec,
    context: BuildContext,
    names: Sequence[NameTemplate],
    *,
    port_planes: int = 1,
    have_own_spines: bool = True,
    domain_names: str | None = None,
) -> tuple[ClosNetwork, AddedHosts]:
    """Add hosts and their rail-optimized network to a builder; return the network's counts and the hosts' ids.

    Parameters
    ----------
    builder, hosts, spec, context
        Where to, and what.
    names
        Templates that together name the hosts.
    port_planes
        Planes that the ports of each NIC are dealt to in turn; each plane has leaves of its own.
    have_own_spines
        Whether the planes have spines of their own, or share them.
    domain_names
        Template of the names of scale-up switches, as in `add_hosts`.
    """
    rails = rails_of(spec, hosts)
    own = port_planes if have_own_spines else 1
    network = plan_clos(
        spec,
        hosts,
        context.parts,
        cables_a_leaf=hosts.nics // rails * hosts.nic_ports // port_planes,
        leaves_a_group=rails * port_planes,
        planes=rails * own if spec.planes == "by-rail" else own,
        multiple_of=hosts.hosts_a_domain,
    )
    builder.assumptions += [*network.notes, *latency_notes(hosts, spec.link_latency_us)]
    block = add_hosts(
        builder,
        hosts,
        names=names,
        fabric=network.fabric,
        rails=rails,
        domain_names=domain_names,
    )
    if port_planes == 1:
        leaves = add_leaves(builder, network, "leaf-g{:03d}-r{}")
    else:
        leaves = add_leaves(builder, network, "leaf-g{:03d}-r{}-p{}", (rails, port_planes))
    group = block.host // network.leaf.hosts
    rail = np.arange(hosts.nics) * rails // hosts.nics
    for port in range(hosts.nic_ports):
        leaf = leaves[group][:, rail * port_planes + port % port_planes]
        attach_nics(builder, network, block.nic, leaf, hosts.nic_cable_bytes_per_s)
    add_upper_tiers(builder, network, leaves)
    return network, block
