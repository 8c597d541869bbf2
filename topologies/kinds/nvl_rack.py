"""``kind: nvl-rack``: racks whose accelerators form one scale-up domain, joined by a rail-optimized network.

A host is one compute tray. The last rack may hold fewer trays.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from topologies.builder import FabricBuilder
from topologies.fabric import Fabric
from topologies.files.validated import RuleError
from topologies.kinds.design import Count, DesignFile, HostBase
from topologies.kinds.hosts import plan_hosts
from topologies.kinds.rail_optimized import RailNetworkSpec, build_rails
from topologies.kinds.registry import BuildContext
from topologies.names import NameTemplate

__all__ = ["NvlRackDesign", "NvlRackKind", "RackSpec"]


class RackSpec(HostBase):
    """Alike racks of compute trays; the keys of a host say what a tray holds."""

    count: Annotated[Count, Field(description="Number of racks.")]
    trays: Annotated[Count, Field(description="Compute trays a rack.")] = 18
    trays_in_last: Annotated[Count | None, Field(description="Trays in the last rack, if it is not full.")] = None


class NvlRackDesign(DesignFile):
    """Rack-scale scale-up domains with a rail-optimized scale-out network."""

    kind: Literal["nvl-rack"]
    racks: RackSpec
    network: RailNetworkSpec


class NvlRackKind:
    """Registers ``nvl-rack``."""

    name = "nvl-rack"
    summary = "racks that are one scale-up domain each, joined by a rail-optimized Clos"
    parameters = NvlRackDesign

    def build(self, design: NvlRackDesign, context: BuildContext) -> Fabric:
        """Return the fabric of a design; see `topologies.kinds.registry.FabricKind.build`."""
        racks = design.racks
        last = racks.trays if racks.trays_in_last is None else racks.trays_in_last
        if last > racks.trays:
            raise RuleError(
                what="the last rack holds more than a rack",
                found=f"{last} trays",
                allowed=f"1 to {racks.trays}",
                key=("racks", "trays_in_last"),
            )
        hosts = plan_hosts(
            racks,
            (racks.count - 1) * racks.trays + last,
            context.parts,
            key=("racks",),
            hosts_a_domain=racks.trays,
            a_rack=racks.trays,
        )
        builder = FabricBuilder(design.name, description=design.full_description, assumptions=design.assumptions)
        build_rails(
            builder,
            hosts,
            design.network,
            context,
            names=_tray_names(racks, last),
            domain_names="rack{:03d}/nvs{:02d}",
        )
        return builder.build()


def _tray_names(racks: RackSpec, last: int) -> list[NameTemplate]:
    """Return templates that name every tray: the full racks, then the last one if it is not full."""
    template, full = "rack{:03d}-tray{:02d}", racks.count if last == racks.trays else racks.count - 1
    names = [NameTemplate(template, (full, racks.trays))] if full else []
    return names + ([NameTemplate(template, (1, last), (full, 0))] if full < racks.count else [])
