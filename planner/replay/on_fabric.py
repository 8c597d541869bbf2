"""A fabric as a pool of hosts, and grants as accelerators in rank order."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from planner.replay.pool import Grant, HostPool
from planner.state import Availability, ClusterState
from topologies.errors import InputError
from topologies.fabric import Fabric, Int64s

__all__ = ["pool_of", "ranks_of"]


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


def ranks_of(fabric: Fabric, grants: Iterable[Grant]) -> Int64s:
    """Return accelerators in rank order: hosts by pod, leaf group and domain, so that a ring crosses each leaf once."""

    def key(grant: Grant) -> tuple[int, ...]:
        h = grant.host
        return int(fabric.host_pod[h]), int(fabric.host_leaf_group[h]), int(fabric.host_domain[h]), h

    start = fabric.host_accelerator_start
    return np.array(
        [int(start[grant.host]) + gpu for grant in sorted(grants, key=key) for gpu in sorted(grant.gpus)], np.int64
    )
