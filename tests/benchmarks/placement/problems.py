"""Generated problems: hosts of 8 accelerators, 32 a leaf, 8 leaves a pod, partly occupied, and a batch of jobs."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache
from typing import Any

import numpy as np

from planner.collectives.traffic import Demand
from planner.job import Job
from planner.problem import Problem
from planner.state import Availability, ClusterState
from solvers.fitting import fit
from solvers.inventory import Inventory, Taken
from solvers.policies import FirstFit
from topologies.builder import FabricBuilder
from topologies.fabric import Fabric

__all__ = ["clos", "congested", "problem", "problem_on"]

EACH, HOSTS_A_LEAF, LEAVES_A_POD = 8, 32, 8
_SMALL_LEAF = 8  # hosts
_OLD_LARGEST = 128  # accelerators of a job of the history
_ARRIVALS = 1000  # jobs that came before, for 1,024 hosts
_BATCH_FRAC = 0.3  # of the accelerators are left by jobs that have just ended
_PATIENCE = 20  # jobs drawn in a row that would go past what is to be filled
_NIC_BYTES_PER_S = 50e9
_SMALL, _LARGE = (1, 2, 4, 8), (16, 32, 64, 128, 256, 512, 1024)
_RING = Demand(2.0**30)
_EXCHANGE = Demand(2.0**28, "all-to-all")


@lru_cache(maxsize=4)
def clos(num_hosts: int, oversubscription: float = 2.0, hosts_a_leaf: int = HOSTS_A_LEAF) -> Fabric:
    """Return a three-tier Clos with one NIC a host, oversubscribed at the leaves, and 2:1 at the spines."""
    builder = FabricBuilder(f"clos-{num_hosts}")
    hosts = builder.add_hosts(
        [f"h{i:05d}" for i in range(num_hosts)], accelerators=EACH, nics=1, host_link_bytes_per_s=2 * _NIC_BYTES_PER_S
    )
    num_leaves = -(-num_hosts // hosts_a_leaf)
    num_pods = -(-num_leaves // LEAVES_A_POD)
    inside = builder.add_switches([f"nv{i:05d}" for i in range(num_hosts)], scale_up=True)
    leaves = builder.add_switches([f"leaf{i:04d}" for i in range(num_leaves)], tier=1)
    spines = builder.add_switches([f"spine{i:03d}" for i in range(num_pods)], tier=2)
    core = builder.add_switches(["core"], tier=3)
    builder.add_cables(hosts.accelerator, inside[:, None], rate_bytes_per_s=450e9)
    builder.add_cables(hosts.nic[:, 0], leaves[np.arange(num_hosts) // hosts_a_leaf], rate_bytes_per_s=_NIC_BYTES_PER_S)
    up = _NIC_BYTES_PER_S * hosts_a_leaf / oversubscription
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
    return problem_on(clos(num_hosts, oversubscription), num_jobs, seed=seed, tight=tight, occupied=occupied)


def problem_on(
    fabric: Fabric, num_jobs: int, *, seed: int, tight: bool, occupied: tuple[float, float] = (0.6, 0.9)
) -> Problem:
    """Return such a problem on a fabric of hosts of 8 accelerators."""
    rng = np.random.default_rng(seed)
    state = _occupy(fabric, rng, float(rng.uniform(*occupied)))
    jobs = tuple(_job(rng, f"j{i}", fabric, tight=tight) for i in range(num_jobs))
    return Problem(fabric, state, jobs)


def congested(
    num_hosts: int, num_jobs: int, *, seed: int, oversubscription: float, filled: tuple[float, float] = (0.8, 0.95)
) -> Problem:
    """Return a batch for a cluster with a history: jobs came and went, each on the first hosts that were free.

    Those that still run stay where they are and send as well; the batch fills the cluster to so much. Leaves are small,
    as in the Lingjun cluster, so that jobs cross them.
    """
    rng = np.random.default_rng(seed)
    fabric = clos(num_hosts, oversubscription, _SMALL_LEAF)
    drawn = [
        _job(rng, f"old{i}", fabric, tight=False, largest=_OLD_LARGEST) for i in range(_ARRIVALS * num_hosts // 1024)
    ]
    drawn = [replace(job, priority=1.0) for job in drawn]
    past = Problem(fabric, ClusterState.empty(fabric), tuple(drawn))
    inventory, running = Inventory(past), dict[str, Taken]()
    target = float(rng.uniform(*filled)) * fabric.num_accelerators
    by_id = {job.id: job for job in drawn}
    for job in drawn:
        while int(inventory.free.sum()) < fabric.num_accelerators - target + job.accelerators:
            gone = str(rng.choice(sorted(running)))
            inventory.release(by_id[gone], running.pop(gone))
        found = fit(inventory, job, FirstFit())
        if found is not None:
            running[job.id] = inventory.take(job, found.hosts, found.counts)
    batch: list[Job] = []
    room = 0
    for gone in rng.permutation(sorted(running)).tolist():
        if room >= _BATCH_FRAC * fabric.num_accelerators or len(batch) >= num_jobs:
            break
        room += by_id[gone].accelerators
        running.pop(gone)
    refused = 0
    while refused < _PATIENCE and len(batch) < num_jobs:
        job = replace(_job(rng, f"new{len(batch)}", fabric, tight=False, largest=512), priority=1.0)
        if job.accelerators <= room:
            batch.append(job)
            room -= job.accelerators
        else:
            refused += 1
    jobs = [by_id[job_id] for job_id in running] + batch
    now = {job_id: taken.ranks for job_id, taken in running.items()}
    return Problem(fabric, ClusterState.empty(fabric), tuple(jobs), running=now)


def _occupy(fabric: Fabric, rng: np.random.Generator, part: float, *, longest: int = 32) -> ClusterState:
    """Take hosts wholly or in part until so much is taken; runs of hosts, as jobs leave them."""
    taken = np.zeros(fabric.num_hosts, np.int64)
    while taken.sum() < part * fabric.num_accelerators:
        first = int(rng.integers(fabric.num_hosts))
        if rng.random() < 0.5:
            taken[first : first + int(rng.integers(1, longest + 1))] = EACH
        else:
            taken[first] = max(taken[first], int(rng.integers(1, EACH + 1)))
    number = np.arange(fabric.num_accelerators) % EACH
    return ClusterState.empty(fabric).with_accelerators(
        np.flatnonzero(number < taken[fabric.accelerator_host]), Availability.TAKEN
    )


def _job(rng: np.random.Generator, name: str, fabric: Fabric, *, tight: bool, largest: int = 1024) -> Job:
    is_small = rng.random() < 0.6
    largest = min(largest, fabric.num_accelerators // 4)
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
