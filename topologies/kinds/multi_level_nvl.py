"""``kind: multi-level-nvl``: scale-up domains of several racks, with two levels of switches (NVL36 to NVL576).

Every accelerator links to each switch of its rack. A domain of two racks may be joined by cables between switches of
one number (``joined: crossed``, as NVL36×2); else switches above the racks join switches of one number in all of them.
Between domains runs a rail-optimized network.
"""

from __future__ import annotations

from math import ceil
from typing import Annotated, Literal

import numpy as np
from pydantic import Field

from topologies.builder import FabricBuilder
from topologies.fabric import Fabric, Int64s
from topologies.files.validated import RuleError, StrictModel
from topologies.kinds.design import Count, DesignFile, HostBase, Ratio
from topologies.kinds.hosts import HostPlan, part_of, plan_hosts
from topologies.kinds.rail_optimized import RailNetworkSpec, build_rails
from topologies.kinds.registry import BuildContext
from topologies.names import NameTemplate
from topologies.parts import Part
from topologies.units import to_gbps

__all__ = ["DomainSpec", "MultiLevelNvlDesign", "MultiLevelNvlKind"]


class DomainSpec(StrictModel):
    """Scale-up domains of several racks."""

    count: Annotated[Count, Field(description="Number of domains.")]
    racks: Annotated[Count, Field(description="Racks a domain.")]
    trays: Annotated[Count, Field(description="Compute trays (hosts) a rack.")]
    tray: Annotated[HostBase, Field(description="What a tray holds; scale_up.switches counts the switches of a rack.")]
    joined: Annotated[
        Literal["upper", "crossed"],
        Field(description="upper: by switches above the racks; crossed: two racks, switch to switch of one number."),
    ] = "upper"
    oversubscription: Annotated[Ratio, Field(description="Of the rack's switches: rate down over rate up.")] = 1.0
    upper_switches: Annotated[
        Count | None,
        Field(description="Switches above the racks for each number of switch in a rack; else the fewest that fit."),
    ] = None
    upper_switch: Annotated[str | None, Field(description="Part id of these; else as in the racks.")] = None


class MultiLevelNvlDesign(DesignFile):
    """Scale-up domains of several racks with a rail-optimized scale-out network."""

    kind: Literal["multi-level-nvl"]
    domains: DomainSpec
    network: RailNetworkSpec


class MultiLevelNvlKind:
    """Registers ``multi-level-nvl``."""

    name = "multi-level-nvl"
    summary = "scale-up domains of several racks with two levels of scale-up switches"
    parameters = MultiLevelNvlDesign

    def build(self, design: MultiLevelNvlDesign, context: BuildContext) -> Fabric:
        """Return the fabric of a design; see `topologies.kinds.registry.FabricKind.build`."""
        spec = design.domains
        hosts = plan_hosts(
            spec.tray,
            spec.count * spec.racks * spec.trays,
            context.parts,
            key=("domains", "tray"),
            hosts_a_domain=spec.trays,  # the first level; the racks of a domain are joined below
            a_rack=spec.trays,
        )
        builder = FabricBuilder(design.name, description=design.full_description, assumptions=design.assumptions)
        if hosts.scale_up.form != "switch":
            raise RuleError(
                what="a rack needs scale-up switches",
                found=f"form {hosts.scale_up.form}",
                allowed="switch",
                key=("domains", "tray", "scale_up", "form"),
            )
        names = NameTemplate("rack{:04d}-tray{:02d}", (spec.count * spec.racks, spec.trays))
        template = "rack{:04d}/nvs{:02d}"
        _, added = build_rails(builder, hosts, design.network, context, [names], domain_names=template)
        if spec.racks > 1:
            _join_racks(builder, spec, hosts, context, added.scale_up_switch)
        return builder.build()


def _join_racks(
    builder: FabricBuilder, spec: DomainSpec, hosts: HostPlan, context: BuildContext, switches: Int64s
) -> None:
    """Join the switches of the racks of each domain; `switches` is ``(racks in all, switches a rack)``."""
    up, rate = _cables_up(spec, hosts)
    rack = switches.reshape(spec.count, spec.racks, -1)
    latency_s = hosts.scale_up.latency_s / 2
    if spec.joined == "crossed":
        if spec.racks != 2:
            raise RuleError(
                what="crossed racks come in pairs",
                found=f"{spec.racks} racks a domain",
                allowed="2",
                fix="use joined: upper",
                key=("domains", "joined"),
            )
        for _ in range(up):
            builder.add_cables(rack[:, 0], rack[:, 1], rate_bytes_per_s=rate, latency_s=latency_s)
        return
    upper_part = hosts.scale_up.switch
    if spec.upper_switch:
        upper_part = part_of(context.parts, spec.upper_switch, "scale-up switch", ("domains", "upper_switch"))
    each = _upper_switches(spec, upper_part, up)
    upper = builder.add_switches(
        NameTemplate("domain{:03d}/upper{:02d}-{:02d}", (spec.count, rack.shape[2], each)),
        scale_up=True,
        part=upper_part,
    ).reshape(spec.count, rack.shape[2], each)
    cable = (np.arange(spec.racks)[:, None] * up + np.arange(up)) % each  # (racks, up)
    builder.add_cables(
        rack[:, :, :, None],
        upper.transpose(0, 2, 1)[:, cable].transpose(0, 1, 3, 2),  # (domains, racks, switches, up)
        rate_bytes_per_s=rate,
        latency_s=latency_s,
    )


def _cables_up(spec: DomainSpec, hosts: HostPlan) -> tuple[int, float]:
    """Return the cables up from each switch of a rack, and their rate.

    Without a part, one cable to each upper switch (or to the other rack) carries its share.
    """
    plan = hosts.scale_up
    down = spec.trays * hosts.accelerators * plan.bytes_per_s / plan.switches
    wanted = down / spec.oversubscription
    if plan.switch is None:
        up = spec.upper_switches or 1 if spec.joined == "upper" else 1
        return up, wanted / up
    port = plan.switch.number("port_bytes_per_s")
    up = ceil(round(wanted / port, 9))
    links = spec.trays * hosts.accelerators * ceil(round(plan.bytes_per_s / plan.switches / port, 9))
    there = int(plan.switch.number("num_ports"))
    if links + up > there:
        raise RuleError(
            what="a scale-up switch of a rack has too few ports",
            found=f"{links} ports down and {up} up",
            allowed=f"{there} ports of {to_gbps(port):g} Gb/s on {plan.switch.id}",
            fix="use more switches or fewer trays a rack, or a larger oversubscription",
            key=("domains", "tray", "scale_up", "switches"),
        )
    return up, port


def _upper_switches(spec: DomainSpec, part: Part | None, up: int) -> int:
    """Return the upper switches for each number: the fewest with enough ports and whole bundles, or those given."""
    ports = int(part.number("num_ports")) if part else spec.racks * up
    least = -(-spec.racks * up // ports)
    if spec.upper_switches is None:
        found = next((n for n in range(least, up + 1) if up % n == 0), None)
        if found is not None:
            return found
    elif least <= spec.upper_switches <= up:
        return spec.upper_switches
    raise RuleError(
        what="the upper switches do not fit",
        found=f"{spec.upper_switches or least} for {spec.racks} racks with {up} cables up each",
        allowed=f"{least} to {up}, {ports} ports each",
        fix="use fewer racks or a switch with more ports",
        key=("domains", "upper_switches"),
    )
