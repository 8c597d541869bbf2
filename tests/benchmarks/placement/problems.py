"""Generated problems: hosts of 8 accelerators, 32 a leaf, 8 leaves a pod, partly occupied, and a batch of jobs."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np

from planner.collectives.traffic import Demand
from planner.job import Job
from planner.problem import Problem
from planner.state import Availability, ClusterState
from topologies.builder import FabricBuilder
from topologies.fabric import Fabric

__all__ = ["clos", "problem"]

EACH, HOSTS_A_LEAF, LEAVES_A_POD = 8, 32, 8
_NIC_BYTES_PER_S = 50e9
_SMALL, _LARGE = (1, 2, 4, 8), (16, 32, 64, 128, 256, 512, 1024)
_RING = Demand(2.0**30)
_EXCHANGE = Demand(2.0**28, "all-to-all")


@lru_cache(maxsize=4)
def clos(num_hosts: int, oversubscription: float = 2.0) -> Fabric:
    """Return a three-tier Clos with one NIC a host, oversubscribed at the leaves."""
    builder = FabricBuilder(f"clos-{num_hosts}")
    hosts = builder.add_hosts(
        [f"h{i:05d}" for i in range(num_hosts)], accelerators=EACH, nics=1, host_link_bytes_per_s=2 * _NIC_BYTES_PER_S
    )
    num_leaves = -(-num_hosts // HOSTS_A_LEAF)
    num_pods = -(-num_leaves // LEAVES_A_POD)
    inside = builder.add_switches([f"nv{i:05d}" for i in range(num_hosts)], scale_up=True)
    leaves = builder.add_switches([f"leaf{i:04d}" for i in range(num_leaves)], tier=1)
    spines = builder.add_switches([f"spine{i:03d}" for i in range(num_pods)], tier=2)
    core = builder.add_switches(["core"], tier=3)
    builder.add_cables(hosts.accelerator, inside[:, None], rate_bytes_per_s=450e9)
    builder.add_cables(hosts.nic[:, 0], leaves[np.arange(num_hosts) // HOSTS_A_LEAF], rate_bytes_per_s=_NIC_BYTES_PER_S)
    up = _NIC_BYTES_PER_S * HOSTS_A_LEAF / oversubscription
    builder.add_cables(leaves, spines[np.arange(num_leaves) // LEAVES_A_POD], rate_bytes_per_s=up)
    builder.add_cables(spines, core, rate_bytes_per_s=up * LEAVES_A_POD / 2)
    return builder.build()


def problem(
    num_hosts: int,
    num_jobs: int,
    *,
    seed: int,
    tight: bool,
    occupied: tuple[float, float] = (0.6, 0.9),
    oversubscription: float = 2.0,
) -> Problem:
    """Return a random problem: 60 % of the jobs ask for up to 8 accelerators, the others for 16 to 1,024."""
    rng = np.random.default_rng(seed)
    fabric = clos(num_hosts, oversubscription)
    state = _occupy(fabric, rng, float(rng.uniform(*occupied)))
    jobs = tuple(_job(rng, f"j{i}", fabric, tight=tight) for i in range(num_jobs))
    return Problem(fabric, state, jobs)


def _occupy(fabric: Fabric, rng: np.random.Generator, part: float) -> ClusterState:
    """Take hosts wholly or in part until so much is taken; runs of hosts, as jobs leave them."""
    taken = np.zeros(fabric.num_hosts, np.int64)
    while taken.sum() < part * fabric.num_accelerators:
        first = int(rng.integers(fabric.num_hosts))
        if rng.random() < 0.5:
            taken[first : first + int(rng.integers(1, 33))] = EACH
        else:
            taken[first] = max(taken[first], int(rng.integers(1, EACH + 1)))
    number = np.arange(fabric.num_accelerators) % EACH
    return ClusterState.empty(fabric).with_accelerators(
        np.flatnonzero(number < taken[fabric.accelerator_host]), Availability.TAKEN
    )


def _job(rng: np.random.Generator, name: str, fabric: Fabric, *, tight: bool) -> Job:
    is_small = rng.random() < 0.6
    largest = fabric.num_accelerators // 4
    size = int(rng.choice(_SMALL if is_small else [n for n in _LARGE if n <= largest]))
    rules: dict[str, Any] = {
        "priority": float(rng.integers(1, 11)),
        "tenant": f"t{rng.integers(6)}",
        "traffic": None if size == 1 else _EXCHANGE if rng.random() < 0.25 else _RING,
    }
    if is_small:
        rules["same_domain"] = True
    else:
        rules["accelerators_per_host"] = EACH
    if tight and not is_small:
        rule = int(rng.integers(7))
        num_leaves = -(-size // (EACH * HOSTS_A_LEAF))
        if rule == 0 and size <= EACH * HOSTS_A_LEAF:
            rules["max_leaf_groups"] = 1
        elif rule == 1:
            rules["max_leaf_groups"] = 2 * num_leaves
        elif rule == 2 and size <= EACH * HOSTS_A_LEAF * LEAVES_A_POD // 2:
            rules["max_pods"] = 1
        elif rule == 3:
            rules["isolation"] = "host"
        elif rule == 4 and size <= EACH * HOSTS_A_LEAF:
            rules |= {"spare_hosts": 1, "spare_reach": "pod"}
        elif rule == 5 and size >= 2 * EACH:
            rules["segment_hosts"] = 2
    return Job(name, size, **rules)
