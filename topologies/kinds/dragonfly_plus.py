"""``kind: dragonfly-plus``: groups that are leaf-spine networks, with links between the spines of every two groups.

Shpiner et al., "Dragonfly+: Low Cost Topology for Scaling Datacenters" (HiPINEB 2017).
"""

from __future__ import annotations

from typing import Annotated, Literal

import numpy as np
from pydantic import Field

from topologies.builder import FabricBuilder
from topologies.fabric import Fabric, Int64s
from topologies.files.validated import RuleError, StrictModel
from topologies.kinds.clos_plan import SwitchPorts
from topologies.kinds.design import Count, DesignFile, HostSpec, NotNegative
from topologies.kinds.hosts import LINK_LATENCY_US, HostPlan, add_hosts, latency_notes, part_of, plan_hosts
from topologies.kinds.rail_optimized import host_names
from topologies.kinds.registry import BuildContext
from topologies.names import NameTemplate
from topologies.parts import Part
from topologies.units import from_us

__all__ = ["DragonflyPlusDesign", "DragonflyPlusKind", "DragonflyPlusNetworkSpec", "global_pairs"]


class DragonflyPlusNetworkSpec(StrictModel):
    """The switches of a Dragonfly+."""

    leaf: Annotated[str, Field(description="Part id of the leaf switches.")]
    spine: Annotated[str | None, Field(description="Part id of the spine switches; else as the leaves.")] = None
    leaves_a_group: Count
    spines_a_group: Count
    hosts_a_leaf: Annotated[Count, Field(description="Hosts on one leaf, with all their NICs.")]
    links_a_pair: Annotated[Count, Field(description="Cables between a leaf and a spine of its group.")] = 1
    global_links_a_spine: Annotated[Count, Field(description="Cables from each spine to other groups.")]
    global_latency_us: Annotated[
        NotNegative | None, Field(description="Of each link between groups; else as the others.")
    ] = None
    link_latency_us: Annotated[
        NotNegative | None, Field(description="Of each link with its switch, one way; else 0.45 or 1.")
    ] = None


class DragonflyPlusDesign(DesignFile):
    """A Dragonfly+."""

    kind: Literal["dragonfly-plus"]
    hosts: HostSpec
    network: DragonflyPlusNetworkSpec


class DragonflyPlusKind:
    """Registers ``dragonfly-plus``."""

    name = "dragonfly-plus"
    summary = "leaf-spine groups with links between the spines of every two groups"
    parameters = DragonflyPlusDesign

    def build(self, design: DragonflyPlusDesign, context: BuildContext) -> Fabric:
        """Return the fabric of a design; see `topologies.kinds.registry.FabricKind.build`."""
        spec = design.network
        hosts = plan_hosts(design.hosts, design.hosts.count, context.parts, a_rack=design.hosts.a_rack)
        leaf_part = part_of(context.parts, spec.leaf, "switch", ("network", "leaf"))
        spine_part = part_of(context.parts, spec.spine, "switch", ("network", "spine")) if spec.spine else leaf_part
        rate = min(part.number("port_bytes_per_s") for part in (leaf_part, spine_part))
        _check_ports(spec, hosts, leaf_part, spine_part, rate)
        groups = -(-hosts.count // (spec.hosts_a_leaf * spec.leaves_a_group))
        pairs, free = global_pairs(groups, spec.spines_a_group, spec.global_links_a_spine)

        builder = FabricBuilder(design.name, description=design.full_description, assumptions=design.assumptions)
        builder.assumptions += latency_notes(hosts, spec.link_latency_us)
        if free and groups > 1:
            builder.assumptions.append(
                f"{free} of the {spec.spines_a_group * spec.global_links_a_spine} global cables of a group are left "
                "out, so that every two groups have the same number."
            )
        fabric = str(leaf_part.values.get("fabric", "Ethernet"))
        latency_us = spec.link_latency_us
        if latency_us is None:
            latency_us = LINK_LATENCY_US.get(fabric, LINK_LATENCY_US["Ethernet"])
        global_us = latency_us if spec.global_latency_us is None else spec.global_latency_us
        latency_s = from_us(latency_us)
        block = add_hosts(builder, hosts, names=[host_names(design.hosts)], fabric=fabric, rails=hosts.nics)
        leaves, spines = (
            builder.add_switches(
                NameTemplate(template, (groups, each)), tier=tier, pods=np.repeat(np.arange(groups), each), part=part
            ).reshape(groups, each)
            for template, each, tier, part in (
                ("group{:03d}/leaf{:03d}", spec.leaves_a_group, 1, leaf_part),
                ("group{:03d}/spine{:03d}", spec.spines_a_group, 2, spine_part),
            )
        )
        mine = leaves.ravel()[block.host // spec.hosts_a_leaf][:, None]
        for _ in range(hosts.nic_ports):
            builder.add_cables(block.nic, mine, rate_bytes_per_s=hosts.nic_cable_bytes_per_s, latency_s=latency_s)
        for _ in range(spec.links_a_pair):
            builder.add_cables(leaves[:, :, None], spines[:, None, :], rate_bytes_per_s=rate, latency_s=latency_s)
        if groups > 1:
            builder.add_cables(
                spines[pairs[:, 0], pairs[:, 1]],
                spines[pairs[:, 2], pairs[:, 3]],
                rate_bytes_per_s=spine_part.number("port_bytes_per_s"),
                latency_s=from_us(global_us),
            )
        return builder.build()


def global_pairs(groups: int, spines: int, links_a_spine: int) -> tuple[Int64s, int]:
    """Return the cables between groups, and how many a group has left over.

    Every two groups get the same number of cables; the cables of a group go round its spines.

    Returns
    -------
    pairs
        ``(num_cables, 4)``: group and spine of one end, group and spine of the other.
    free
        Cables of a group that no peer gets.

    Raises
    ------
    RuleError
        If there are fewer cables than peers.
    """
    total = spines * links_a_spine
    if groups == 1:
        return np.empty((0, 4), np.int64), total
    each, free = divmod(total, groups - 1)
    if not each:
        raise RuleError(
            what="the groups cannot all be linked",
            found=f"{groups} groups, {spines} spines with {links_a_spine} global cables each: {total}",
            allowed=f"at least {groups - 1} global cables a group",
            fix="use more global_links_a_spine, or larger groups",
            key=("network", "global_links_a_spine"),
        )
    first, second = np.triu_indices(groups, 1)
    first, second, cable = np.repeat(first, each), np.repeat(second, each), np.tile(np.arange(each), len(first))
    # in group g, peer p comes at place p − 1 if p > g, else at place p
    return (
        np.stack(
            [first, ((second - 1) * each + cable) % spines, second, (first * each + cable) % spines], axis=1
        ).astype(np.int64),
        free,
    )


def _check_ports(
    spec: DragonflyPlusNetworkSpec, hosts: HostPlan, leaf_part: Part, spine_part: Part, rate: float
) -> None:
    if not hosts.nics:
        raise RuleError(what="hosts without NICs hang on no switch", fix="add nic and nics", key=("hosts", "nics"))
    leaf, spine = SwitchPorts.of(leaf_part), SwitchPorts.of(spine_part)
    down = spec.hosts_a_leaf * hosts.nics * hosts.nic_ports
    for ports, here, cables, key in (
        (
            leaf,
            leaf.ports_for(down, hosts.nic_cable_bytes_per_s, ("network", "leaf"))
            + leaf.ports_for(spec.spines_a_group * spec.links_a_pair, rate, ("network", "leaf")),
            f"{down} cables down and {spec.spines_a_group * spec.links_a_pair} up",
            "leaf",
        ),
        (
            spine,
            spine.ports_for(spec.leaves_a_group * spec.links_a_pair, rate, ("network", "spine"))
            + spec.global_links_a_spine,
            f"{spec.leaves_a_group * spec.links_a_pair} cables down and {spec.global_links_a_spine} to other groups",
            "spine",
        ),
    ):
        if here > ports.num_ports:
            raise RuleError(
                what=f"a {key} has too few ports",
                found=f"{cables} need {here} ports",
                allowed=f"{ports.num_ports} ports on {ports.name}",
                fix="use smaller groups, fewer links or a switch with more ports",
                key=("network", key),
            )
