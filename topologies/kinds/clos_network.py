"""The counts of a whole folded Clos network, from what a file asks for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction

from topologies.files.validated import RuleError
from topologies.kinds.clos_plan import CorePlan, LeafPlan, SpinePlan, SwitchPorts, plan_cores, plan_leaf, plan_spines
from topologies.kinds.design import NetworkSpec
from topologies.kinds.hosts import LINK_LATENCY_US, HostPlan, part_of
from topologies.parts import Part
from topologies.units import from_gbps, from_us, to_gbps

__all__ = ["ClosNetwork", "plan_clos"]


@dataclass(frozen=True)
class ClosNetwork:
    """A Clos network with its counts worked out.

    Attributes
    ----------
    leaf_part, spine_part, core_part
        What the switches are.
    leaf
        How one leaf splits its ports.
    groups, leaves_a_group
        Leaf groups, and leaves in each.
    planes
        Separate spine layers; the leaves of a group are dealt to them in turn.
    groups_a_pod, pods
        Leaf groups a pod, and pods; one pod with two tiers.
    are_pods_rails
        Whether the leaves of a pod are those of one rail in all groups, not all of some groups.
    spine
        The spines of one pod of one plane; None with one tier.
    core
        The cores of one plane; None below three tiers.
    leaf_links
        Cables between every two leaves, where there are no spines.
    up_bytes_per_s, core_bytes_per_s
        Rate of a leaf-spine (or leaf-leaf) and of a spine-core cable.
    link_latency_s
        Of every scale-out link with its switch.
    notes
        What did not come out exactly as asked.
    """

    leaf_part: Part
    spine_part: Part
    core_part: Part
    leaf: LeafPlan
    groups: int
    leaves_a_group: int
    planes: int
    groups_a_pod: int
    pods: int
    are_pods_rails: bool
    spine: SpinePlan | None
    core: CorePlan | None
    leaf_links: int
    up_bytes_per_s: float
    core_bytes_per_s: float
    link_latency_s: float
    notes: tuple[str, ...]

    @property
    def fabric(self) -> str:
        """InfiniBand or Ethernet, by the leaf."""
        return str(self.leaf_part.values.get("fabric", "Ethernet"))

    @property
    def num_leaves(self) -> int:
        """Leaves in all."""
        return self.groups * self.leaves_a_group


def plan_clos(
    spec: NetworkSpec,
    hosts: HostPlan,
    parts: Mapping[str, Part],
    *,
    cables_a_leaf: int,
    leaves_a_group: int,
    planes: int,
    units: int | None = None,
    multiple_of: int = 1,
    least_tiers: int = 2,
) -> ClosNetwork:
    """Return the counts of a Clos network.

    Parameters
    ----------
    spec, hosts, parts
        What was asked for.
    cables_a_leaf
        Cables of one host on each leaf of its group.
    leaves_a_group
        Leaves that the hosts of a group share.
    planes
        Separate spine layers.
    units
        What leaf groups are filled with, if not single hosts.
    multiple_of
        Hosts a leaf group are a multiple of this where one fits.
    least_tiers
        Where the file gives no number of tiers, the fewest from this on that fit.

    Raises
    ------
    RuleError
        If ports do not suffice somewhere.
    """
    least = 3 if spec.pods == "by-rail" else least_tiers
    wanted = [spec.tiers] if spec.tiers else list(range(least, 4))
    counts = (cables_a_leaf, leaves_a_group, planes, units or hosts.count, multiple_of)
    for tiers in wanted[:-1]:
        try:
            return _Planner(spec, hosts, parts, tiers).plan(*counts)
        except RuleError as fault:
            if fault.key not in _MORE_TIERS_MAY_HELP:
                raise
    return _Planner(spec, hosts, parts, wanted[-1]).plan(*counts)


_MORE_TIERS_MAY_HELP = (("network", "spine"), ("network", "tiers"))


class _Planner:
    """Works out one number of tiers."""

    def __init__(self, spec: NetworkSpec, hosts: HostPlan, parts: Mapping[str, Part], tiers: int) -> None:
        self.spec, self.hosts, self.tiers = spec, hosts, tiers
        self.leaf_part = part_of(parts, spec.leaf, "switch", ("network", "leaf"))
        self.spine_part = part_of(parts, spec.spine, "switch", ("network", "spine")) if spec.spine else self.leaf_part
        self.core_part = part_of(parts, spec.core, "switch", ("network", "core")) if spec.core else self.spine_part
        self.leaf, self.spine, self.core = map(SwitchPorts.of, (self.leaf_part, self.spine_part, self.core_part))
        self.up_rate = _cable_rate(self.leaf, self.spine, spec.uplink_gbps, "uplink_gbps")
        self.core_rate = _cable_rate(self.spine, self.core, spec.spine_uplink_gbps, "spine_uplink_gbps")
        self.notes: list[str] = []

    def plan(self, cables_a_leaf: int, leaves_a_group: int, planes: int, units: int, multiple_of: int) -> ClosNetwork:
        spec = self.spec
        leaf = plan_leaf(
            self.leaf,
            cables_a_host=cables_a_leaf,
            nic_cable_bytes_per_s=self.hosts.nic_cable_bytes_per_s,
            up_bytes_per_s=self.up_rate,
            has_spines=self.tiers > 1,
            oversubscription=spec.oversubscription,
            hosts=spec.hosts_a_leaf,
            uplinks=spec.uplinks,
            multiple_of=multiple_of,
        )
        if self.tiers > 1 and spec.uplinks is None and leaf.ratio != _exact(spec.oversubscription):
            self.notes.append(
                f"Leaves are oversubscribed {float(leaf.ratio):.4g}:1, not {spec.oversubscription:g}:1 "
                f"({leaf.down} cables down, {leaf.up} up)."
            )
        groups = -(-units // leaf.hosts)
        groups_a_pod, pods, spine, core = groups, 1, None, None
        by_rail = spec.pods == "by-rail"
        if by_rail and (self.tiers != 3 or planes != 1 or leaves_a_group == 1 or spec.leaf_groups_a_pod):
            raise RuleError(
                what="pods cannot be rails here",
                found=f"tiers: {self.tiers}, {planes} planes, {leaves_a_group} leaves a group",
                allowed="three tiers, one plane, a leaf for each rail, and no leaf_groups_a_pod",
                fix="leave pods out, or set tiers: 3",
                key=("network", "pods"),
            )
        if spec.leaf_links and self.tiers > 1:
            raise RuleError(
                what="leaves are joined by spines or by each other",
                found=f"leaf_links and tiers: {self.tiers}",
                fix="set tiers: 1, or leave leaf_links out",
                key=("network", "leaf_links"),
            )
        if self.tiers == 1:
            self._check_one_tier(groups, leaves_a_group, leaf)
        elif self.tiers == 2:
            spine = self._spines(groups * leaves_a_group // planes, leaf, None)
        else:
            size = (leaves_a_group, groups) if by_rail else (groups, leaves_a_group // planes)
            groups_a_pod, spine, core = self._upper_tiers(*size, leaf, most=1 if by_rail else groups)
            pods = -(-size[0] // groups_a_pod)
            groups_a_pod = groups if by_rail else groups_a_pod
        latency_us = spec.link_latency_us
        if latency_us is None:
            latency_us = LINK_LATENCY_US.get(str(self.leaf_part.values.get("fabric")), LINK_LATENCY_US["Ethernet"])
        return ClosNetwork(
            leaf_part=self.leaf_part,
            spine_part=self.spine_part,
            core_part=self.core_part,
            leaf=leaf,
            groups=groups,
            leaves_a_group=leaves_a_group,
            planes=planes,
            groups_a_pod=groups_a_pod,
            pods=pods,
            are_pods_rails=by_rail,
            spine=spine,
            core=core,
            leaf_links=spec.leaf_links or 0,
            up_bytes_per_s=self.up_rate,
            core_bytes_per_s=self.core_rate,
            link_latency_s=from_us(latency_us),
            notes=tuple(self.notes),
        )

    def _check_one_tier(self, groups: int, leaves_a_group: int, leaf: LeafPlan) -> None:
        if self.spec.leaf_links:
            self._check_leaf_links(groups * leaves_a_group, leaf, self.spec.leaf_links)
            return
        fault = ""
        if groups > 1:
            fault = f"{groups} leaf groups of {leaf.hosts}, and tiers: 1"
        elif leaves_a_group > 1 and self.hosts.scale_up.form == "none":
            fault = "tiers: 1 and no scale-up links between the rails"
        if fault:
            raise RuleError(
                what="nothing joins the leaves",
                found=fault,
                allowed=f"one group of at most {leaf.hosts} on {self.leaf.name}",
                fix="use more tiers, or a switch with more ports",
                key=("network", "tiers"),
            )

    def _check_leaf_links(self, leaves: int, leaf: LeafPlan, links: int) -> None:
        key = ("network", "leaf_links")
        down = min(leaf.down, self.hosts.count * (leaf.down // leaf.hosts))
        down_ports = self.leaf.ports_for(down, self.hosts.nic_cable_bytes_per_s, key)
        if down_ports + links * (leaves - 1) > self.leaf.num_ports:
            raise RuleError(
                what="a leaf has too few ports",
                found=f"{down_ports} ports for hosts and {links * (leaves - 1)} to {leaves - 1} other leaves",
                allowed=f"{self.leaf.num_ports} ports on {self.leaf.name}",
                fix="use fewer leaf_links, fewer hosts_a_leaf, or tiers: 2",
                key=key,
            )

    def _spines(self, leaves: int, leaf: LeafPlan, down_ports: int | None) -> SpinePlan:
        spine = plan_spines(
            self.spine,
            leaves=leaves,
            leaf_up=leaf.up,
            cable_bytes_per_s=self.up_rate,
            down_ports=down_ports,
            spines=self.spec.spines,
            bundles=self.spec.bundles,
        )
        if leaf.up % spine.spines:
            self.notes.append(
                f"The {leaf.up} cables up from a leaf do not divide into {spine.spines} spines: "
                "bundles differ by one cable."
            )
        return spine

    def _upper_tiers(
        self, groups: int, leaves_a_plane: int, leaf: LeafPlan, *, most: int
    ) -> tuple[int, SpinePlan, CorePlan]:
        """Return the leaf groups (or rails, `most` at most) a pod, the spines of a pod and the cores of one plane."""
        spec = self.spec
        down_ports, up = _spine_split(spec, self.spine, self.up_rate, self.core_rate)
        capacity = down_ports * self.spine.cables_a_port(self.up_rate, ("network", "spine"))
        groups_a_pod = spec.leaf_groups_a_pod or min(most, max(1, capacity // leaves_a_plane))
        spine = self._spines(groups_a_pod * leaves_a_plane, leaf, down_ports)
        if spec.spine_uplinks is None and spine.down < capacity:
            exact = spine.down * _exact(self.up_rate) / (_exact(spec.spine_oversubscription) * _exact(self.core_rate))
            up = -(-exact.numerator // exact.denominator)
            if exact.denominator != 1:
                self.notes.append(f"Spines have {spine.down} cables down and {up} up.")
        core = plan_cores(
            self.core,
            pods=-(-groups // groups_a_pod),
            spines=spine.spines,
            spine_up=up,
            cable_bytes_per_s=self.core_rate,
            cores=spec.cores,
        )
        return groups_a_pod, SpinePlan(spine.spines, spine.down, up), core


def _cable_rate(lower: SwitchPorts, upper: SwitchPorts, given_gbps: float | None, key: str) -> float:
    """Return the rate of a cable between two switches: that of the slower port, or a given one if no port is slower."""
    most = min(lower.port_bytes_per_s, upper.port_bytes_per_s)
    if given_gbps is None:
        return most
    if from_gbps(given_gbps) > most:
        raise RuleError(
            what="a cable is faster than a port",
            found=f"{given_gbps:g} Gb/s",
            allowed=f"at most {to_gbps(most):g} Gb/s",
            fix="use a lower rate, or leave it out",
            key=("network", key),
        )
    return from_gbps(given_gbps)


def _exact(value: float) -> Fraction:
    return Fraction(value).limit_denominator(10**6)


def _spine_split(spec: NetworkSpec, spine: SwitchPorts, down_rate: float, up_rate: float) -> tuple[int, int]:
    """Return the ports of a spine for leaves, and its cables up: the most leaves that leave room for the cables up."""
    key = ("network", "spine")
    a_port = spine.cables_a_port(down_rate, key)
    for down_ports in range(spine.num_ports - 1, 0, -1):
        exact = down_ports * a_port * _exact(down_rate) / (_exact(spec.spine_oversubscription) * _exact(up_rate))
        up = spec.spine_uplinks or -(-exact.numerator // exact.denominator)
        if down_ports + spine.ports_for(up, up_rate, key) <= spine.num_ports:
            return down_ports, up
    raise RuleError(
        what="a spine has too few ports",
        found=f"{spec.spine_uplinks} cables up",
        allowed=f"{spine.num_ports} ports on {spine.name}, one of them down at least",
        fix="use fewer uplinks",
        key=("network", "spine_uplinks"),
    )
