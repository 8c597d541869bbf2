"""Quality of placement on two days replayed on a real Slurm: topology/tree alone beside the planner."""

from __future__ import annotations

import random
import statistics
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass

import numpy as np

from planner.slurm.load import leaf_loads
from planner.slurm.read_site import parse_nodes
from planner.slurm.read_topology import parse_topology
from planner.slurm.room import build_room
from planner.slurm.slurm_fabric import fabric_of_room
from planner.slurm.solver_plan import ring_score
from tests.benchmarks.bench_slurm import need_slurm
from tests.benchmarks.table import Table
from tests.slurm.emulator import wait_for
from tests.slurm.planned import PlannedCluster, all_in


def bench(table: Table) -> None:
    need_slurm()
    bench_day(table)


@dataclass(frozen=True)
class Arrival:
    """One job of the replayed day."""

    at_s: float
    nodes: int
    run_s: float


def day(*, seed: int = 5, jobs: int = 150, over_s: float = 900.0) -> list[Arrival]:
    """A day at 1/96 of its length: sizes and run times skewed as on GPU clusters, three quarters of 64 nodes busy."""
    chooser = random.Random(seed)
    sizes = [2] * 8 + [3] * 3 + [4] * 6 + [6] * 3 + [8] * 3 + [12, 16]
    unit_s = over_s / 100.0
    return sorted(
        (
            Arrival(
                chooser.uniform(0, over_s),
                chooser.choice(sizes),
                min(30 * unit_s, unit_s * (1.0 + chooser.lognormvariate(1.5, 0.7))),
            )
            for _ in range(jobs)
        ),
        key=lambda arrival: arrival.at_s,
    )


def bench_day(table: Table, *, patience_s: float = 2.0, seeds: Sequence[int] = (5, 6)) -> None:
    """Two days at the same time, each on two clusters of 64 nodes: topology/tree alone, and with the planner.

    The planner's patience, 2 s, is a thirtieth of the mean run time.
    """
    settings = {"park_s": 60, "poll_s": 0.5, "patience_s": patience_s}
    with ExitStack() as stack:
        pool = stack.enter_context(ThreadPoolExecutor(2 * len(seeds)))
        ways = [
            stack.enter_context(PlannedCluster(num_nodes=64, nodes_per_leaf=8, settings=settings))
            for _ in range(2 * len(seeds))
        ]
        for cluster in ways[1::2]:
            cluster.start_daemon()
        found = list(pool.map(_replay, ways, [day(seed=seed) for seed in seeds for _ in range(2)]))
    alone, ours = (
        {name: statistics.mean(one[name] for one in way) for name in way[0]} for way in (found[::2], found[1::2])
    )
    for name, unit in (
        ("mean load of leaf uplinks", "ring edges"),
        ("worst load of a leaf's uplinks, mean over time", "ring edges"),
        ("load of the busiest link, mean over time", "of capacity"),
        ("worst slow-down of a job by links, mean over time", "×"),
        ("wait, mean", "s"),
        ("end of the last job", "s"),
    ):
        limit = None if name.startswith("end") else alone[name]
        case = f"replayed day, patience {patience_s:g} s: {name}"
        table.add(case, ours[name], unit=unit, against="Slurm's tree alone", reference=alone[name], at_most=limit)
    table.add("the same: jobs planned, of 150 a day", ours["planned"], unit="jobs")


def _replay(cluster: PlannedCluster, arrivals: Sequence[Arrival]) -> dict[str, float]:
    began = time.monotonic()
    jobs = []
    for arrival in arrivals:
        time.sleep(max(0.0, began + arrival.at_s - time.monotonic()))
        jobs.append(cluster.sbatch(f"-N{arrival.nodes}", "--gres=gpu:8", "-t", "6", wrap=f"sleep {arrival.run_s:.2f}"))
    wait_for(lambda: all_in(cluster, jobs, "COMPLETED"), timeout_s=900, what="the day to end", poll_s=1.0)
    room = build_room(
        parse_nodes(cluster.run("scontrol", "-o", "-d", "show", "nodes").stdout),
        parse_topology(cluster.run("scontrol", "show", "topology").stdout),
    )
    fabric = fabric_of_room(room)
    text = cluster.run("squeue", "-h", "-a", "-t", "all", "-o", "%i|%V|%S|%e").stdout
    clock = {int(line.split("|")[0]): [_seconds(word) for word in line.split("|")[1:]] for line in text.splitlines()}
    index = room.index()
    order = dict(cluster.placed())
    if cluster.daemon is not None:
        rows = cluster.journal("SELECT ref, hosts FROM decisions WHERE action = 'pinned' ORDER BY id")
        order |= {int(ref): hosts.split() for ref, hosts in rows if set(hosts.split()) == set(order.get(int(ref), []))}
    hosts_of = {job: np.array([index[host] for host in order[job]]) for job in jobs}
    first, last = min(clock[job][0] for job in jobs), max(clock[job][2] for job in jobs)
    mean_load, worst_load, slow, busiest = [], [], [], []
    for at in np.arange(first, last, 1.0):
        running = [job for job in jobs if clock[job][1] <= at < clock[job][2]]
        if not running:
            continue
        loads = leaf_loads(room, [hosts_of[job] for job in running])
        mean_load.append(float(loads.mean()))
        worst_load.append(float(loads.max()))
        every = [(str(job), hosts_of[job], 8) for job in running]
        score = ring_score(fabric, np.arange(len(room.hosts)), every, 0)
        slow.append(score["worst_slowdown"])
        busiest.append(score["worst_link_load_frac"])
    return {
        "mean load of leaf uplinks": statistics.mean(mean_load),
        "worst load of a leaf's uplinks, mean over time": statistics.mean(worst_load),
        "load of the busiest link, mean over time": statistics.mean(busiest),
        "worst slow-down of a job by links, mean over time": statistics.mean(slow),
        "wait, mean": statistics.mean(clock[job][1] - clock[job][0] for job in jobs),
        "end of the last job": last - first,
        "planned": float(len(cluster.planned_hosts()) if cluster.daemon is not None else 0),
    }


def _seconds(text: str) -> float:
    return time.mktime(time.strptime(text, "%Y-%m-%dT%H:%M:%S"))
