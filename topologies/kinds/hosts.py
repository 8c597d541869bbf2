"""Hosts of a design: which parts they hold, and how their scale-up domains are wired."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from topologies.builder import FabricBuilder
from topologies.errors import InputError
from topologies.fabric import Int64s
from topologies.files.validated import RuleError
from topologies.kinds.design import HostBase, ScaleUpSpec
from topologies.names import NameTemplate
from topologies.parts import Part, PartClass
from topologies.parts_catalog import find_part
from topologies.units import from_gb_per_s, from_gbps, from_us, to_gbps

__all__ = [
    "HostPlan",
    "ScaleUpPlan",
    "add_hosts",
    "add_scale_up",
    "latency_notes",
    "part_of",
    "plan_hosts",
    "plan_scale_up",
]

MAX_ACCELERATORS = 4_000_000
"""Most accelerators, and most NIC cables, of one fabric."""

SCALE_UP_LATENCY_US = 3.33
"""From accelerator to accelerator over NVLink, 64 bytes, µs. Source: arXiv:2505.09343, measured on H800."""

HOST_LATENCY_US = {"InfiniBand": 0.95, "Ethernet": 0.8}
"""From accelerator to NIC, one way, µs: half of what stays of the measured 2.8 (InfiniBand) or 3.6 (RoCE) µs between
two hosts on one leaf after the two links. Source: arXiv:2505.09343, 64 bytes."""

LINK_LATENCY_US = {"InfiniBand": 0.45, "Ethernet": 1.0}
"""One scale-out link with its switch, µs: a path across the spine has two links more than one through a leaf, and was
measured 3.7 against 2.8 µs (InfiniBand), 5.6 against 3.6 µs (RoCE). Source: arXiv:2505.09343, 64 bytes."""

LATENCY_ASSUMPTION = (
    "Latencies that the file does not give are those measured on H800 hosts with ConnectX-7 (arXiv:2505.09343)."
)


@dataclass(frozen=True)
class ScaleUpPlan:
    """How a scale-up domain is wired: `form` is switch, mesh or none; the rate is that of a whole accelerator."""

    form: str
    switches: int
    switch: Part | None
    bytes_per_s: float
    latency_s: float
    is_latency_assumed: bool


@dataclass(frozen=True)
class AddedHosts:
    """Ids of hosts that were added.

    Attributes
    ----------
    host, accelerator, nic
        ``(count,)``, ``(count, accelerators)``, ``(count, nics)``.
    scale_up_switch
        ``(domains, switches)``.
    """

    host: Int64s
    accelerator: Int64s
    nic: Int64s
    scale_up_switch: Int64s


@dataclass(frozen=True)
class HostPlan:
    """Alike hosts with everything looked up."""

    count: int
    accelerator: Part
    accelerators: int
    nic: Part | None
    nics: int
    nic_ports: int
    nic_bytes_per_s: float
    host_link_bytes_per_s: float
    host_link_latency_us: float | None
    scale_up: ScaleUpPlan
    hosts_a_domain: int
    a_rack: int | None

    @property
    def nic_cable_bytes_per_s(self) -> float:
        """Rate of one cable of a NIC."""
        return self.nic_bytes_per_s / self.nic_ports


def part_of(parts: Mapping[str, Part], part_id: str, part_class: PartClass, key: tuple[str | int, ...]) -> Part:
    """Return a part by id; a fault points at `key`.

    Raises
    ------
    RuleError
        If there is no such part of that class.
    """
    try:
        return find_part(parts, part_id, part_class)
    except InputError as error:
        raise RuleError(what=error.what, found=error.found, allowed=error.allowed, fix=error.fix, key=key) from None


def plan_hosts(
    spec: HostBase,
    count: int,
    parts: Mapping[str, Part],
    *,
    key: tuple[str | int, ...] = ("hosts",),
    hosts_a_domain: int = 1,
    a_rack: int | None = None,
) -> HostPlan:
    """Return `count` hosts with their parts looked up; faults point into the file at `key`.

    Raises
    ------
    RuleError
        If a part is unknown, or nothing says what the hosts hold.
    """
    host = part_of(parts, spec.part, "host", (*key, "part")) if spec.part else None

    values = host.values if host else {}
    accelerator_id = spec.accelerator or values.get("accelerator")
    accelerators = spec.accelerators or values.get("num_accelerators")
    nic_id = spec.nic or values.get("nic")
    nics = spec.nics if spec.nics is not None else values.get("num_nics", accelerators if spec.nic else 0)
    for name, value in (("accelerator", accelerator_id), ("accelerators", accelerators)):
        if value is None:
            raise RuleError(
                what="the key is missing", found=f"neither {name} nor part", fix=f"add {name} or part", key=(*key, name)
            )
    if nics and nic_id is None:
        raise RuleError(what="the key is missing", found=f"{nics} NICs", fix="add nic", key=(*key, "nic"))
    accelerator = part_of(parts, str(accelerator_id), "accelerator", (*key, "accelerator"))
    nic = part_of(parts, str(nic_id), "nic", (*key, "nic")) if nics else None
    nic_rate = nic.number("nic_bytes_per_s") if nic else 0.0
    check_size(count, int(accelerators or 0), int(nics or 0) * spec.nic_ports, key)
    return HostPlan(
        count=count,
        accelerator=accelerator,
        accelerators=int(accelerators or 0),
        nic=nic,
        nics=int(nics or 0),
        nic_ports=spec.nic_ports,
        nic_bytes_per_s=nic_rate,
        host_link_bytes_per_s=from_gbps(spec.host_link_gbps) if spec.host_link_gbps else nic_rate,
        host_link_latency_us=spec.host_link_latency_us,
        scale_up=plan_scale_up(
            spec.scale_up, accelerator, int(accelerators or 0) * hosts_a_domain, parts, (*key, "scale_up")
        ),
        hosts_a_domain=hosts_a_domain,
        a_rack=a_rack,
    )


def check_size(hosts: int, accelerators: int, nic_cables: int, key: tuple[str | int, ...]) -> None:
    """Refuse hosts that no machine could hold in memory, before they are made.

    Raises
    ------
    RuleError
        If there are more than `MAX_ACCELERATORS`, or more NIC cables than that.
    """
    for each, what in ((accelerators, "accelerators"), (nic_cables, "NIC cables")):
        if hosts * each > MAX_ACCELERATORS:
            raise RuleError(
                what=f"the fabric has too many {what}",
                found=f"{hosts} hosts with {each} each",
                allowed=f"at most {MAX_ACCELERATORS}",
                fix="check the counts, or model a part of the site",
                key=key,
            )


def plan_scale_up(
    spec: ScaleUpSpec, accelerator: Part, domain: int, parts: Mapping[str, Part], key: tuple[str | int, ...]
) -> ScaleUpPlan:
    """Return how a domain of `domain` accelerators is wired.

    Raises
    ------
    RuleError
        If nothing says how fast scale-up is, or a scale-up switch is too slow or too small.
    """
    latency_us = SCALE_UP_LATENCY_US if spec.latency_us is None else spec.latency_us
    latency_s, assumed = from_us(latency_us), spec.latency_us is None
    if domain == 1 or spec.form == "none":
        return ScaleUpPlan("none", 0, None, 0.0, 0.0, False)
    rate = from_gb_per_s(spec.gb_per_s) if spec.gb_per_s else accelerator.number("scale_up_bytes_per_s", 0.0)
    if not rate:
        raise RuleError(
            what="the scale-up rate is not known",
            found=f"part {accelerator.id} has none",
            fix="add gb_per_s, or form: none",
            key=(*key, "gb_per_s"),
        )
    form = spec.form
    if form == "auto":
        pair = accelerator.number("scale_up_pair_bytes_per_s", rate)
        form = "mesh" if domain > 2 and abs(pair * (domain - 1) - rate) <= 0.01 * rate else "switch"
    if form == "mesh":
        return ScaleUpPlan(form, 0, None, rate, latency_s, assumed)
    switch = _scale_up_switch(spec.switch, parts, (*key, "switch")) if spec.switch else None
    if switch is not None:
        _check_scale_up_switch(switch, domain, rate / spec.switches, key)
    return ScaleUpPlan(form, spec.switches, switch, rate, latency_s, assumed)


def _scale_up_switch(part_id: str, parts: Mapping[str, Part], key: tuple[str | int, ...]) -> Part:
    """Return the part of a scale-up switch; Ethernet switches may serve as one."""
    is_ethernet = part_id in parts and parts[part_id].part_class == "switch"
    return part_of(parts, part_id, "switch" if is_ethernet else "scale-up switch", key)


def _check_scale_up_switch(switch: Part, domain: int, link_bytes_per_s: float, key: tuple[str | int, ...]) -> None:
    port = switch.number("port_bytes_per_s")
    ports_a_link = -(-link_bytes_per_s // port)
    needed, there = int(domain * ports_a_link), int(switch.number("num_ports"))
    if needed > there:
        raise RuleError(
            what="a scale-up switch has too few ports",
            found=f"{domain} accelerators with {to_gbps(link_bytes_per_s):g} Gb/s each need {needed} ports",
            allowed=f"{there} ports of {to_gbps(port):g} Gb/s on {switch.id}",
            fix="give the domain more switches, or make it smaller",
            key=(*key, "switches"),
        )


def latency_notes(plan: HostPlan, link_latency_us: float | None) -> list[str]:
    """Return the assumption to state where a file leaves latencies out; `link_latency_us` is its network's own."""
    is_host_assumed = plan.nics > 0 and plan.host_link_latency_us is None
    is_assumed = plan.scale_up.is_latency_assumed or is_host_assumed or (plan.nics > 0 and link_latency_us is None)
    return [LATENCY_ASSUMPTION] if is_assumed else []


def add_hosts(
    builder: FabricBuilder,
    plan: HostPlan,
    *,
    names: Sequence[NameTemplate],
    fabric: str,
    rails: int,
    rack_names: str = "rack{:03d}",
    domain_names: str | None = None,
) -> AddedHosts:
    """Add hosts with their racks and scale-up domains.

    Parameters
    ----------
    builder
        Where to.
    plan
        Which hosts.
    names
        Templates that together name all hosts.
    fabric
        ``InfiniBand`` or ``Ethernet``, for the latency inside the host.
    rails
        NIC ``i`` of ``m`` is on rail ``i·rails // m``.
    rack_names
        Template of rack names.
    domain_names
        Template of the names of scale-up switches, from the domain and the number in it; without one, a domain is a
        host and its switches are named after it.
    """
    host = np.arange(plan.count)
    racks = None
    if plan.a_rack:
        made = builder.add_racks(NameTemplate(rack_names, (-(-plan.count // plan.a_rack),)))
        racks = made[host // plan.a_rack]
    latency_us = plan.host_link_latency_us
    if latency_us is None:
        latency_us = HOST_LATENCY_US.get(fabric, HOST_LATENCY_US["Ethernet"])
    blocks, first = [], 0
    for template in names:
        block = builder.add_hosts(
            template,
            accelerators=plan.accelerators,
            part=plan.accelerator,
            nics=plan.nics,
            nic_part=plan.nic,
            nic_rails=[i * rails // plan.nics for i in range(plan.nics)],
            host_link_bytes_per_s=plan.host_link_bytes_per_s,
            host_link_latency_s=from_us(latency_us),
            racks=None if racks is None else racks[first : first + len(template)],
        )
        blocks.append(block)
        first += len(template)
    accelerator = np.concatenate([block.accelerator for block in blocks])
    switches = plan.scale_up.switches
    switch_names: list[NameTemplate | list[str]]
    if domain_names:
        switch_names = [NameTemplate(domain_names, (-(-plan.count // plan.hosts_a_domain), switches))]
    else:
        switch_names = [extended(template, "/nvs{}", switches) for template in names]
    added = add_scale_up(builder, plan.scale_up, accelerator, host // plan.hosts_a_domain, switch_names)
    return AddedHosts(
        host=np.concatenate([block.host for block in blocks]),
        accelerator=accelerator,
        nic=np.concatenate([block.nic for block in blocks]),
        scale_up_switch=added,
    )


def extended(names: NameTemplate, suffix: str, count: int) -> NameTemplate:
    """Return names with `count` numbered suffixes each."""
    start = names.start or (0,) * len(names.shape)
    return NameTemplate(names.template + suffix, (*names.shape, count), (*start, 0))


def add_scale_up(
    builder: FabricBuilder,
    plan: ScaleUpPlan,
    accelerator: Int64s,
    domain_of_host: Int64s,
    switch_names: Sequence[NameTemplate | list[str]],
) -> Int64s:
    """Wire the scale-up domains of hosts; return the ids of their switches, ``(domains, switches)``.

    Parameters
    ----------
    builder
        Where to.
    plan
        How.
    accelerator
        ``(count, accelerators)`` of hosts.
    domain_of_host
        ``(count,)`` domain of each host, whole domains one after the other.
    switch_names
        Templates or lists that together name the scale-up switches, a domain's after each other.
    """
    if plan.form == "none":
        return np.empty((0, 0), np.int64)
    domain = np.repeat(domain_of_host, accelerator.shape[1])
    accelerator = accelerator.ravel()
    if plan.form == "switch":
        added = [builder.add_switches(names, scale_up=True, part=plan.switch) for names in switch_names]
        switches = np.concatenate(added).reshape(-1, plan.switches)
        builder.add_cables(
            accelerator[:, None],
            switches[domain],
            rate_bytes_per_s=plan.bytes_per_s / plan.switches,
            latency_s=plan.latency_s / 2,
        )
        return switches
    sizes = np.bincount(domain)
    for size in np.unique(sizes[sizes > 1]):
        members = accelerator[sizes[domain] == size].reshape(-1, size)
        first, second = np.triu_indices(int(size), 1)
        builder.add_cables(
            members[:, first],
            members[:, second],
            rate_bytes_per_s=plan.bytes_per_s / (int(sizes.max()) - 1),
            latency_s=plan.latency_s,
        )
    return np.empty((0, 0), np.int64)
