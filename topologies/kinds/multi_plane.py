"""``kind: multi-plane``: each NIC has a cable to each of several planes, a rail-optimized Clos each.

A broken switch or cable takes away the share of one plane, not a NIC; and a plane of slower cables reaches more hosts
with the same switch, because the switch has more ports of that rate.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from topologies.builder import FabricBuilder
from topologies.fabric import Fabric
from topologies.files.validated import RuleError
from topologies.kinds.design import DesignFile, HostSpec
from topologies.kinds.hosts import plan_hosts
from topologies.kinds.rail_optimized import RailNetworkSpec, build_rails, host_names
from topologies.kinds.registry import BuildContext

__all__ = ["MultiPlaneDesign", "MultiPlaneKind"]


class MultiPlaneDesign(DesignFile):
    """Planes that are a rail-optimized Clos each."""

    kind: Literal["multi-plane"]
    port_planes: Annotated[
        int | None, Field(gt=1, le=64, description="Planes; else one for each port of a NIC (nic_ports).")
    ] = None
    hosts: HostSpec
    network: Annotated[RailNetworkSpec, Field(description="Of each plane; spines and cores count one plane.")]


class MultiPlaneKind:
    """Registers ``multi-plane``."""

    name = "multi-plane"
    summary = "each NIC has a cable to each of several planes, a rail-optimized Clos each"
    parameters = MultiPlaneDesign

    def build(self, design: MultiPlaneDesign, context: BuildContext) -> Fabric:
        """Return the fabric of a design; see `topologies.kinds.registry.FabricKind.build`."""
        hosts = plan_hosts(design.hosts, design.hosts.count, context.parts, a_rack=design.hosts.a_rack)
        planes = design.port_planes or hosts.nic_ports
        if planes < 2 or hosts.nic_ports % planes:
            raise RuleError(
                what="the ports of a NIC do not divide into the planes",
                found=f"{hosts.nic_ports} ports a NIC, {planes} planes",
                allowed="two planes or more, and a multiple of that in ports",
                fix="set nic_ports",
                key=("hosts", "nic_ports"),
            )
        builder = FabricBuilder(design.name, description=design.full_description, assumptions=design.assumptions)
        names = [host_names(design.hosts)]
        build_rails(builder, hosts, design.network, context, names, port_planes=planes)
        return builder.build()
