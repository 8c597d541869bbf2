"""``kind: mixed``: pools of different hosts, each on leaves of its own, behind one layer of spines."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

import numpy as np
from pydantic import Field, model_validator

from topologies.builder import FabricBuilder
from topologies.fabric import Fabric, Int64s
from topologies.files.validated import RuleError, StrictModel
from topologies.kinds.clos_network import ClosNetwork, plan_clos
from topologies.kinds.clos_plan import SwitchPorts
from topologies.kinds.clos_wiring import add_leaves, attach_nics, join_leaves
from topologies.kinds.design import Count, DesignFile, HostSpec, NetworkSpec, NotNegative, Ratio
from topologies.kinds.hosts import HostPlan, add_hosts, latency_notes, plan_hosts
from topologies.kinds.registry import BuildContext
from topologies.names import NameTemplate

__all__ = ["MixedDesign", "MixedKind", "PoolSpec", "SpineSpec"]


class PoolSpec(StrictModel):
    """Alike hosts on leaves of their own."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z0-9-]*$", description="Stands before all names of the pool.")]
    layout: Annotated[
        Literal["rail-optimized", "leaf-spine"],
        Field(description="rail-optimized: NIC i on leaf i of a group; leaf-spine: all NICs of a host on one leaf."),
    ] = "rail-optimized"
    hosts: HostSpec
    hosts_a_domain: Annotated[Count, Field(description="Hosts that share a scale-up domain.")] = 1
    leaf: Annotated[str, Field(description="Part id of the leaf switches.")]
    hosts_a_leaf: Annotated[Count | None, Field(description="Hosts on one leaf; else as many as fit.")] = None
    oversubscription: Annotated[Ratio, Field(description="Of the leaves: rate down over rate up, as 4 or 4:1.")] = 1.0
    uplinks: Annotated[Count | None, Field(description="Cables up from each leaf; else from the oversubscription.")] = (
        None
    )


class SpineSpec(StrictModel):
    """The spines that all pools share."""

    part: Annotated[str, Field(description="Part id of the spine switches.")]
    count: Annotated[Count | None, Field(description="How many; else the fewest that fit.")] = None
    link_latency_us: Annotated[
        NotNegative | None, Field(description="Of each link with its switch, one way; else by the leaf 0.45 or 1.")
    ] = None


class MixedDesign(DesignFile):
    """Pools behind one layer of spines."""

    kind: Literal["mixed"]
    pools: Annotated[list[PoolSpec], Field(min_length=1)]
    spines: SpineSpec

    @model_validator(mode="after")
    def _check_names(self) -> MixedDesign:
        seen: dict[str, int] = {}
        for i, pool in enumerate(self.pools):
            if seen.setdefault(pool.name, i) != i:
                raise RuleError(
                    what="two pools of one name", found=pool.name, fix="rename one", key=("pools", i, "name")
                )
        return self


@dataclass(frozen=True)
class _Pool:
    spec: PoolSpec
    hosts: HostPlan
    network: ClosNetwork


class MixedKind:
    """Registers ``mixed``."""

    name = "mixed"
    summary = "pools of different hosts, each on leaves of its own, behind one layer of spines"
    parameters = MixedDesign

    def build(self, design: MixedDesign, context: BuildContext) -> Fabric:
        """Return the fabric of a design; see `topologies.kinds.registry.FabricKind.build`."""
        pools = [self._plan(i, pool, design.spines, context) for i, pool in enumerate(design.pools)]
        spine_part = pools[0].network.spine_part
        count, is_even = _num_spines(pools, SwitchPorts.of(spine_part), design.spines.count)
        builder = FabricBuilder(design.name, description=design.full_description, assumptions=design.assumptions)
        for pool in pools:
            builder.assumptions += [f"{pool.spec.name}: {note}" for note in pool.network.notes]
        notes = [note for pool in pools for note in latency_notes(pool.hosts, design.spines.link_latency_us)]
        builder.assumptions += dict.fromkeys(notes)
        if not is_even:
            builder.assumptions.append(f"The bundles between leaves and the {count} spines differ by one cable.")
        ids = builder.add_switches(NameTemplate("spine{:03d}", (count,)), tier=2, part=spine_part).reshape(1, -1)
        cables = 0
        for pool in pools:
            leaves = _add_pool(builder, pool)
            first = cables + np.arange(leaves.size) * pool.network.leaf.up
            pod = np.zeros(leaves.size, np.int64)
            join_leaves(builder, pool.network, leaves.ravel(), ids, first_cable=first, pod=pod)
            cables += leaves.size * pool.network.leaf.up
        return builder.build()

    @staticmethod
    def _plan(i: int, pool: PoolSpec, spines: SpineSpec, context: BuildContext) -> _Pool:
        key = ("pools", i)
        try:
            hosts = plan_hosts(
                pool.hosts,
                pool.hosts.count,
                context.parts,
                hosts_a_domain=pool.hosts_a_domain,
                a_rack=pool.hosts.a_rack,
            )
            if not hosts.nics:
                raise RuleError(
                    what="hosts without NICs hang on no leaf", fix="add nic and nics", key=("hosts", "nics")
                )
            by_rail = pool.layout == "rail-optimized"
            network = plan_clos(
                NetworkSpec(
                    tiers=2,
                    leaf=pool.leaf,
                    spine=spines.part,
                    hosts_a_leaf=pool.hosts_a_leaf,
                    oversubscription=pool.oversubscription,
                    uplinks=pool.uplinks,
                    link_latency_us=spines.link_latency_us,
                ),
                hosts,
                context.parts,
                cables_a_leaf=hosts.nic_ports if by_rail else hosts.nics * hosts.nic_ports,
                leaves_a_group=hosts.nics if by_rail else 1,
                planes=1,
                multiple_of=pool.hosts_a_domain,
            )
        except RuleError as rule:  # the keys of a network stand directly in the pool, the spine's beside the pools
            if rule.key == ("network", "spine"):
                rule.key = ("spines", "part")
            else:
                rule.key = (*key, *(rule.key[1:] if rule.key[:1] == ("network",) else rule.key))
            raise
        return _Pool(pool, hosts, network)


def _num_spines(pools: list[_Pool], spine: SwitchPorts, given: int | None) -> tuple[int, bool]:
    """Return how many spines join all leaves, and whether all bundles have one size."""

    def ports(count: int) -> int:
        return sum(
            spine.ports_for(
                -(-pool.network.num_leaves * pool.network.leaf.up // count),
                pool.network.up_bytes_per_s,
                ("spines", "part"),
            )
            for pool in pools
        )

    most = min(pool.network.leaf.up for pool in pools)
    fitting = [n for n in range(1, most + 1) if ports(n) <= spine.num_ports]
    even = [n for n in fitting if all(pool.network.leaf.up % n == 0 for pool in pools)]
    if given is not None:
        if given not in fitting:
            raise RuleError(
                what="the number of spines does not fit",
                found=f"{given} spines need {ports(given)} ports each" if given <= most else f"{given} spines",
                allowed=f"{fitting[0]} to {most}" if fitting else f"{spine.num_ports} ports on {spine.name}",
                fix="change count, or the uplinks of the pools",
                key=("spines", "count"),
            )
        return given, given in even
    if not fitting:
        raise RuleError(
            what="the spines have too few ports",
            found=f"with {most} spines, the fewest uplinks of a leaf, {ports(most)} ports each",
            allowed=f"{spine.num_ports} ports on {spine.name}",
            fix="give the leaves more uplinks, or choose a switch with more ports",
            key=("spines", "part"),
        )
    return (even[0], True) if even else (fitting[0], False)


def _add_pool(builder: FabricBuilder, pool: _Pool) -> Int64s:
    """Add the hosts and leaves of a pool with the cables between them; return the leaves."""
    spec, hosts, network = pool.spec, pool.hosts, pool.network
    names = NameTemplate(spec.hosts.names or f"{spec.name}-{{:04d}}", (hosts.count,), (spec.hosts.first,))
    block = add_hosts(
        builder,
        hosts,
        names=[names],
        fabric=network.fabric,
        rails=hosts.nics,
        rack_names=f"{spec.name}-rack{{:03d}}",
        domain_names=f"{spec.name}-domain{{:03d}}/nvs{{:02d}}" if spec.hosts_a_domain > 1 else None,
    )
    leaves = add_leaves(builder, network, "leaf-g{:03d}-{}", prefix=f"{spec.name}/")
    mine = leaves[(block.host - block.host[0]) // network.leaf.hosts]  # (hosts, nics) by rail, (hosts, 1) else
    for _ in range(hosts.nic_ports):
        attach_nics(builder, network, block.nic, mine, hosts.nic_cable_bytes_per_s)
    return leaves
