"""The Slurm daemon beside Slurm alone, on a real Slurm: latency of a burst, load on slurmctld, quality of a day."""

from __future__ import annotations

import json
import os
import random
import re
import signal
import statistics
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from planner.slurm.load import leaf_loads
from planner.slurm.read_site import parse_nodes
from planner.slurm.read_topology import parse_topology
from planner.slurm.room import build_room
from planner.slurm.slurm_fabric import fabric_of_room
from planner.slurm.solver_plan import ring_score
from tests.benchmarks.table import Table
from tests.fixtures.suites import find_suites
from tests.slurm.emulator import wait_for
from tests.slurm.planned import PlannedCluster, all_in

_RPC = re.compile(r"^\s+(\w+)\s+\(\s*\d+\) count:\d+\s+ave_time:(\d+)", re.MULTILINE)
BEGUN = ("RUNNING", "COMPLETING", "COMPLETED")


def bench(table: Table) -> None:
    obstacle = next(suite.obstacle() for suite in find_suites() if suite.name == "tests/slurm")
    if obstacle:
        raise SystemExit(f"bench slurm: {obstacle}")
    bench_burst(table)
    bench_scale(table)
    bench_day(table)


# ---- from submission to running --------------------------------------------------------------------------------------


def bench_burst(table: Table, *, rounds: int = 5) -> None:
    """64 jobs of 4 nodes at once on 256 nodes, Slurm alone and with the planner in turn."""
    for delay, words in ((1, "batch_sched_delay=1, as doctor advises"), (3, "batch_sched_delay=3, Slurm's default")):
        parameters = f"bf_interval=5,sched_interval=5,sched_min_interval=10000,batch_sched_delay={delay}"
        with PlannedCluster(num_nodes=256, nodes_per_leaf=16, scheduler_parameters=parameters) as cluster:
            _burst(cluster)
            alone, ours = [], []
            for _ in range(rounds):
                alone.append(_burst(cluster))
                cluster.start_daemon()
                ours.append(_burst(cluster))
                cluster.stop_daemon()
        against = "Slurm alone, median of turns"
        reference = statistics.median(alone)
        median = statistics.median(ours)
        target = 1.5 * reference
        table.add(f"64 × 4 nodes running, {words}", median, against=against, reference=reference, at_most=target)


def _burst(cluster: PlannedCluster) -> float:
    began = time.monotonic()
    jobs = [cluster.sbatch("-N4", "--gres=gpu:8", "-t", "5", wrap="sleep 3") for _ in range(64)]
    wait_for(lambda: all_in(cluster, jobs, *BEGUN), timeout_s=60, what="the burst to run")
    took_s = time.monotonic() - began
    wait_for(lambda: all_in(cluster, jobs, "COMPLETED"), timeout_s=60, what="the burst to end")
    time.sleep(random.Random(jobs[0]).uniform(1.0, 2.0))  # another phase of Slurm's tick each time
    return took_s


# ---- load on slurmctld -----------------------------------------------------------------------------------------------


def bench_scale(table: Table, *, nodes: int = 1024, queued: int = 2000, turns: int = 3) -> None:
    """1,024 full nodes and 2,000 waiting jobs in three ways, in turn: Slurm's own, parked with the planner stopped, and
    parked with the planner at work."""
    settings = {"park_s": 600, "poll_s": 1.0}
    found: dict[str, dict[str, list[float]]] = {"Slurm alone": {}, "planner stopped": {}, "planner": {}}
    cycles: list[float] = []
    with PlannedCluster(num_nodes=nodes, nodes_per_leaf=16, leaves_per_pod=8, settings=settings) as cluster:
        fill = [cluster.sbatch("-N16", "--gres=gpu:8", "-t", "60", wrap="sleep 1800") for _ in range(nodes // 16)]
        wait_for(lambda: all_in(cluster, fill, "RUNNING"), timeout_s=90, what="the cluster to fill")
        jobs = [cluster.sbatch(f"-N{2 + i % 7}", "--gres=gpu:8", "-t", "30", wrap="sleep 5") for i in range(queued)]
        for _ in range(turns):
            _update(cluster, jobs, "StartTime=now AdminComment=site")
            _ask(cluster, found["Slurm alone"], seconds=15)
            _update(cluster, jobs, "StartTime=now+600 AdminComment=scaleplan:parked")
            daemon = cluster.start_daemon()
            wait_for(lambda: _parked(cluster) == queued, timeout_s=60, what="the planner to see the queue")
            _ask(cluster, found["planner"], seconds=15)
            cycles += _cycle_times(cluster)
            os.kill(daemon.pid, signal.SIGSTOP)
            time.sleep(1)
            _ask(cluster, found["planner stopped"], seconds=15)
            peak_mib = _peak_mib(daemon.pid)
            cluster.stop_daemon()
        daemon = cluster.start_daemon()
        cluster.run("scancel", *map(str, fill[: nodes // 64]))
        pins = _first_plan(cluster)
        peak_mib = max(peak_mib, _peak_mib(daemon.pid))
        cycles += _cycle_times(cluster)
    for against in ("Slurm alone", "planner stopped"):
        for name in sorted(found["planner"]):
            reference, ours = (statistics.median(found[way][name]) for way in (against, "planner"))
            case = f"{name}, 2,000 waiting jobs"
            table.add(case, ours, unit="ms", against=against, reference=reference, at_most=1.1 * reference)
    table.add("cycle, 1,024 nodes, 2,000 parked jobs, median", statistics.median(cycles), at_most=2.0)
    table.add("the same, longest", max(cycles), at_most=2.0)
    table.add(f"plan of {pins[0]} jobs after a quarter of the nodes is freed", pins[1], at_most=2.0)
    table.add("memory of the daemon, peak", peak_mib, unit="MiB", at_most=500)


def _update(cluster: PlannedCluster, jobs: Sequence[int], words: str) -> None:
    cluster.run("scontrol", text_in="".join(f"update JobId={job} {words}\n" for job in jobs), timeout_s=120)
    time.sleep(2)


def _parked(cluster: PlannedCluster) -> int:
    status = json.loads(cluster.scaleplan("status", "--json", "-c", str(cluster.root / "planner.yaml")).stdout)
    return int(status["metrics"]["parked_jobs"])


def _ask(cluster: PlannedCluster, found: dict[str, list[float]], *, seconds: float) -> None:
    """Ask for some time; note what a user waits, and what slurmctld itself spends on each question by its own count."""
    asks: dict[str, tuple[str, Callable[[], object]]] = {
        "sinfo": ("REQUEST_NODE_INFO", lambda: cluster.run("sinfo", "-h", "-N")),
        "squeue": ("REQUEST_JOB_INFO", lambda: cluster.run("squeue", "-h", "-o", "%i %T")),
        "sbatch": ("REQUEST_SUBMIT_BATCH_JOB", lambda: cluster.sbatch("-N1", "--hold", wrap="true")),
    }
    cluster.run("sdiag", "-r")
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        for name, (_, ask) in asks.items():
            began = time.perf_counter()
            ask()
            found.setdefault(f"{name}, as a user waits", []).append(1e3 * (time.perf_counter() - began))
            time.sleep(0.03)
    spent_us = dict(_RPC.findall(cluster.run("sdiag").stdout))
    for name, (rpc, _) in asks.items():
        found.setdefault(f"{name}, slurmctld's own time", []).append(int(spent_us[rpc]) / 1e3)


def _cycle_times(cluster: PlannedCluster) -> list[float]:
    found = []
    for _ in range(8):
        text = cluster.scaleplan("status", "--json", "-c", str(cluster.root / "planner.yaml")).stdout
        found.append(float(json.loads(text)["metrics"]["cycle_seconds"]))
        time.sleep(0.7)
    return found


def _first_plan(cluster: PlannedCluster) -> tuple[int, float]:
    def plans() -> list[dict[str, object]]:
        return [event for event in cluster.events() if event["event"] == "cycle" and event["pins"]]

    wait_for(plans, timeout_s=60, what="a plan")
    event = plans()[0]
    plan = event["plan"]
    assert isinstance(plan, dict)
    return int(str(event["pins"])), float(plan["plan_s"])


def _peak_mib(pid: int) -> float:
    line = next(line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) / 1024


# ---- quality of a day ------------------------------------------------------------------------------------------------


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
