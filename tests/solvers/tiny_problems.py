r"""Random problems small enough to try every placement, over all rules a job may have.

spine0              two pods of two leaves of two hosts, two accelerators a host;
/    \              in the wide fabric the two hosts of a leaf share one scale-up domain
leaf0 leaf1  leaf2 leaf3
h0 h1 h2 h3  h4 h5 h6 h7
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import combinations, product
from typing import Any

import numpy as np

from planner.collectives.traffic import Demand
from planner.job import Job
from planner.placement import Placement
from planner.problem import Problem
from planner.state import Availability, ClusterState
from topologies.builder import FabricBuilder
from topologies.fabric import Fabric, LinkKind
from topologies.parts import Part
from topologies.parts_catalog import load_parts

EACH = 2


def tiny_fabric(*, wide: bool = False, parts: Sequence[Part | None] = (None,) * 8) -> Fabric:
    builder = FabricBuilder("wide" if wide else "tiny")
    blocks = [
        builder.add_hosts([f"h{i}"], accelerators=EACH, nics=1, host_link_bytes_per_s=50e9, part=part)
        for i, part in enumerate(parts)
    ]
    leaves = builder.add_switches([f"leaf{i}" for i in range(4)], tier=1)
    spines = builder.add_switches(["spine0", "spine1"], tier=2)
    core = builder.add_switches(["core"], tier=3)
    inside = builder.add_switches([f"nv{i}" for i in range(4 if wide else 8)], scale_up=True)
    home = np.repeat(inside, 2) if wide else inside
    builder.add_cables(np.concatenate([b.accelerator for b in blocks]), home[:, None], rate_bytes_per_s=400e9)
    builder.add_cables(np.concatenate([b.nic[:, 0] for b in blocks]), leaves.repeat(2), rate_bytes_per_s=25e9)
    builder.add_cables(leaves, spines.repeat(2), rate_bytes_per_s=25e9)
    builder.add_cables(spines, core, rate_bytes_per_s=25e9)
    return builder.build()


FABRICS = {False: tiny_fabric(), True: tiny_fabric(wide=True)}
RING = Demand(1e9)
MIG_PROFILES = ["1g.10gb", "3g.40gb", "2g.20gb", "3g.71gb"]
LARGE, SMALL = "h200-sxm", "a100-sxm-80g"


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


def two_kinds() -> Fabric:
    """Return the tiny fabric with accelerators of 141 GiB on h0 to h4 and of 80 GiB on the others."""
    return tiny_fabric(parts=[load_parts()[LARGE if host < 5 else SMALL] for host in range(8)])


KINDS_FABRIC = two_kinds()


def rich_problem(rng: np.random.Generator) -> Problem:
    """Return a problem with kinds, memory, parts of accelerators, running jobs, deadlines, slow links, much taken."""
    fabric = KINDS_FABRIC
    busy = rng.choice(16, int(rng.integers(6, 12)), replace=False)
    away = [Availability.TAKEN, Availability.DRAINED, Availability.BROKEN, Availability.RESERVED]
    state = ClusterState.empty(fabric)
    for accelerator in busy.tolist():
        state = state.with_accelerators([accelerator], away[int(rng.choice(4, p=(0.55, 0.15, 0.15, 0.15)))])
    free = np.flatnonzero(state.free)
    if rng.random() < 0.4:
        state = state.with_used(rng.choice(free, 1), float(rng.choice([0.25, 0.5])))
        free = np.flatnonzero(state.free)
    if rng.random() < 0.4:
        up = np.flatnonzero((fabric.link_kind == LinkKind.SCALE_OUT) & (fabric.link_tier == 2))
        state = state.with_degraded([int(rng.choice(up))], 0.5)
    jobs, running = [], {}
    for i in range(int(rng.integers(1, 3))):
        job = _rich(rng, random_job(rng, f"j{i}"))
        jobs.append(replace(job, anti_affinity=""))
    if rng.random() < 0.6 and len(free) >= 4:
        there = np.sort(rng.choice(free, int(rng.integers(1, 3)), replace=False))
        may_move = bool(rng.random() < 0.7)
        running["old"] = there
        jobs.append(Job("old", len(there), movable=may_move, move_cost=float(rng.integers(1, 4)), traffic=RING))
    if rng.random() < 0.5:
        jobs += [_part(rng, f"p{i}") for i in range(int(rng.integers(1, 3)))]
    return Problem(fabric, state, tuple(jobs), running=running, expected=((2, 1.0),) if rng.random() < 0.3 else ())


def _rich(rng: np.random.Generator, job: Job) -> Job:
    if rng.random() < 0.25:
        job = replace(job, kinds=(str(rng.choice([LARGE, SMALL])),), accelerators=min(job.accelerators, 4))
    elif rng.random() < 0.3:
        job = replace(job, preferred_kinds=(str(rng.choice([LARGE, SMALL])),))
    elif rng.random() < 0.3:
        job = replace(job, memory_bytes=100 * 10**9)
    if rng.random() < 0.3:
        job = replace(job, duration_s=100.0, deadline_s=float(rng.choice([90.0, 110.0, 150.0])))
    return job


def _part(rng: np.random.Generator, name: str) -> Job:
    if rng.random() < 0.4:
        return Job(
            name, int(rng.integers(1, 3)), mig_profile=str(rng.choice(["1g.10gb", "3g.40gb", "2g.20gb", "3g.71gb"]))
        )
    return Job(name, int(rng.integers(1, 3)), share_frac=float(rng.choice([0.25, 0.5, 0.6])), priority=2.0)


def random_problem(rng: np.random.Generator) -> Problem:
    fabric = FABRICS[bool(rng.random() < 0.3)]
    busy = rng.choice(16, int(rng.integers(4, 11)), replace=False)
    state = ClusterState.empty(fabric).with_accelerators(busy, Availability.TAKEN)
    jobs = [random_job(rng, f"j{i}") for i in range(int(rng.integers(1, 4)))]
    reach = str(rng.choice(["host", "leaf", "pod"]))
    jobs = [replace(job, anti_affinity_reach=reach) if job.anti_affinity else job for job in jobs]
    return Problem(fabric, state, tuple(jobs))


def ways(problem: Problem, job: Job, free: np.ndarray) -> Iterator[tuple[int, ...]]:
    """Every count of accelerators a host that sums up to the job, of those that it accepts."""
    host = problem.fabric.accelerator_host
    room = np.bincount(host[free & problem.accepts(job)], minlength=problem.fabric.num_hosts).tolist()
    each = job.accelerators_per_host

    def of(hosts: list[int], left: int) -> Iterator[tuple[int, ...]]:
        if not hosts:
            if not left:
                yield ()
            return
        most = min(hosts[0], left)
        if left > sum(hosts):
            return
        sizes = range(most + 1) if each is None else ((0, each) if most >= each else (0,))
        for size in sizes:
            for rest in of(hosts[1:], left - size):
                yield (size, *rest)

    yield from of(room, job.accelerators)


def _spare_ways(problem: Problem, job: Job, free: np.ndarray, used: Sequence[int]) -> Iterator[tuple[int, ...]]:
    each = job.accelerators_per_host or 0
    host = problem.fabric.accelerator_host
    room = np.bincount(host[free & problem.accepts(job)], minlength=problem.fabric.num_hosts)
    ready = [h for h in range(problem.fabric.num_hosts) if not used[h] and room[h] >= each]
    group = problem.host_group(job.spare_reach)
    inside = [[h for h in ready if group[h] == g] for g in np.unique(group[np.flatnonzero(used)])]
    for chosen in product(*(combinations(hosts, job.spare_hosts) for hosts in inside)):
        yield tuple(h for hosts in chosen for h in hosts)


def placements(problem: Problem) -> Iterator[Placement]:
    """Every placement without faults, free accelerators of one host being alike.

    A running job may also stay exactly where it is. Parts come last: which whole accelerators are left to them on a
    host does not matter.
    """
    host = problem.fabric.accelerator_host
    none = np.empty(0, np.int64)
    is_good: dict[object, bool] = {}
    alone = replace(problem, running={})

    def holds(job: Job, counts: object, spare_hosts: object, ranks: np.ndarray, spare: np.ndarray) -> bool:
        key = (job.id, counts, spare_hosts)
        if key not in is_good:
            is_good[key] = not Placement({job.id: ranks}, {job.id: spare}).faults(alone)
        return is_good[key]

    def of(jobs: tuple[Job, ...], free: np.ndarray, placement: Placement) -> Iterator[Placement]:
        if not jobs:
            if not placement.faults(problem):
                yield placement
            return
        job, rest = jobs[0], jobs[1:]

        def go(ranks: np.ndarray, spare: np.ndarray) -> Iterator[Placement]:
            left = free.copy()
            if not job.is_part:
                left[ranks] = left[spare] = False
            more = Placement({**placement.ranks, job.id: ranks}, {**placement.spares, job.id: spare})
            yield from of(rest, left, more)

        if job.id in problem.running:
            yield from go(problem.running[job.id], none)
            if not job.movable:
                return
        else:
            yield from of(rest, free, placement)
        if job.is_part:
            able = np.flatnonzero((free | (problem.state.free_frac > 0) & ~problem.state.free) & problem.accepts(job))
            for chosen in combinations(able.tolist(), job.accelerators):
                if holds(job, chosen, (), np.array(chosen), none):
                    yield from go(np.array(chosen), none)
            return
        for counts in ways(problem, job, free):
            able = free & problem.accepts(job)
            ranks = np.concatenate([np.flatnonzero(able & (host == h))[:n] for h, n in enumerate(counts)])
            left = free.copy()
            left[ranks] = False
            spare_sets = _spare_ways(problem, job, left, counts) if job.spare_hosts else iter([()])
            for spare_hosts in spare_sets:
                spares = [np.flatnonzero(left & (host == h))[: job.accelerators_per_host] for h in spare_hosts]
                spare = np.concatenate([*spares, none])
                if holds(job, counts, spare_hosts, ranks, spare):
                    yield from go(ranks, spare)

    order = sorted(problem.jobs, key=lambda job: (job.is_part, job.id not in problem.running))
    taken = problem.state.free.copy()
    for job_id, ranks in problem.running.items():
        if not problem.jobs[problem.job_idx[job_id]].movable:
            taken[ranks] = False
    yield from of(tuple(order), taken, Placement())


def weight(problem: Problem, placement: Placement) -> float:
    return sum(job.weight for job in problem.jobs if job.id in placement)
