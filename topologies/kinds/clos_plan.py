"""How many switches and cables a folded Clos needs: pure arithmetic, exact, with the figures when it does not fit.

The rules are those of the published reference designs (NVIDIA DGX SuperPOD, H100 to B300):

- a leaf is cabled for its full number of hosts and all its uplinks, whether or not all hosts stand there yet;
- of the spine counts that offer enough ports, the smallest is taken that divides the uplinks of a leaf, so that every
  leaf-spine pair has a bundle of the same size; cores likewise. Only where that takes more than half as many spines
  again as the ports need, the fewest are taken, and bundles differ by one cable;
- a pod of a three-tier network holds as many leaf groups as its spines have ports down.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from math import ceil
from typing import Literal

from topologies.files.validated import RuleError
from topologies.parts import Part
from topologies.units import to_gbps

__all__ = ["CorePlan", "LeafPlan", "SpinePlan", "SwitchPorts", "plan_cores", "plan_leaf", "plan_spines"]


MAX_PORTS = 65_536
"""More ports than any switch has; a guard against slips."""

_MOST_SPINES_FOR_EVEN_BUNDLES = 1.5
"""The published designs take up to 1.33 times the spines that the ports need (16 for 12, DGX H100, three units)."""


@dataclass(frozen=True)
class SwitchPorts:
    """The ports of a switch.

    Attributes
    ----------
    name
        Part id.
    num_ports
        Ports at full rate.
    port_bytes_per_s
        Rate of one port, one direction. A port can be split among cables of a rate that divides it.
    """

    name: str
    num_ports: int
    port_bytes_per_s: float

    @classmethod
    def of(cls, part: Part) -> SwitchPorts:
        """Return the ports of a switch part.

        Raises
        ------
        RuleError
            If the part does not say, or says more than any switch has.
        """
        num, rate = int(part.number("num_ports", 0)), part.number("port_bytes_per_s", 0.0)
        if not (0 < num <= MAX_PORTS and rate > 0):
            raise RuleError(
                what=f"the ports of {part.id} are not known",
                found=f"num_ports {num}, port_gbps {to_gbps(rate):g}",
                allowed=f"1 to {MAX_PORTS} ports and a rate",
                fix="state them in a parts file",
                key=("network",),
            )
        return cls(part.id, num, rate)

    def cables_a_port(self, cable_bytes_per_s: float, key: tuple[str, ...]) -> int:
        """Return how many cables of a rate share one port.

        Raises
        ------
        RuleError
            If a cable is faster than a port.
        """
        ratio = Fraction(self.port_bytes_per_s) / Fraction(cable_bytes_per_s)
        if ratio < 1:
            raise RuleError(
                what=f"a cable is faster than a port of {self.name}",
                found=f"{to_gbps(cable_bytes_per_s):g} Gb/s a cable",
                allowed=f"at most {to_gbps(self.port_bytes_per_s):g} Gb/s",
                fix="choose a faster switch, or give the NIC more ports with nic_ports",
                key=key,
            )
        return int(ratio) if ratio.denominator == 1 else 1

    def ports_for(self, num_cables: int, cable_bytes_per_s: float, key: tuple[str, ...]) -> int:
        """Return the ports that cables of a rate take."""
        return -(-num_cables // self.cables_a_port(cable_bytes_per_s, key))


@dataclass(frozen=True)
class LeafPlan:
    """One leaf: cables for hosts, cables up, and the oversubscription that comes of them."""

    hosts: int
    down: int
    up: int
    ratio: Fraction


@dataclass(frozen=True)
class SpinePlan:
    """The spines of one pod (of the whole network with two tiers), with the most cables down and up that one has."""

    spines: int
    down: int
    up: int


@dataclass(frozen=True)
class CorePlan:
    """The cores: `groups` groups of `cores_a_group`; spine number ``s`` of a pod is joined to group ``s % groups``."""

    groups: int
    cores_a_group: int


def plan_leaf(
    leaf: SwitchPorts,
    *,
    cables_a_host: int,
    nic_cable_bytes_per_s: float,
    up_bytes_per_s: float,
    has_spines: bool,
    oversubscription: float,
    hosts: int | None,
    uplinks: int | None,
    most_hosts: int | None = None,
    multiple_of: int = 1,
) -> LeafPlan:
    """Return how a leaf splits its ports.

    Parameters
    ----------
    leaf
        Its ports.
    cables_a_host, nic_cable_bytes_per_s
        Cables of one host on one leaf, and their rate.
    up_bytes_per_s
        Rate of a cable up.
    has_spines
        False for a network of leaves only.
    oversubscription
        Wanted rate down over rate up.
    hosts, uplinks
        Given numbers, or None: the most hosts for which the wanted oversubscription comes out exactly.
    most_hosts
        For a network of leaves only: no more hosts than there are.
    multiple_of
        Hosts a leaf are a multiple of this where one fits (whole racks).

    Raises
    ------
    RuleError
        If the ports do not suffice.
    """
    wanted = Fraction(oversubscription).limit_denominator(10**6)
    down_rate, up_rate = Fraction(nic_cable_bytes_per_s), Fraction(up_bytes_per_s)

    def split(num_hosts: int) -> LeafPlan:
        down = num_hosts * cables_a_host
        if not has_spines:
            return LeafPlan(num_hosts, down, 0, Fraction(0))
        up = uplinks if uplinks is not None else ceil(down * down_rate / (wanted * up_rate))
        return LeafPlan(num_hosts, down, up, down * down_rate / (up * up_rate))

    def ports(plan: LeafPlan) -> tuple[int, int]:
        down_ports = leaf.ports_for(plan.down, nic_cable_bytes_per_s, ("network", "leaf"))
        up_ports = leaf.ports_for(plan.up, up_bytes_per_s, ("network", "leaf")) if plan.up else 0
        return down_ports, up_ports

    if hosts is None:
        most = leaf.num_ports * leaf.cables_a_port(nic_cable_bytes_per_s, ("network", "leaf")) // cables_a_host
        fitting = [plan for plan in map(split, range(max(most, 1), 0, -1)) if sum(ports(plan)) <= leaf.num_ports]
        whole = [plan for plan in fitting if plan.hosts % multiple_of == 0] or fitting
        exact = [plan for plan in whole if uplinks is not None or not has_spines or plan.ratio == wanted]
        if exact or whole:
            return (exact or whole)[0]
    plan = split(hosts or 1)
    down_ports, up_ports = ports(plan)
    if down_ports + up_ports > leaf.num_ports:
        raise RuleError(
            what="a leaf has too few ports",
            found=f"{down_ports} ports for {plan.down} cables down and {up_ports} for {plan.up} up, "
            f"{down_ports + up_ports} in all",
            allowed=f"{leaf.num_ports} ports on {leaf.name}",
            fix="put fewer hosts on a leaf, or choose another switch or oversubscription",
            key=("network", "leaf" if hosts is None else "hosts_a_leaf"),
        )
    return plan


def plan_spines(
    spine: SwitchPorts,
    *,
    leaves: int,
    leaf_up: int,
    cable_bytes_per_s: float,
    down_ports: int | None,
    spines: int | None,
    bundles: Literal["auto", "whole", "fewest-spines"] = "auto",
) -> SpinePlan:
    """Return how many spines join some leaves.

    Parameters
    ----------
    spine
        The ports of a spine.
    leaves, leaf_up, cable_bytes_per_s
        How many leaves, the cables up from each, and their rate.
    down_ports
        Ports of a spine for leaves; None for all.
    spines
        A given number, or None.
    bundles
        Whether every leaf-spine pair has the same number of cables, at the price of more spines; ``auto`` as said at
        the top of this module.

    Raises
    ------
    RuleError
        If the ports do not suffice.
    """
    ports = spine.num_ports if down_ports is None else down_ports
    capacity = ports * spine.cables_a_port(cable_bytes_per_s, ("network", "spine"))
    cables = leaves * leaf_up
    least = max(-(-cables // capacity), 1)
    if spines is None:
        if least > leaf_up:
            raise RuleError(
                what="the spines have too few ports",
                found=f"{leaves} leaves with {leaf_up} cables up each need spines for {leaves} leaves each",
                allowed=f"{capacity} cables down from {spine.name}",
                fix="use tiers: 3, planes: by-rail, or a switch with more ports",
                key=("network", "spine"),
            )
        even = next(n for n in range(least, leaf_up + 1) if leaf_up % n == 0)
        is_whole = bundles == "whole" or (bundles == "auto" and even <= _MOST_SPINES_FOR_EVEN_BUNDLES * least)
        chosen = even if is_whole else least
        return SpinePlan(chosen, -(-cables // chosen), 0)
    if spines > leaf_up or spines < least:
        raise RuleError(
            what="the number of spines does not fit",
            found=f"{spines} spines for {leaves} leaves with {leaf_up} cables up each",
            allowed=f"{least} to {leaf_up}: {cables} cables, {capacity} a spine, one at least from leaf to spine",
            fix="change spines, uplinks or the switch",
            key=("network", "spines"),
        )
    return SpinePlan(spines, -(-cables // spines), 0)


def plan_cores(
    core: SwitchPorts, *, pods: int, spines: int, spine_up: int, cable_bytes_per_s: float, cores: int | None
) -> CorePlan:
    """Return how many cores join the spines of all pods, and in how many groups.

    Spines of one number in their pod share a group of cores; with every group as large as the cables allow, the fewest
    cores suffice, and of those layouts the one with the fewest groups spreads best.

    Raises
    ------
    RuleError
        If the ports do not suffice.
    """
    capacity = core.num_ports * core.cables_a_port(cable_bytes_per_s, ("network", "core"))
    layouts = []
    for groups in (n for n in range(1, spines + 1) if spines % n == 0):
        least = -(-(spines // groups * pods * spine_up) // capacity)
        size = next((n for n in range(max(least, 1), spine_up + 1) if spine_up % n == 0), None)
        if size is not None and (cores is None or cores == groups * size):
            layouts.append(CorePlan(groups, size))
    if cores is not None and not layouts:
        layouts = [
            CorePlan(groups, cores // groups)
            for groups in range(1, spines + 1)
            if spines % groups == 0
            and cores % groups == 0
            and cores // groups <= spine_up
            and spines // groups * pods * spine_up <= cores // groups * capacity
        ]
    if not layouts:
        raise RuleError(
            what="the cores have too few ports",
            found=f"{pods} pods of {spines} spines with {spine_up} cables up each"
            + (f" on {cores} cores" if cores else ""),
            allowed=f"{capacity} cables on {core.name}, one at least to each of the {pods} pods",
            fix="use larger pods, fewer uplinks or a switch with more ports",
            key=("network", "cores" if cores else "core"),
        )
    return min(layouts, key=lambda plan: (plan.groups * plan.cores_a_group, plan.groups))
