"""The cluster of a design as it would be bought: hosts, NICs, switches, cables, racks, from the bill of its fabric.

A design that names a fabric is that fabric. Any other becomes one: its hosts on a rail-optimized Clos network (one leaf
switch where all NICs fit on it) of the parts that are sold, the slowest NIC that is fast enough, and is then counted by
`topologies.bill` as any fabric is.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np

from planner.weigh.study_file import Design
from planner.workloads.machine import Machine
from topologies.bill.bill import Bill as FabricBill
from topologies.bill.bill import bill_of as fabric_bill_of
from topologies.bill.layout import LayoutRules
from topologies.bill.money import Price
from topologies.errors import InfeasibleError, InputError
from topologies.fabric import Fabric
from topologies.parts import Part
from topologies.parts_catalog import load_parts
from topologies.units import from_gbps, from_kw, to_gbps

__all__ = ["Cluster", "accelerators_a_rack", "cluster_of", "host_part_of", "machine_on", "watts_an_accelerator"]

# Racks that are cooled by air hold about this much where no limit is given; an NVL72 rack is what its design says.
_AIR_RACK_KW = 40.0
# A whole host against its accelerators: DGX H100 10.2 kW for 8 × 700 W, DGX B200 14.3 kW for 8 × 1,000 W (catalogue).
_HOST_POWER_FACTOR = 1.8
_USUAL_HOST = 8
_RACK_UNITS = LayoutRules().rack_units
_FASTEST_NIC_OF_SWITCH = (("qm9700", 400.0), ("sn5600", 800.0))


@dataclass(frozen=True, slots=True)
class Cluster:
    """What a cluster is made of.

    Attributes
    ----------
    accelerators
        How many there are.
    accelerators_a_host, accelerators_a_rack, accelerators_a_leaf
        What stands in a host and a rack, and what the worst leaf switch cuts off with its hosts.
    accelerators_under_leaves
        Accelerators of the hosts that one group of leaves joins.
    hosts, leaves
        How many.
    parts
        How many of each part id: accelerators, NICs, switches.
    switches, cables, nics
        Prices; ``None`` where a part of it has none.
    unpriced
        What has no price.
    network_watts
        Switches as they usually draw, and both ends of all cables.
    host_racks, network_racks
        Racks.
    floor_m2
        Floor of the racks with their aisles.
    """

    accelerators: int
    accelerators_a_host: int
    accelerators_a_rack: int
    accelerators_a_leaf: int
    accelerators_under_leaves: int
    hosts: int
    leaves: int
    parts: tuple[tuple[str, int], ...]
    switches: Price
    cables: Price
    nics: Price | None
    unpriced: tuple[str, ...]
    network_watts: float
    host_racks: int
    network_racks: int
    floor_m2: float

    def share(self, frac: float) -> Cluster:
        """Return what a part of the cluster amounts to; racks are whole."""
        host_racks, network_racks = (math.ceil(n * frac - 1e-9) for n in (self.host_racks, self.network_racks))
        return Cluster(
            accelerators=round(self.accelerators * frac),
            accelerators_a_host=self.accelerators_a_host,
            accelerators_a_rack=self.accelerators_a_rack,
            accelerators_a_leaf=self.accelerators_a_leaf,
            accelerators_under_leaves=self.accelerators_under_leaves,
            hosts=math.ceil(self.hosts * frac - 1e-9),
            leaves=math.ceil(self.leaves * frac - 1e-9),
            parts=tuple((name, math.ceil(count * frac - 1e-9)) for name, count in self.parts),
            switches=self.switches.times(frac),
            cables=self.cables.times(frac),
            nics=self.nics.times(frac) if self.nics else None,
            unpriced=self.unpriced,
            network_watts=self.network_watts * frac,
            host_racks=host_racks,
            network_racks=network_racks,
            floor_m2=_floor_m2(host_racks + network_racks),
        )


def host_part_of(part: Part) -> Part | None:
    """Return the usual host of an accelerator, one with a price or a power before others; ``None`` if none is known."""
    hosts = [p for p in load_parts().values() if p.part_class == "host" and p.values.get("accelerator") == part.id]
    for key in ("price_usd", "watts"):
        known = [host for host in hosts if key in host.values]
        if known:
            return known[0]
    return hosts[0] if hosts else None


def watts_an_accelerator(design: Design) -> float:
    """Return the most that one accelerator draws with its share of a host."""
    stated = design.values.get("watts_an_accelerator")
    if stated:
        return float(stated)
    host = host_part_of(design.part)
    if host is not None and "watts" in host.values:
        return host.number("watts") / host.number("num_accelerators")
    return design.part.number("watts", 1000.0) * _HOST_POWER_FACTOR


def accelerators_a_rack(design: Design, rack_kw: float | None) -> int:
    """Return how many accelerators stand in a rack: as the design says, else whole hosts by height and power."""
    stated = design.values.get("accelerators_a_rack")
    if stated:
        return int(stated)
    size = accelerators_a_host(design)
    host = host_part_of(design.part)
    by_height = _RACK_UNITS // int(host.number("rack_units")) if host and "rack_units" in host.values else _RACK_UNITS
    by_power = int(from_kw(rack_kw or _AIR_RACK_KW) // (watts_an_accelerator(design) * size))
    return max(1, min(by_height, by_power)) * size


def accelerators_a_host(design: Design) -> int:
    """Return how many accelerators a host holds."""
    host = host_part_of(design.part)
    return int(host.number("num_accelerators")) if host else _USUAL_HOST


def cluster_of(design: Design, num_accelerators: int, rack_kw: float | None = None) -> Cluster:
    """Return the cluster of a design.

    Parameters
    ----------
    design, num_accelerators
        What is bought; a fabric is returned whole, whatever part of it that is.
    rack_kw
        What a rack may draw, where the design does not say how many accelerators it holds.

    Raises
    ------
    InputError
        If the network cannot be built, or the fabric has fewer accelerators.
    """
    fabric = design.fabric()
    if fabric is not None:
        whole = _cluster_of_fabric(fabric)
        if num_accelerators > whole.accelerators:
            raise InfeasibleError(
                what="the fabric has too few accelerators",
                where=design.name,
                found=f"{num_accelerators:,} with spares",
                allowed=f"{whole.accelerators:,}",
                fix="weigh a smaller size, or a larger fabric",
            )
        return whole
    gbps = float(design.values.get("nic_gbps") or to_gbps(design.part.number("scale_out_bytes_per_s", 0.0)))
    if gbps <= 0:
        raise InputError(what="no NIC rate is known", where=design.name, fix="state nic_gbps for the design")
    size = accelerators_a_host(design)
    return _designed(
        design.part.id,
        size,
        math.ceil(num_accelerators / size),
        accelerators_a_rack(design, rack_kw) // size or 1,
        gbps,
        float(design.values.get("oversubscription") or 1.0),
    )


def machine_on(design: Design, num_accelerators: int, rack_kw: float | None = None) -> Machine:
    """Return the machine of a design, with as many accelerators under a leaf as its network has.

    Raises
    ------
    ScaleplanError
        If the design cannot be built.
    """
    machine = design.machine(num_accelerators)
    if design.fabric() is not None or design.values.get("leaf_accelerators"):
        return machine
    under = cluster_of(design, num_accelerators, rack_kw).accelerators_under_leaves
    return replace(machine, leaf_accelerators=max(1, under))


def _nic_for(gbps: float) -> tuple[Part, int]:
    """Return the slowest NIC with a price that is fast enough, and how many of it an accelerator needs."""
    nics = [p for p in load_parts().values() if p.part_class == "nic" and "price_usd" in p.values]
    enough = [p for p in nics if p.number("nic_bytes_per_s") >= from_gbps(gbps) * (1 - 1e-9)]
    if enough:
        return min(enough, key=lambda p: (p.number("nic_bytes_per_s"), p.id)), 1
    fastest = max(nics, key=lambda p: p.number("nic_bytes_per_s"))
    return fastest, math.ceil(from_gbps(gbps) / fastest.number("nic_bytes_per_s") - 1e-9)


@lru_cache(maxsize=512)
def _designed(part_id: str, size: int, hosts: int, hosts_a_rack: int, gbps: float, oversubscription: float) -> Cluster:
    from topologies.files.fabric_file import fabric_of
    from topologies.files.loading import parse_document

    nic, each = _nic_for(gbps)
    rate = to_gbps(nic.number("nic_bytes_per_s"))
    switch = next((name for name, most in _FASTEST_NIC_OF_SWITCH if rate <= most), _FASTEST_NIC_OF_SWITCH[-1][0])
    ports = load_parts()[switch]
    a_port = max(1, int(ports.number("port_bytes_per_s") // nic.number("nic_bytes_per_s")))
    one_leaf = hosts * size * each <= ports.number("num_ports") * a_port
    network = f"leaf: {switch}, tiers: 1" if one_leaf else f"leaf: {switch}, oversubscription: {oversubscription:.6g}"
    text = (
        f"schema_version: 1\nkind: {'leaf-spine' if one_leaf else 'rail-optimized'}\nname: design\n"
        f"hosts: {{accelerator: {part_id}, accelerators: {size}, nic: {nic.id}, nics: {size * each}, count: {hosts}, "
        f"a_rack: {hosts_a_rack}, scale_up: {{form: none}}}}\nnetwork: {{{network}}}\n"
    )
    try:
        fabric = fabric_of(parse_document(text, "design"))
    except InputError as error:
        raise InputError(
            what=f"the network of this design cannot be built: {error.what}",
            where=f"{hosts} hosts of {size} {part_id}, NICs of {rate:g} Gb/s on {switch}",
            found=error.found,
            allowed=error.allowed,
            fix=error.fix,
        ) from error
    return _summary(fabric, fabric_bill_of(fabric))


@lru_cache(maxsize=16)
def _cluster_of_fabric(fabric: Fabric) -> Cluster:
    return _summary(fabric, fabric_bill_of(fabric))


def _summary(fabric: Fabric, bill: FabricBill) -> Cluster:
    scale_out = [line for line in bill.switches if line.tier != "scale-up"]
    hosts = max(1, fabric.num_hosts)
    a_host = math.ceil(fabric.num_accelerators / hosts)
    leaf = next((f for f in bill.failures if f.component == "leaf switch"), None)
    under = min(fabric.num_accelerators, _hosts_a_leaf(fabric) * a_host)
    priced = [line.price for line in bill.nics]
    nics = None if not priced or None in priced else sum((p for p in priced if p), Price())
    parts: dict[str, int] = {}
    for name, count in [
        *((fabric.parts[i].id, fabric.num_accelerators) for i in {int(fabric.node_part[0])} if i >= 0),
        *((line.model, line.count) for line in bill.nics),
        *((line.model, line.count) for line in scale_out),
    ]:
        parts[name] = parts.get(name, 0) + count
    switches, cables = Price(), Price()
    for line in scale_out:
        switches = switches + line.price if line.price else switches
    for cable in bill.cables:
        cables = cables + cable.price if cable.price else cables
    return Cluster(
        accelerators=fabric.num_accelerators,
        accelerators_a_host=a_host,
        accelerators_a_rack=math.ceil(fabric.num_accelerators / max(1, bill.host_racks)),
        accelerators_a_leaf=under if leaf and leaf.accelerators_cut_off else 0,
        accelerators_under_leaves=under,
        hosts=fabric.num_hosts,
        leaves=leaf.count if leaf else 0,
        parts=tuple(sorted(parts.items())),
        switches=switches,
        cables=cables,
        nics=nics,
        unpriced=tuple(bill.unpriced),
        network_watts=bill.power.network_watts,
        host_racks=bill.host_racks,
        network_racks=bill.network_racks,
        floor_m2=_floor_m2(bill.host_racks + bill.network_racks),
    )


def _hosts_a_leaf(fabric: Fabric) -> int:
    """Return the hosts that have a NIC on the leaf with most of them."""
    first, last = fabric.num_accelerators, fabric.num_accelerators + fabric.num_nics
    down = (fabric.link_tier == 1) & (fabric.link_source >= first) & (fabric.link_source < last)
    host = fabric.nic_host[fabric.link_source[down] - first].astype(np.int64)
    pairs = np.unique(fabric.link_target[down].astype(np.int64) * fabric.num_hosts + host)
    return int(np.bincount(pairs // fabric.num_hosts).max(initial=0))


def _floor_m2(racks: int) -> float:
    rules = LayoutRules()
    return racks * rules.rack_pitch_m * rules.row_pitch_m
