"""`Machine`: what a step-time model needs to know of a cluster of one kind of accelerator."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np

from planner.collectives.efficiency import UNCALIBRATED, Efficiency, default_efficiency
from planner.workloads.generations import Generation, generation_of, peak_flops_per_s
from topologies.errors import InputError
from topologies.fabric import Fabric, LinkKind
from topologies.parts import Part

__all__ = ["Machine", "machine_of_fabric", "machine_of_part", "used_of_domain"]


@dataclass(frozen=True, slots=True)
class Machine:
    """A cluster of one kind of accelerator.

    Attributes
    ----------
    name
        For people.
    part, generation
        The accelerator.
    num_accelerators
        How many there are.
    peak_flops_per_s
        Dense peak by precision.
    memory_bytes, memory_bytes_per_s
        Memory of one.
    domain
        Accelerators of a scale-up domain that one job uses: where they do not divide into whole domains, the largest
        part of each that gives every domain as many (64 of 72 for 1,024 accelerators).
    full_domain
        Accelerators of a whole scale-up domain.
    scale_up_bytes_per_s, nic_bytes_per_s
        What one sends inside its domain and out of it, one direction, line rate.
    leaf_accelerators
        Accelerators that one group of leaves joins.
    oversubscription
        Rate towards accelerators over rate towards spines, at a leaf.
    efficiency
        What links give.
    """

    name: str
    part: Part
    generation: Generation
    num_accelerators: int
    peak_flops_per_s: Mapping[str, float]
    memory_bytes: float
    memory_bytes_per_s: float
    domain: int
    full_domain: int
    scale_up_bytes_per_s: float
    nic_bytes_per_s: float
    leaf_accelerators: int
    oversubscription: float = 1.0
    efficiency: Efficiency = UNCALIBRATED


def used_of_domain(num_accelerators: int, domain: int) -> int:
    """Return how many accelerators of each domain a job uses: the largest divisor of its size that a domain holds."""
    most = min(domain, num_accelerators)
    return next(size for size in range(most, 0, -1) if num_accelerators % size == 0)


def machine_of_part(
    part: Part,
    num_accelerators: int,
    *,
    domain: int | None = None,
    nic_bytes_per_s: float | None = None,
    scale_up_bytes_per_s: float | None = None,
    leaf_accelerators: int | None = None,
    oversubscription: float = 1.0,
    efficiency: Efficiency = UNCALIBRATED,
    name: str = "",
) -> Machine:
    """Return a cluster by its accelerator and bandwidths; what is left out is the part's usual.

    Raises
    ------
    InputError
        If the part is no accelerator that can be reckoned with, or a size is not positive.
    """
    generation = generation_of(part)
    peaks = {p: peak_flops_per_s(part, p) for p in generation.gemm_frac}
    size = int(part.number("scale_up_domain", 1)) if domain is None else domain
    scale_up = part.number("scale_up_bytes_per_s", 0.0) if scale_up_bytes_per_s is None else scale_up_bytes_per_s
    nic = part.number("scale_out_bytes_per_s", 0.0) if nic_bytes_per_s is None else nic_bytes_per_s
    for what, value in (
        ("accelerators", num_accelerators),
        ("scale-up domain", size),
        ("oversubscription", oversubscription),
    ):
        if value < 1:
            raise InputError(what=f"{what} below 1", where=part.id, found=value, allowed="1 or more")
    memory, rate = part.number("memory_bytes", 0.0), part.number("memory_bytes_per_s", 0.0)
    if not memory or not rate:
        raise InputError(what="the part states no memory_gib or no memory_gb_per_s", where=part.id)
    return Machine(
        name=name or f"{num_accelerators} × {part.id}",
        part=part,
        generation=generation,
        num_accelerators=num_accelerators,
        peak_flops_per_s=MappingProxyType(peaks),
        memory_bytes=memory,
        memory_bytes_per_s=rate,
        domain=used_of_domain(num_accelerators, size),
        full_domain=size,
        scale_up_bytes_per_s=scale_up,
        nic_bytes_per_s=nic,
        leaf_accelerators=leaf_accelerators or num_accelerators,
        oversubscription=oversubscription,
        efficiency=efficiency,
    )


def machine_of_fabric(fabric: Fabric, *, efficiency: Efficiency | None = None) -> Machine:
    """Return a fabric of one kind of accelerator as its bandwidths.

    Raises
    ------
    InputError
        If accelerators differ or their part is not stated.
    """
    accelerators = fabric.num_accelerators
    parts = np.unique(fabric.node_part[:accelerators])
    if len(parts) != 1 or parts[0] < 0:
        raise InputError(
            what="the step-time model needs one kind of accelerator, stated as a part",
            where=fabric.name,
            found=f"{len(parts)} kinds" if parts[0] >= 0 else "no part",
        )
    counts = np.bincount(fabric.accelerator_domain)
    out = (fabric.link_kind == LinkKind.SCALE_OUT) & (fabric.link_tier <= 1)
    up = (fabric.link_kind == LinkKind.SCALE_OUT) & (fabric.link_tier == 2)
    is_switch = fabric.node_tier == 1
    from_end = out & ~is_switch[fabric.link_source] & is_switch[fabric.link_target]
    from_leaf = up & is_switch[fabric.link_source]
    injected = float(fabric.link_capacity_bytes_per_s[from_end].sum())
    raised = float(fabric.link_capacity_bytes_per_s[from_leaf].sum())
    group = np.bincount(fabric.host_leaf_group, weights=fabric.host_num_accelerators)
    return machine_of_part(
        fabric.parts[int(parts[0])],
        accelerators,
        domain=int(counts.max()),
        scale_up_bytes_per_s=float(np.median(fabric.accelerator_scale_up_bytes_per_s)),
        nic_bytes_per_s=injected / accelerators,
        leaf_accelerators=int(group.max()),
        oversubscription=max(1.0, injected / raised) if raised else 1.0,
        efficiency=efficiency or default_efficiency(fabric),
        name=fabric.name,
    )
