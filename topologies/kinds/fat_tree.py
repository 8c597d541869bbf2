"""``kind: fat-tree``: the k-ary fat tree of Al-Fares et al. (SIGCOMM 2008).

k pods of k/2 edge and k/2 aggregation switches, (k/2)² cores, all with k ports: k³/4 places for NICs. NICs fill the
edge switches in order; places without a host stay free.
"""

from __future__ import annotations

from typing import Annotated, Literal

import numpy as np
from pydantic import Field

from topologies.builder import FabricBuilder
from topologies.fabric import Fabric
from topologies.files.validated import RuleError, StrictModel
from topologies.kinds.clos_plan import SwitchPorts
from topologies.kinds.design import DesignFile, HostSpec, NotNegative
from topologies.kinds.hosts import LINK_LATENCY_US, add_hosts, latency_notes, part_of, plan_hosts
from topologies.kinds.rail_optimized import host_names
from topologies.kinds.registry import BuildContext
from topologies.names import NameTemplate
from topologies.units import from_us

__all__ = ["FatTreeDesign", "FatTreeKind", "FatTreeNetworkSpec"]


class FatTreeNetworkSpec(StrictModel):
    """The switches of a k-ary fat tree."""

    k: Annotated[int, Field(ge=2, le=1024, multiple_of=2, description="Ports of every switch that are used.")]
    switch: Annotated[str, Field(description="Part id of all switches.")]
    link_latency_us: Annotated[
        NotNegative | None, Field(description="Of each link with its switch, one way; else 0.45 or 1.")
    ] = None


class FatTreeDesign(DesignFile):
    """A k-ary fat tree."""

    kind: Literal["fat-tree"]
    hosts: HostSpec
    network: FatTreeNetworkSpec


class FatTreeKind:
    """Registers ``fat-tree``."""

    name = "fat-tree"
    summary = "k-ary fat tree of alike switches: k pods, (k/2)² cores, k³/4 places for NICs"
    parameters = FatTreeDesign

    def build(self, design: FatTreeDesign, context: BuildContext) -> Fabric:
        """Return the fabric of a design; see `topologies.kinds.registry.FabricKind.build`."""
        spec, half = design.network, design.network.k // 2
        hosts = plan_hosts(design.hosts, design.hosts.count, context.parts, a_rack=design.hosts.a_rack)
        part = part_of(context.parts, spec.switch, "switch", ("network", "switch"))
        ports = SwitchPorts.of(part)
        places = spec.k * half * half
        cables = hosts.count * hosts.nics * hosts.nic_ports
        if not 0 < cables <= places:
            raise RuleError(
                what="the hosts do not fit" if cables else "hosts without NICs hang on no switch",
                found=f"{cables} cables of {hosts.count} hosts",
                allowed=f"1 to {places}, k³/4 for k = {spec.k}",
                fix="use a larger k or fewer hosts" if cables else "add nic and nics",
                key=("hosts", "count" if cables else "nics"),
            )
        rate = hosts.nic_cable_bytes_per_s
        needed = ports.ports_for(spec.k, rate, ("network", "switch"))
        if needed > ports.num_ports:
            raise RuleError(
                what="the switch has too few ports",
                found=f"k = {spec.k} cables need {needed} ports",
                allowed=f"{ports.num_ports} ports on {ports.name}",
                fix="use a smaller k or a switch with more ports",
                key=("network", "k"),
            )
        builder = FabricBuilder(design.name, description=design.full_description, assumptions=design.assumptions)
        builder.assumptions += latency_notes(hosts, spec.link_latency_us)
        fabric = str(part.values.get("fabric", "Ethernet"))
        latency_us = spec.link_latency_us
        latency_s = from_us(
            LINK_LATENCY_US.get(fabric, LINK_LATENCY_US["Ethernet"]) if latency_us is None else latency_us
        )
        block = add_hosts(builder, hosts, names=[host_names(design.hosts)], fabric=fabric, rails=hosts.nics)

        pod = np.repeat(np.arange(spec.k), half)
        tiers = [
            builder.add_switches(NameTemplate(template, (spec.k, half)), tier=tier, pods=pod, part=part)
            for tier, template in ((1, "pod{:03d}/edge{:03d}"), (2, "pod{:03d}/agg{:03d}"))
        ]
        edge, aggregation = (ids.reshape(spec.k, half) for ids in tiers)
        core = builder.add_switches(NameTemplate("core{:03d}-{:03d}", (half, half)), tier=3, part=part)
        nic = np.repeat(block.nic.ravel(), hosts.nic_ports)
        builder.add_cables(nic, edge.ravel()[np.arange(cables) // half], rate_bytes_per_s=rate, latency_s=latency_s)
        builder.add_cables(edge[:, :, None], aggregation[:, None, :], rate_bytes_per_s=rate, latency_s=latency_s)
        builder.add_cables(
            aggregation[:, :, None], core.reshape(1, half, half), rate_bytes_per_s=rate, latency_s=latency_s
        )
        return builder.build()
