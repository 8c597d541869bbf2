"""A fabric as a pool of hosts, and grants as accelerators in rank order."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from planner.replay.metrics import Power
from planner.replay.pool import Grant, HostPool
from planner.state import Availability, ClusterState
from topologies.errors import InputError
from topologies.fabric import Fabric, Int64s

__all__ = ["IDLE_POWER_FRAC", "pool_of", "power_of", "ranks_of"]

IDLE_POWER_FRAC = 0.15
"""Of its most, what an accelerator draws that does nothing: 60 W of 400 W for A100 (Hu et al., NSDI 2024, figure 8)."""

_HOST_POWER_FACTOR = 1.8
"""A whole host against its accelerators' own power: DGX H100 10.2 kW for 8 × 700 W, DGX B200 14.3 kW for 8 × 1,000 W
(data sheets, as in the catalogue of parts)."""


def pool_of(fabric: Fabric, state: ClusterState | None = None) -> HostPool:
    """Return the hosts of a fabric; hosts of which anything is not free in the state do not take part.

    Raises
    ------
    InputError
        If no host is left, or a host has accelerators of two kinds.
    """
    parts = [part.id for part in fabric.parts] + [""]
    first = fabric.host_accelerator_start[:-1]
    models = [parts[p] for p in fabric.node_part[np.minimum(first, fabric.num_accelerators - 1)].tolist()]
    pool = HostPool(fabric.host_num_accelerators, models=models, leaf=fabric.host_leaf_group, pod=fabric.host_pod)
    if state is not None:
        held = state.availability != Availability.FREE
        pool.is_up[np.unique(fabric.accelerator_host[held])] = False
    if not pool.is_up.any() or not pool.capacity_milli:
        raise InputError(what="no host takes work", where=fabric.name, fix="give a fabric or state with free hosts")
    return pool


def power_of(fabric: Fabric, *, idle_frac: float = IDLE_POWER_FRAC) -> Power:
    """Return what an accelerator of a fabric draws on average with its part of the host; nothing where no part says it.

    Raises
    ------
    InputError
        If the idle part is not from 0 to 1.
    """
    from topologies.parts_catalog import load_parts

    if not 0 <= idle_frac <= 1:
        raise InputError(what="a part of the power", where="--idle-power-frac", found=idle_frac, allowed="0 to 1")
    hosts = {
        str(part.values["accelerator"]): part.number("watts") / part.number("num_accelerators")
        for part in load_parts().values()
        if part.part_class == "host" and "watts" in part.values and "accelerator" in part.values
    }
    counts = np.bincount(fabric.node_part[: fabric.num_accelerators] + 1, minlength=len(fabric.parts) + 1)[1:]
    watts = sum(
        int(count) * hosts.get(part.id, part.number("watts", 0.0) * _HOST_POWER_FACTOR)
        for part, count in zip(fabric.parts, counts, strict=True)
        if count
    )
    return Power(watts / max(fabric.num_accelerators, 1), idle_frac)


def ranks_of(fabric: Fabric, grants: Iterable[Grant]) -> Int64s:
    """Return accelerators in rank order: hosts by pod, leaf group and domain, so that a ring crosses each leaf once."""

    def key(grant: Grant) -> tuple[int, ...]:
        h = grant.host
        return int(fabric.host_pod[h]), int(fabric.host_leaf_group[h]), int(fabric.host_domain[h]), h

    start = fabric.host_accelerator_start
    return np.array(
        [int(start[grant.host]) + gpu for grant in sorted(grants, key=key) for gpu in sorted(grant.gpus)], np.int64
    )
