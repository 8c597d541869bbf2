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
from topologies.units import from_us

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
    spine
        The spines of one pod of one plane; None with one tier.
    core
        The cores of one plane; None below three tiers.
    up_bytes_per_s, core_bytes_per_s
        Rate of a leaf-spine and of a spine-core cable.
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
    spine: SpinePlan | None
    core: CorePlan | None
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
    multiple_of: int = 1,
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
    multiple_of
        Hosts a leaf group are a multiple of this where one fits.

    Raises
    ------
    RuleError
        If ports do not suffice somewhere.
    """
    key = ("network",)
    leaf_part = part_of(parts, spec.leaf, "switch", (*key, "leaf"))
    spine_part = part_of(parts, spec.spine, "switch", (*key, "spine")) if spec.spine else leaf_part
    core_part = part_of(parts, spec.core, "switch", (*key, "core")) if spec.core else spine_part
    leaf_ports, spine_ports, core_ports = map(SwitchPorts.of, (leaf_part, spine_part, core_part))
    up_rate = min(leaf_ports.port_bytes_per_s, spine_ports.port_bytes_per_s)
    core_rate = min(spine_ports.port_bytes_per_s, core_ports.port_bytes_per_s)
    leaf = plan_leaf(
        leaf_ports,
        cables_a_host=cables_a_leaf,
        nic_cable_bytes_per_s=hosts.nic_cable_bytes_per_s,
        up_bytes_per_s=up_rate,
        has_spines=spec.tiers > 1,
        oversubscription=spec.oversubscription,
        hosts=spec.hosts_a_leaf,
        uplinks=spec.uplinks,
        multiple_of=multiple_of,
    )
    groups = -(-hosts.count // leaf.hosts)
    leaves_a_plane = leaves_a_group // planes
    notes = []
    if spec.tiers > 1 and spec.uplinks is None and leaf.ratio != _exact(spec.oversubscription):
        notes.append(
            f"Leaves are oversubscribed {float(leaf.ratio):.4g}:1, not {spec.oversubscription:g}:1 "
            f"({leaf.down} cables down, {leaf.up} up)."
        )
    spine, core, groups_a_pod, pods = None, None, groups, 1
    if spec.tiers == 2:
        spine = plan_spines(
            spine_ports,
            leaves=groups * leaves_a_plane,
            leaf_up=leaf.up,
            cable_bytes_per_s=up_rate,
            down_ports=None,
            spines=spec.spines,
        )
    elif spec.tiers == 3:
        down_ports, wanted_up = _spine_split(spec, spine_ports, up_rate, core_rate)
        capacity = down_ports * spine_ports.cables_a_port(up_rate, (*key, "spine"))
        groups_a_pod = spec.leaf_groups_a_pod or min(groups, max(1, capacity // leaves_a_plane))
        pods = -(-groups // groups_a_pod)
        spine = plan_spines(
            spine_ports,
            leaves=groups_a_pod * leaves_a_plane,
            leaf_up=leaf.up,
            cable_bytes_per_s=up_rate,
            down_ports=down_ports,
            spines=spec.spines,
        )
        spine_up = spec.spine_uplinks or wanted_up
        if spec.spine_uplinks is None and spine.down < capacity:
            exact = spine.down * _exact(up_rate) / (_exact(spec.spine_oversubscription) * _exact(core_rate))
            spine_up = -(-exact.numerator // exact.denominator)
            if exact.denominator != 1:
                notes.append(f"Spines have {spine.down} cables down and {spine_up} up.")
        spine = SpinePlan(spine.spines, spine.down, spine_up)
        core = plan_cores(
            core_ports, pods=pods, spines=spine.spines, spine_up=spine_up, cable_bytes_per_s=core_rate, cores=spec.cores
        )
    elif leaves_a_group > 1 and hosts.scale_up.form == "none":
        raise RuleError(
            what="nothing joins the leaves",
            found="tiers: 1 and no scale-up links between the rails",
            fix="use tiers: 2",
            key=(*key, "tiers"),
        )
    latency_us = spec.link_latency_us
    if latency_us is None:
        latency_us = LINK_LATENCY_US.get(str(leaf_part.values.get("fabric")), LINK_LATENCY_US["Ethernet"])
    return ClosNetwork(
        leaf_part=leaf_part,
        spine_part=spine_part,
        core_part=core_part,
        leaf=leaf,
        groups=groups,
        leaves_a_group=leaves_a_group,
        planes=planes,
        groups_a_pod=groups_a_pod,
        pods=pods,
        spine=spine,
        core=core,
        up_bytes_per_s=up_rate,
        core_bytes_per_s=core_rate,
        link_latency_s=from_us(latency_us),
        notes=tuple(notes),
    )


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
