"""``kind: torus``: accelerators linked to their neighbours in a grid of 1 to 4 dimensions, as in TPU pods.

What passes an accelerator on its way goes through the router on its chip, so that each router is a scale-up switch of
its own in the graph, and the links run between routers. A host holds a block of the grid. The whole torus is one
scale-up domain. Several tori, and hosts with NICs, are joined by an optional leaf-spine network.
"""

from __future__ import annotations

from math import prod
from typing import Annotated, Literal

import numpy as np
from pydantic import Field, model_validator

from topologies.builder import FabricBuilder
from topologies.fabric import Fabric, Int64s
from topologies.files.validated import RuleError, StrictModel
from topologies.kinds.clos_network import plan_clos
from topologies.kinds.clos_wiring import add_leaves, add_upper_tiers, attach_nics
from topologies.kinds.design import Count, DesignFile, HostBase, NetworkSpec, NotNegative, Positive
from topologies.kinds.hosts import SCALE_UP_LATENCY_US, add_hosts, extended, latency_notes, plan_hosts
from topologies.kinds.registry import BuildContext
from topologies.names import NameTemplate
from topologies.units import from_gb_per_s, from_us

__all__ = ["GridSpec", "TorusDesign", "TorusKind", "add_routers", "in_grid", "neighbour_pairs"]


class GridSpec(StrictModel):
    """A grid of accelerators."""

    shape: Annotated[list[Count], Field(min_length=1, max_length=4, description="Accelerators along each dimension.")]
    host_shape: Annotated[
        list[Count], Field(min_length=1, max_length=4, description="The block of the grid that a host holds.")
    ]
    wrap: Annotated[bool, Field(description="Whether ends are linked; along 1 or 2 accelerators they never are.")] = (
        True
    )
    count: Annotated[Count, Field(description="Number of tori.")] = 1
    link_gb_per_s: Annotated[
        Positive | None,
        Field(
            description="Rate of one link, one direction, 10⁹ bytes/s; else the part's scale-up rate split evenly over "
            "two links a dimension."
        ),
    ] = None
    latency_us: Annotated[NotNegative | None, Field(description="Of one link, one way; else 1.665.")] = None

    @model_validator(mode="after")
    def _check_blocks(self) -> GridSpec:
        if len(self.shape) != len(self.host_shape) or any(
            size % block for size, block in zip(self.shape, self.host_shape, strict=False)
        ):
            raise RuleError(
                what="the hosts do not tile the grid",
                found=f"blocks {'×'.join(map(str, self.host_shape))} in {'×'.join(map(str, self.shape))}",
                allowed="as many dimensions, each size a multiple of the block's",
                key=("host_shape",),
            )
        return self


class TorusDesign(DesignFile):
    """Tori of accelerators."""

    kind: Literal["torus"]
    grid: GridSpec
    hosts: Annotated[HostBase, Field(description="What a host holds; its scale_up is left out.")]
    network: Annotated[
        NetworkSpec | None, Field(description="Leaf-spine network of the NICs, for hosts that have some.")
    ] = None


class TorusKind:
    """Registers ``torus``."""

    name = "torus"
    summary = "accelerators linked to their neighbours in a grid of 1 to 4 dimensions"
    parameters = TorusDesign

    def build(self, design: TorusDesign, context: BuildContext) -> Fabric:
        """Return the fabric of a design; see `topologies.kinds.registry.FabricKind.build`."""
        grid = design.grid
        each = prod(grid.host_shape)
        per_torus = prod(grid.shape) // each
        spec = design.hosts.model_copy(update={"scale_up": design.hosts.scale_up.model_copy(update={"form": "none"})})
        if spec.accelerators is None and spec.part is None:
            spec = spec.model_copy(update={"accelerators": each})
        hosts = plan_hosts(spec, per_torus * grid.count, context.parts)
        if hosts.accelerators != each:
            raise RuleError(
                what="the block of a host does not hold its accelerators",
                found=f"{hosts.accelerators} accelerators a host, a block of {each}",
                allowed="the same number",
                key=("grid", "host_shape"),
            )
        if bool(hosts.nics) != (design.network is not None):
            raise RuleError(
                what="NICs and a network go together",
                found="NICs without a network" if hosts.nics else "a network without NICs",
                fix="add network, or nics: 0" if hosts.nics else "add nic and nics to the hosts, or leave network out",
                key=("network",),
            )
        if grid.count > 1 and design.network is None:
            raise RuleError(
                what="nothing joins the tori",
                found=f"count: {grid.count}",
                fix="add nics and a network",
                key=("grid", "count"),
            )
        builder = FabricBuilder(design.name, description=design.full_description, assumptions=design.assumptions)
        template = "torus{:03d}-h{:05d}" if grid.count > 1 else "h{:05d}"
        names = NameTemplate(template, (grid.count, per_torus) if grid.count > 1 else (per_torus,))
        network = None
        if design.network is not None:
            network = plan_clos(
                design.network,
                hosts,
                context.parts,
                cables_a_leaf=hosts.nics * hosts.nic_ports,
                leaves_a_group=1,
                planes=1,
            )
            builder.assumptions += [*network.notes, *latency_notes(hosts, design.network.link_latency_us)]
        block = add_hosts(
            builder, hosts, names=[names], fabric=network.fabric if network else "Ethernet", rails=max(hosts.nics, 1)
        )
        self._add_links(builder, grid, hosts.accelerator.number("scale_up_bytes_per_s", 0.0), names, block.accelerator)
        if network is not None:
            leaves = add_leaves(builder, network, "leaf{:03d}-{}")
            for _ in range(hosts.nic_ports):
                leaf = leaves[block.host // network.leaf.hosts]
                attach_nics(builder, network, block.nic, leaf, hosts.nic_cable_bytes_per_s)
            add_upper_tiers(builder, network, leaves)
        return builder.build()

    @staticmethod
    def _add_links(
        builder: FabricBuilder, grid: GridSpec, part_rate: float, names: NameTemplate, accelerator: Int64s
    ) -> None:
        rate = from_gb_per_s(grid.link_gb_per_s) if grid.link_gb_per_s else part_rate / (2 * len(grid.shape))
        if not rate:
            raise RuleError(
                what="the rate of a link is not known",
                found="the part has no scale-up rate",
                fix="add link_gb_per_s",
                key=("grid", "link_gb_per_s"),
            )
        latency_us = SCALE_UP_LATENCY_US / 2 if grid.latency_us is None else grid.latency_us
        router = add_routers(builder, names, accelerator, 2 * len(grid.shape) * rate)
        for first, second in neighbour_pairs(in_grid(router, grid), grid.wrap):
            builder.add_cables(first, second, rate_bytes_per_s=rate, latency_s=from_us(latency_us))


def add_routers(builder: FabricBuilder, hosts: NameTemplate, accelerator: Int64s, rate_bytes_per_s: float) -> Int64s:
    """Add the router on the chip of each accelerator, linked to it; return the ids, ``(hosts, accelerators)``.

    Parameters
    ----------
    builder
        Where to.
    hosts
        Names of the hosts.
    accelerator
        ``(hosts, accelerators)`` ids.
    rate_bytes_per_s
        What an accelerator can send at once: the rate of all its links.
    """
    router = builder.add_switches(extended(hosts, "/gpu{}/router", accelerator.shape[1]), scale_up=True)
    router = router.reshape(accelerator.shape)
    builder.add_cables(accelerator, router, rate_bytes_per_s=rate_bytes_per_s)
    return router


def in_grid(accelerator: Int64s, grid: GridSpec) -> Int64s:
    """Return the ids at their places, ``(count, *shape)``, from ``(hosts, accelerators)``.

    Hosts follow each other along the last dimension first, and so do the accelerators of a host in its block.
    """
    blocks = [size // block for size, block in zip(grid.shape, grid.host_shape, strict=True)]
    split = accelerator.reshape(grid.count, *blocks, *grid.host_shape)
    num = len(blocks)
    order = [0, *(axis for i in range(num) for axis in (1 + i, 1 + num + i))]
    return split.transpose(order).reshape(grid.count, *grid.shape)


def neighbour_pairs(place: Int64s, wrap: bool) -> list[tuple[Int64s, Int64s]]:
    """Return the ends of all links, a pair of arrays a dimension; the first axis of `place` numbers the tori."""
    pairs = []
    for axis in range(1, place.ndim):
        size = place.shape[axis]
        if size == 1:
            continue
        if wrap and size > 2:
            pairs.append((place, np.roll(place, -1, axis)))
        else:
            pairs.append((place.take(range(size - 1), axis), place.take(range(1, size), axis)))
    return [(first.ravel(), second.ravel()) for first, second in pairs]
