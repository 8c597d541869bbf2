"""``kind: graph``: every host, switch and link is stated."""

from __future__ import annotations

from dataclasses import replace
from itertools import product

import numpy as np

from topologies.builder import MAX_CABLES, FabricBuilder, HostBlock
from topologies.fabric import Fabric, Int64s
from topologies.files.document import Document
from topologies.files.reading import nearest
from topologies.files.validated import RuleError
from topologies.kinds.graph_design import GraphDesign, GraphHosts, GraphLinks, GraphSwitches, HostType
from topologies.kinds.hosts import (
    HOST_LATENCY_US,
    HostPlan,
    add_scale_up,
    check_size,
    latency_notes,
    part_of,
    plan_hosts,
)
from topologies.kinds.registry import BuildContext
from topologies.parts import PartClass
from topologies.units import from_gbps, from_us

__all__ = ["GraphKind"]

_TIERS = {"leaf": 1, "spine": 2, "core": 3}
Key = tuple[str | int, ...]


class GraphKind:
    """Registers ``graph``."""

    name = "graph"
    summary = "every host, switch and link stated, alike ones in short"
    parameters = GraphDesign

    def build(self, design: GraphDesign, context: BuildContext) -> Fabric:
        """Return the fabric of a design; see `topologies.kinds.registry.FabricKind.build`."""
        return _GraphBuilder(design, context).build()


class _GraphBuilder:
    def __init__(self, design: GraphDesign, context: BuildContext) -> None:
        self.design = design
        self.parts = context.parts
        self.document: Document = context.document
        self.builder = FabricBuilder(design.name, description=design.full_description, assumptions=design.assumptions)
        self.ids: dict[str, int] = {}
        self.kinds: dict[str, str] = {}  # accelerator, nic, switch or scale-up switch, by name
        self.defined: dict[str, Key] = {}
        self.bare_nics: dict[str, Key] = {}
        self.pods: dict[str, int] = {}

    def build(self) -> Fabric:
        for name, given in self.design.host_types.items():
            self._add_parts(given, ("host_types", name))
        stated = {name: given for name, given in self.design.host_types.items() if given.inside == "stated"}
        types = {
            name: plan_hosts(given, 1, self.parts, key=("host_types", name))
            for name, given in self.design.host_types.items()
            if name not in stated
        }
        notes = [note for plan in types.values() for note in latency_notes(plan, self.design.link_latency_us)]
        self.builder.assumptions += dict.fromkeys(notes)
        for i, switches in enumerate(self.design.switches):
            self._add_switches(switches, ("switches", i))
        for i, hosts in enumerate(self.design.hosts):
            key: Key = ("hosts", i)
            plan = types.get(hosts.type)
            if hosts.type in stated:
                self._add_stated(hosts, stated[hosts.type], key)
                continue
            if plan is None:
                raise _unknown_error(hosts.type, [*types, *stated], what="host type", key=(*key, "type"))
            self._add_hosts(hosts, plan, self.design.host_types[hosts.type], key)
        for i, links in enumerate(self.design.links):
            self._add_links(links, ("links", i))
        for nic, key in self.bare_nics.items():
            raise RuleError(
                what="a host has no leaf",
                found=f"NIC {nic} without a cable",
                allowed="every NIC on a switch",
                fix="add leaf: to the hosts, or a link that names the NIC",
                key=key,
            )
        return self.builder.build()

    # ---- nodes -------------------------------------------------------------------------------------------------

    def _define(self, name: str, key: Key) -> None:
        first = self.defined.setdefault(name, key)
        if first is not key:
            raise RuleError(
                what="two devices of one name",
                found=f"{name}, also on line {self.document.line(first)}",
                allowed="unique names",
                fix="rename one of them",
                key=(*key, "names"),
            )

    def _add_switches(self, switches: GraphSwitches, key: Key) -> None:
        for name in switches.names:
            self._define(name, key)
        scale_up = switches.tier == "scale-up"
        part = None
        if switches.part:
            part = part_of(self.parts, switches.part, "scale-up switch" if scale_up else "switch", (*key, "part"))
        tier = switches.tier if isinstance(switches.tier, int) else _TIERS.get(switches.tier or "")
        pod = None if switches.pod is None else self.pods.setdefault(switches.pod, len(self.pods))
        ids = self.builder.add_switches(switches.names, tier=tier, pods=pod, part=part, scale_up=scale_up)
        self._know(switches.names, ids, "scale-up switch" if scale_up else "switch")

    def _add_parts(self, given: HostType, key: Key) -> None:
        """Add the parts that a type with a stated inside names before all others."""
        if given.inside == "stated":
            ids: tuple[tuple[PartClass, str | None], ...] = (("accelerator", given.accelerator), ("nic", given.nic))
            self.builder.add_parts(
                part_of(self.parts, part_id, part_class, (*key, part_class)) for part_class, part_id in ids if part_id
            )

    def _add_stated(self, hosts: GraphHosts, given: HostType, key: Key) -> None:
        """Add hosts without any link inside them."""
        for name in hosts.names:
            self._define(name, key)
        count, accelerators, nics = len(hosts.names), given.accelerators or 0, given.nics or 0
        check_size(count, accelerators, nics, key)
        accelerator_names = given.accelerator_names or [f"gpu{i}" for i in range(accelerators)]
        nic_names = given.nic_names or [f"nic{i}" for i in range(nics)]
        block = self.builder.add_hosts(
            hosts.names,
            accelerators=accelerators,
            part=self.parts[given.accelerator] if given.accelerator else None,
            nics=nics,
            nic_part=self.parts[given.nic] if given.nic else None,
            nic_rails=given.nic_rails,
            racks=None if hosts.rack is None else self.builder.rack(hosts.rack),
            accelerator_labels=accelerator_names,
            nic_labels=nic_names,
            host_links=False,
        )
        self._know_host(hosts, block, accelerator_names, nic_names, nics, key)

    def _know_host(
        self,
        hosts: GraphHosts,
        block: HostBlock,
        accelerator_names: list[str],
        nic_names: list[str],
        nics: int,
        key: Key,
        *,
        rate_bytes_per_s: float = 0.0,
        ports: int = 1,
    ) -> None:
        """Take up the names of accelerators and NICs, and cable the NICs to the leaves if the hosts name any."""
        names = [f"{name}/{label}" for name in hosts.names for label in nic_names]
        self._know(
            [f"{n}/{label}" for n in hosts.names for label in accelerator_names], block.accelerator, "accelerator"
        )
        self._know(names, block.nic, "nic")
        if hosts.leaf is None:
            self.bare_nics.update(dict.fromkeys(names, key))
        elif not rate_bytes_per_s:
            raise RuleError(
                what="leaf makes cables, where all links are stated",
                fix="take leaf out and state the links",
                key=(*key, "leaf"),
            )
        elif nics:
            leaves = np.array([self._leaf(name, (*key, "leaf")) for name in hosts.leaf])
            cable = np.arange(nics * ports)
            self.builder.add_cables(
                block.nic[:, cable // ports],
                leaves[cable % len(leaves)],
                rate_bytes_per_s=rate_bytes_per_s,
                latency_s=from_us(self.design.link_latency_us),
            )

    def _add_hosts(self, hosts: GraphHosts, plan: HostPlan, given: HostType, key: Key) -> None:
        for name in hosts.names:
            self._define(name, key)
        plan = replace(plan, count=len(hosts.names))
        check_size(plan.count, plan.accelerators, plan.nics * plan.nic_ports, key)
        latency_us = HOST_LATENCY_US["Ethernet"] if plan.host_link_latency_us is None else plan.host_link_latency_us
        accelerator_names = given.accelerator_names or [f"gpu{i}" for i in range(plan.accelerators)]
        nic_names = given.nic_names or [f"nic{i}" for i in range(plan.nics)]
        block = self.builder.add_hosts(
            hosts.names,
            accelerators=plan.accelerators,
            part=plan.accelerator,
            nics=plan.nics,
            nic_part=plan.nic,
            nic_rails=given.nic_rails,
            host_link_bytes_per_s=plan.host_link_bytes_per_s,
            host_link_latency_s=from_us(latency_us),
            racks=None if hosts.rack is None else self.builder.rack(hosts.rack),
            accelerator_labels=accelerator_names,
            nic_labels=nic_names,
        )
        nvs = [f"{name}/nvs{i}" for name in hosts.names for i in range(plan.scale_up.switches)]
        add_scale_up(self.builder, plan.scale_up, block.accelerator, np.arange(plan.count), [nvs])
        self._know_host(
            hosts,
            block,
            accelerator_names,
            nic_names,
            plan.nics,
            key,
            rate_bytes_per_s=plan.nic_cable_bytes_per_s or 1.0,
            ports=plan.nic_ports,
        )

    def _know(self, names: list[str], ids: Int64s, kind: str) -> None:
        self.ids.update(zip(names, ids.ravel().tolist(), strict=True))
        self.kinds.update(dict.fromkeys(names, kind))

    def _leaf(self, name: str, key: Key) -> int:
        if self.kinds.get(name) != "switch":
            switches = [other for other, kind in self.kinds.items() if kind == "switch"]
            raise _unknown_error(name, switches, what="switch", key=key)
        return self.ids[name]

    # ---- links -------------------------------------------------------------------------------------------------

    def _add_links(self, links: GraphLinks, key: Key) -> None:
        for side, names in (("a", links.a), ("b", links.b)):
            for name in names:
                if name not in self.ids:
                    raise _unknown_error(name, list(self.ids), what="node", key=(*key, side))
                self.bare_nics.pop(name, None)
        if links.pairing == "each" and len(links.a) != len(links.b):
            raise RuleError(
                what="the sides do not pair",
                found=f"{len(links.a)} names in a, {len(links.b)} in b",
                allowed="as many in a as in b",
                fix="use pairing: all, or name as many",
                key=(*key, "pairing"),
            )
        num_pairs = len(links.a) if links.pairing == "each" else len(links.a) * len(links.b)
        if num_pairs * links.count > MAX_CABLES:
            raise RuleError(
                what="too many links",
                found=f"{num_pairs} pairs with {links.count} cables each",
                allowed=f"at most {MAX_CABLES}",
                key=key,
            )
        for side, ports in (("a_ports", links.a_ports), ("b_ports", links.b_ports)):
            if ports is not None and len(ports) != num_pairs * links.count:
                raise RuleError(
                    what="the ports are not as many as the cables",
                    found=f"{len(ports)} ports, {num_pairs * links.count} cables",
                    key=(*key, side),
                )
        pairs = list(zip(links.a, links.b, strict=True) if links.pairing == "each" else product(links.a, links.b))
        self._check_pairs(pairs, links, key)
        latency_us = self.design.link_latency_us if links.latency_us is None else links.latency_us
        ends = np.array([[self.ids[a], self.ids[b]] for a, b in pairs], np.int64).repeat(links.count, axis=0)
        self.builder.add_cables(
            ends[:, 0],
            ends[:, 1],
            rate_bytes_per_s=from_gbps(links.rate_gbps),
            reverse_bytes_per_s=None if links.reverse_gbps is None else from_gbps(links.reverse_gbps),
            latency_s=from_us(latency_us),
        )

    def _check_pairs(self, pairs: list[tuple[str, str]], links: GraphLinks, key: Key) -> None:
        for a, b in pairs:
            if a == b:
                raise RuleError(what="a link joins a node to itself", found=a, fix="leave the pair out", key=key)
            kind = _KIND_OF_ENDS.get(frozenset((self.kinds[a], self.kinds[b])))
            if kind is None or links.kind not in (None, kind):
                raise RuleError(
                    what="these nodes cannot be linked like this",
                    found=f"{self.kinds[a]} {a} and {self.kinds[b]} {b}"
                    + (f", kind {links.kind}" if links.kind else ""),
                    allowed=kind
                    or "accelerator–accelerator, accelerator–scale-up switch, accelerator–nic, nic–switch, "
                    "switch–switch, scale-up switch–scale-up switch",
                    key=key,
                )


_KIND_OF_ENDS = {
    frozenset({"accelerator"}): "scale-up",
    frozenset({"accelerator", "scale-up switch"}): "scale-up",
    frozenset({"scale-up switch"}): "scale-up",
    frozenset({"accelerator", "nic"}): "host",
    frozenset({"nic", "switch"}): "scale-out",
    frozenset({"switch"}): "scale-out",
}


def _unknown_error(name: str, known: list[str], *, what: str, key: Key) -> RuleError:
    match = nearest(name, known) if len(known) <= 100_000 else ""
    return RuleError(
        what=f"no such {what}",
        found=name,
        allowed=f"{', '.join(known[:10])}{f' and {len(known) - 10} more' if len(known) > 10 else ''}",
        fix=f"did you mean {match}?" if match else "define it",
        key=key,
    )
