"""``kind: scale-up-pod``: hosts joined into scale-up domains by planes of switches (UALink, Ethernet scale-up, NVLink).

Every accelerator has a link to each switch of its domain, its rate split evenly. Domains are joined by a rail-optimized
network, or there is just one.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from topologies.builder import FabricBuilder
from topologies.fabric import Fabric
from topologies.files.validated import RuleError
from topologies.kinds.design import Count, DesignFile, HostSpec
from topologies.kinds.hosts import add_hosts, latency_notes, plan_hosts
from topologies.kinds.rail_optimized import RailNetworkSpec, build_rails, host_names
from topologies.kinds.registry import BuildContext

__all__ = ["ScaleUpPodDesign", "ScaleUpPodKind"]


class ScaleUpPodDesign(DesignFile):
    """Scale-up domains of several hosts."""

    kind: Literal["scale-up-pod"]
    hosts: HostSpec
    hosts_a_domain: Annotated[Count, Field(description="Hosts in a scale-up domain; the last one may hold fewer.")]
    network: Annotated[RailNetworkSpec | None, Field(description="Between the domains, for hosts that have NICs.")] = (
        None
    )


class ScaleUpPodKind:
    """Registers ``scale-up-pod``."""

    name = "scale-up-pod"
    summary = "hosts joined into scale-up domains by planes of switches (UALink, Ethernet scale-up)"
    parameters = ScaleUpPodDesign

    def build(self, design: ScaleUpPodDesign, context: BuildContext) -> Fabric:
        """Return the fabric of a design; see `topologies.kinds.registry.FabricKind.build`."""
        hosts = plan_hosts(
            design.hosts,
            design.hosts.count,
            context.parts,
            hosts_a_domain=design.hosts_a_domain,
            a_rack=design.hosts.a_rack,
        )
        domains = -(-hosts.count // design.hosts_a_domain)
        if bool(hosts.nics) != (design.network is not None) or (domains > 1 and not hosts.nics):
            raise RuleError(
                what="nothing joins the domains" if domains > 1 else "NICs and a network go together",
                found=f"{domains} domains, {hosts.nics} NICs a host, {'a' if design.network else 'no'} network",
                fix="give the hosts nic and nics, and add network; or leave out all of them for one domain",
                key=("network",),
            )
        builder = FabricBuilder(design.name, description=design.full_description, assumptions=design.assumptions)
        names, template = [host_names(design.hosts)], "domain{:04d}/sus{:02d}"
        if design.network is not None:
            build_rails(builder, hosts, design.network, context, names, domain_names=template)
        else:
            builder.assumptions += latency_notes(hosts, None)
            add_hosts(builder, hosts, names=names, fabric="Ethernet", rails=1, domain_names=template)
        return builder.build()
