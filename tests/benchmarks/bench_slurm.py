"""The Slurm daemon beside Slurm alone, on a real Slurm: latency of a burst, load on slurmctld."""

from __future__ import annotations

import json
import os
import random
import re
import signal
import statistics
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from tests.benchmarks.table import Table
from tests.fixtures.suites import find_suites
from tests.slurm.emulator import wait_for
from tests.slurm.planned import PlannedCluster, all_in

_RPC = re.compile(r"^\s+(\w+)\s+\(\s*\d+\) count:\d+\s+ave_time:(\d+)", re.MULTILINE)
BEGUN = ("RUNNING", "COMPLETING", "COMPLETED")


def bench(table: Table) -> None:
    need_slurm()
    bench_burst(table)
    bench_scale(table)


def need_slurm() -> None:
    """Say what is missing, and end."""
    obstacle = next(suite.obstacle() for suite in find_suites() if suite.name == "tests/slurm")
    if obstacle:
        raise SystemExit(f"bench slurm: {obstacle}")


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
            wait_for(lambda: _parked(cluster) >= queued, timeout_s=240, what="the planner to see the queue")
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
