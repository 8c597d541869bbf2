"""``kind: dual-tor``: each NIC has a cable to each of two ToRs, as in Alibaba HPN.

With ``aggregation: dual-plane`` the first ToRs of all pairs have aggregation switches of their own, and the second ones
too, so that a flow stays in the plane of the port it left by. With ``single-plane`` both share them.
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

__all__ = ["DualTorDesign", "DualTorKind"]


class DualTorDesign(DesignFile):
    """Rail-optimized pairs of ToRs."""

    kind: Literal["dual-tor"]
    aggregation: Annotated[
        Literal["dual-plane", "single-plane"],
        Field(
            description="dual-plane: the two ToRs of a pair have spines of their own; single-plane: they share them."
        ),
    ] = "dual-plane"
    hosts: HostSpec
    network: Annotated[RailNetworkSpec, Field(description="Spines and cores count one plane.")]


class DualTorKind:
    """Registers ``dual-tor``."""

    name = "dual-tor"
    summary = "each NIC has a cable to each of two ToRs, in one or two planes of spines"
    parameters = DualTorDesign

    def build(self, design: DualTorDesign, context: BuildContext) -> Fabric:
        """Return the fabric of a design; see `topologies.kinds.registry.FabricKind.build`."""
        hosts = plan_hosts(design.hosts, design.hosts.count, context.parts, a_rack=design.hosts.a_rack)
        if hosts.nic_ports % 2:
            raise RuleError(
                what="a NIC needs two ports for two ToRs",
                found=f"nic_ports: {hosts.nic_ports}",
                allowed="an even number",
                fix="add nic_ports: 2",
                key=("hosts", "nic_ports"),
            )
        builder = FabricBuilder(design.name, description=design.full_description, assumptions=design.assumptions)
        build_rails(
            builder,
            hosts,
            design.network,
            context,
            [host_names(design.hosts)],
            port_planes=2,
            have_own_spines=design.aggregation == "dual-plane",
        )
        return builder.build()
