"""``kind: tree``: switches below switches to any depth, as sites that grew have them; hosts hang anywhere."""

from __future__ import annotations

from typing import Annotated, Literal

import numpy as np
from pydantic import Field

from topologies.builder import FabricBuilder
from topologies.fabric import Fabric
from topologies.files.validated import RuleError, StrictModel
from topologies.kinds.clos_plan import SwitchPorts
from topologies.kinds.design import Count, DesignFile, HostBase, NotNegative, Positive
from topologies.kinds.graph_design import NameList
from topologies.kinds.hosts import LINK_LATENCY_US, add_hosts, latency_notes, part_of, plan_hosts
from topologies.kinds.registry import BuildContext
from topologies.names import NameTemplate
from topologies.parts import Part
from topologies.units import from_gbps, from_us, to_gbps

__all__ = ["TreeDesign", "TreeHosts", "TreeKind", "TreeSwitch"]

_Key = tuple[str | int, ...]
_MAX_DEPTH = 9
_MAX_SWITCHES = 100_000


class TreeHosts(HostBase):
    """Alike hosts on one switch, with all their NICs; called SWITCH/h000 and so on."""

    count: Annotated[Count, Field(description="Hosts on each switch.")]


class TreeSwitch(StrictModel):
    """Alike switches, and what hangs below each of them."""

    names: Annotated[NameList, Field(description="Names, with ranges as in leaf[0-3]; the switch above stands before.")]
    part: Annotated[str, Field(description="Part id.")]
    uplinks: Annotated[Count, Field(description="Cables to the switch above.")] = 1
    uplink_gbps: Annotated[
        Positive | None, Field(description="Rate of a cable up, one direction; else the slower port of the two.")
    ] = None
    hosts: list[TreeHosts] = Field(default_factory=list)
    children: Annotated[list[TreeSwitch], Field(description="Switches below.")] = Field(default_factory=list)


class TreeDesign(DesignFile):
    """A tree of switches."""

    kind: Literal["tree"]
    link_latency_us: Annotated[
        NotNegative | None, Field(description="Of each link with its switch, one way; else by the root 0.45 or 1.")
    ] = None
    root: Annotated[TreeSwitch, Field(description="The one switch at the top.")]


class TreeKind:
    """Registers ``tree``."""

    name = "tree"
    summary = "switches below switches to any depth, with hosts anywhere"
    parameters = TreeDesign

    def build(self, design: TreeDesign, context: BuildContext) -> Fabric:
        """Return the fabric of a design; see `topologies.kinds.registry.FabricKind.build`."""
        if len(design.root.names) != 1:
            raise RuleError(
                what="a tree has one root", found=f"{len(design.root.names)} names", allowed="1", key=("root", "names")
            )
        return _TreeBuilder(design, context).build()


class _TreeBuilder:
    def __init__(self, design: TreeDesign, context: BuildContext) -> None:
        self.design, self.parts = design, context.parts
        self.builder = FabricBuilder(design.name, description=design.full_description, assumptions=design.assumptions)
        root = part_of(self.parts, design.root.part, "switch", ("root", "part"))
        self.fabric = str(root.values.get("fabric", "Ethernet"))
        latency_us = design.link_latency_us
        if latency_us is None:
            latency_us = LINK_LATENCY_US.get(self.fabric, LINK_LATENCY_US["Ethernet"])
        self.latency_s = from_us(latency_us)
        self.notes: dict[str, None] = {}
        self.names: set[str] = set()

    def build(self) -> Fabric:
        root = self.design.root
        self._add(root, root.names[0], ("root",), above=None)
        self.builder.assumptions += self.notes
        return self.builder.build()

    def _add(self, spec: TreeSwitch, name: str, key: _Key, above: tuple[int, Part] | None) -> float:
        """Add a switch with everything below; return the ports that its cables up take on the switch above."""
        if len(key) > 2 * _MAX_DEPTH:
            raise RuleError(what="the tree is too deep", allowed=f"{_MAX_DEPTH} levels", key=key)
        if name in self.names:
            raise RuleError(what="two switches of one name", found=name, fix="rename one", key=(*key, "names"))
        self.names.add(name)
        if len(self.names) > _MAX_SWITCHES:
            raise RuleError(what="the tree has too many switches", allowed=f"at most {_MAX_SWITCHES}", key=key)
        part = part_of(self.parts, spec.part, "switch", (*key, "part"))
        node = self.builder.add_switch(name, tier=_height(spec), part=part)
        ports = SwitchPorts.of(part)
        used = 0
        for i, hosts in enumerate(spec.hosts):
            used += self._add_hosts(hosts, f"{name}/h" if i == 0 else f"{name}/h{i}-", node, ports, (*key, "hosts", i))
        for i, child in enumerate(spec.children):
            child_key: _Key = (*key, "children", i)
            for child_name in child.names:
                used += int(self._add(child, f"{name}/{child_name}", child_key, (node, part)))
        taken_above = 0
        if above is not None:
            up_rate = min(part.number("port_bytes_per_s"), above[1].number("port_bytes_per_s"))
            if spec.uplink_gbps:
                up_rate = from_gbps(spec.uplink_gbps)
            up_key = tuple(str(k) for k in key)
            used += ports.ports_for(spec.uplinks, up_rate, up_key)
            taken_above = SwitchPorts.of(above[1]).ports_for(spec.uplinks, up_rate, up_key)
            self.builder.add_cables(
                np.full(spec.uplinks, node), above[0], rate_bytes_per_s=up_rate, latency_s=self.latency_s
            )
        if used > ports.num_ports:
            raise RuleError(
                what="a switch has too few ports",
                found=f"{used} ports used on {name}",
                allowed=f"{ports.num_ports} ports of {to_gbps(ports.port_bytes_per_s):g} Gb/s on {ports.name}",
                fix="hang less below it, or choose a switch with more ports",
                key=(*key, "part"),
            )
        return taken_above

    def _add_hosts(self, spec: TreeHosts, prefix: str, node: int, ports: SwitchPorts, key: _Key) -> int:
        """Add hosts on a switch; return the ports they take."""
        hosts = plan_hosts(spec, spec.count, self.parts, key=key)
        if not hosts.nics:
            raise RuleError(what="hosts without NICs hang on no switch", fix="add nic and nics", key=(*key, "nics"))
        self.notes.update(dict.fromkeys(latency_notes(hosts, self.design.link_latency_us)))
        names = NameTemplate(prefix.replace("{", "{{").replace("}", "}}") + "{:03d}", (hosts.count,))
        block = add_hosts(self.builder, hosts, names=[names], fabric=self.fabric, rails=hosts.nics)
        rate = hosts.nic_cable_bytes_per_s
        for _ in range(hosts.nic_ports):
            self.builder.add_cables(block.nic, node, rate_bytes_per_s=rate, latency_s=self.latency_s)
        return ports.ports_for(block.nic.size * hosts.nic_ports, rate, tuple(str(k) for k in key))


def _height(spec: TreeSwitch) -> int:
    """Return the tier of a switch: 1 if only hosts hang below it, else one above its highest child."""
    return 1 + max((_height(child) for child in spec.children), default=0)
