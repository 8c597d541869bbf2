r"""Random problems small enough to try every placement, over all rules a job may have.

spine0              two pods of two leaves of two hosts, two accelerators a host;
/    \              in the wide fabric the two hosts of a leaf share one scale-up domain
leaf0 leaf1  leaf2 leaf3
h0 h1 h2 h3  h4 h5 h6 h7
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from typing import Any

import numpy as np

from planner.collectives.traffic import Demand
from planner.job import Job
from planner.placement import Placement
from planner.problem import Problem
from planner.state import Availability, ClusterState
from topologies.builder import FabricBuilder
from topologies.fabric import Fabric

EACH = 2


def tiny_fabric(*, wide: bool = False) -> Fabric:
    builder = FabricBuilder("wide" if wide else "tiny")
    hosts = builder.add_hosts([f"h{i}" for i in range(8)], accelerators=EACH, nics=1, host_link_bytes_per_s=50e9)
    leaves = builder.add_switches([f"leaf{i}" for i in range(4)], tier=1)
    spines = builder.add_switches(["spine0", "spine1"], tier=2)
    core = builder.add_switches(["core"], tier=3)
    inside = builder.add_switches([f"nv{i}" for i in range(4 if wide else 8)], scale_up=True)
    home = np.repeat(inside, 2) if wide else inside
    builder.add_cables(hosts.accelerator, home[:, None], rate_bytes_per_s=400e9)
    builder.add_cables(hosts.nic[:, 0], leaves.repeat(2), rate_bytes_per_s=25e9)
    builder.add_cables(leaves, spines.repeat(2), rate_bytes_per_s=25e9)
    builder.add_cables(spines, core, rate_bytes_per_s=25e9)
    return builder.build()


FABRICS = {False: tiny_fabric(), True: tiny_fabric(wide=True)}
RING = Demand(1e9)


def random_job(rng: np.random.Generator, name: str) -> Job:
    size = int(rng.integers(1, 7))
    rules: dict[str, Any] = {"tenant": str(rng.choice(["red", "blue"])), "priority": float(rng.choice([1, 2, 2.5]))}
    if rng.random() < 0.4:
        rules["accelerators_per_host"] = 2 if size % 2 == 0 and rng.random() < 0.6 else 1
    if rng.random() < 0.15:
        rules["same_domain"] = True
    elif size % 2 == 0 and rng.random() < 0.15:
        rules["domain_group"] = 2
    if rng.random() < 0.15:
        rules["exclusive"] = True
    if rng.random() < 0.25:
        rules["max_leaf_groups"] = int(rng.integers(1, 3))
    if rng.random() < 0.2:
        rules["max_pods"] = 1
    if rng.random() < 0.25:
        rules |= {"anti_affinity": "apart", "anti_affinity_reach": "host"}
    if rng.random() < 0.15:
        rules["isolation"] = str(rng.choice(["host", "leaf", "pod"]))
    each = rules.get("accelerators_per_host")
    if each and rng.random() < 0.2:
        rules |= {"spare_hosts": 1, "spare_reach": str(rng.choice(["leaf", "pod"]))}
    if each and (size // each) % 2 == 0 and rng.random() < 0.3:
        rules["segment_hosts"] = 2
    if rng.random() < 0.6:
        rules["traffic"] = RING
    return Job(name, size, **rules)


def random_problem(rng: np.random.Generator) -> Problem:
    fabric = FABRICS[bool(rng.random() < 0.3)]
    busy = rng.choice(16, int(rng.integers(4, 11)), replace=False)
    state = ClusterState.empty(fabric).with_accelerators(busy, Availability.TAKEN)
    jobs = [random_job(rng, f"j{i}") for i in range(int(rng.integers(1, 4)))]
    reach = str(rng.choice(["host", "leaf", "pod"]))
    jobs = [_with(job, anti_affinity_reach=reach) if job.anti_affinity else job for job in jobs]
    return Problem(fabric, state, tuple(jobs))


def _with(job: Job, **changes: Any) -> Job:
    from dataclasses import replace

    return replace(job, **changes)


def ways(problem: Problem, job: Job, free: np.ndarray) -> Iterator[np.ndarray]:
    """Every count of accelerators a host that sums up to the job."""
    host = problem.fabric.accelerator_host
    room = np.bincount(host[free], minlength=problem.fabric.num_hosts)
    for counts in product(*(range(int(n) + 1) for n in room)):
        if sum(counts) == job.accelerators:
            yield np.array(counts)


def _spare_ways(problem: Problem, job: Job, free: np.ndarray, used: np.ndarray) -> Iterator[np.ndarray]:
    each = job.accelerators_per_host or 0
    host = problem.fabric.accelerator_host
    room = np.bincount(host[free], minlength=problem.fabric.num_hosts)
    ready = [h for h in range(problem.fabric.num_hosts) if not used[h] and room[h] >= each]
    for chosen in product((False, True), repeat=len(ready)):
        yield np.array([h for h, is_in in zip(ready, chosen, strict=True) if is_in], np.int64)


def placements(problem: Problem) -> Iterator[Placement]:
    """Every placement without faults, accelerators of one host being alike."""
    host = problem.fabric.accelerator_host

    def of(jobs: tuple[Job, ...], free: np.ndarray, placement: Placement) -> Iterator[Placement]:
        if not jobs:
            if not placement.faults(problem):
                yield placement
            return
        job, rest = jobs[0], jobs[1:]
        yield from of(rest, free, placement)
        for counts in ways(problem, job, free):
            if job.accelerators_per_host and set(counts.tolist()) - {0, job.accelerators_per_host}:
                continue
            ranks = np.concatenate([np.flatnonzero(free & (host == h))[:n] for h, n in enumerate(counts)])
            left = free.copy()
            left[ranks] = False
            spare_sets = _spare_ways(problem, job, left, counts) if job.spare_hosts else iter([np.empty(0, np.int64)])
            for spare_hosts in spare_sets:
                spares = [np.flatnonzero(left & (host == h))[: job.accelerators_per_host] for h in spare_hosts]
                spare = np.concatenate([*spares, np.empty(0, np.int64)])
                alone = Placement({job.id: ranks}, {job.id: spare})
                if alone.faults(problem):
                    continue
                still = left.copy()
                still[spare] = False
                more = Placement({**placement.ranks, job.id: ranks}, {**placement.spares, job.id: spare})
                yield from of(rest, still, more)

    yield from of(problem.jobs, problem.state.free.copy(), Placement())


def weight(problem: Problem, placement: Placement) -> float:
    return sum(job.weight for job in problem.jobs if job.id in placement)
