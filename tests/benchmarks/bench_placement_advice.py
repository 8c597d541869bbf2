"""One change at a time in a cluster of 100,000 accelerators; why, defrag; and a plain model beside the counts model."""

from __future__ import annotations

import os
import time
from dataclasses import replace
from typing import Any

import numpy as np

from planner.advice import Remedy
from planner.job import Job
from planner.placement import Placement
from planner.problem import Problem
from planner.solver import get_solver
from planner.state import Availability, ClusterState
from solvers.advisors.defrag import defrag
from solvers.advisors.live import LiveCluster
from solvers.advisors.why import why
from solvers.cp_sat.model import build_model
from solvers.inventory import Inventory
from tests.benchmarks.placement.problems import clos, problem
from tests.benchmarks.table import Table
from topologies.errors import InfeasibleError


def bench(table: Table) -> None:
    import ortools.sat.python.cp_model  # noqa: F401

    _live(table)
    _why(table)
    _defrag(table)
    _plain(table)


def _live(table: Table) -> None:
    asked = problem(12500, 500, seed=0, tight=True)
    live = LiveCluster(asked)
    spent = []
    for job in asked.jobs:
        began = time.perf_counter()
        live.place(job.id)
        spent.append(time.perf_counter() - began)
    table.add("one job into 12,500 hosts, p50", float(np.percentile(spent, 50)), unit="s")
    table.add("one job into 12,500 hosts, p99", float(np.percentile(spent, 99)), unit="s", at_most=0.020)
    fabric = clos(12500)
    big = Job("big", 500 * 8, accelerators_per_host=8)
    live = LiveCluster(Problem(fabric, ClusterState.empty(fabric), (big,)))
    live.place("big")
    spent, moved = [], []
    for _ in range(20):
        before = live.placement.ranks["big"]
        host = fabric.host_names[int(fabric.accelerator_host[before[8]])]
        began = time.perf_counter()
        after = live.replace_host("big", host)
        spent.append(time.perf_counter() - began)
        moved.append(len(np.unique(fabric.accelerator_host[before[before != after]])))
    table.add("a failed host patched in a job of 500 hosts, worst of 20", max(spent), unit="s", at_most=0.050)
    table.add("hosts moved for that, worst", float(max(moved)), unit="", at_most=1)


def _why(table: Table) -> None:
    """Ask why of 200 refusals and more; hold each verdict and remedy against cp-sat, the others staying put."""
    spent, confirmed, remedies, held = [], 0, 0, 0
    for seed in range(int(os.environ.get("SEEDS", "16"))):
        asked = problem(1024, 100, seed=seed, tight=True)
        result = get_solver("best-fit").solve(asked, time_limit_s=600, seed=1)
        for refused in result.refusals[:20]:
            began = time.perf_counter()
            answer = why(asked, result.placement, refused.job_id)
            spent.append(time.perf_counter() - began)
            confirmed += not answer.fits and not _solved(asked, result.placement, refused.job_id, Remedy(""))
            for remedy in answer.remedies:
                remedies += 1
                held += _solved(asked, result.placement, refused.job_id, remedy)
    table.add("why at 1,024 hosts, median", float(np.median(spent)))
    table.add(f"why at 1,024 hosts, worst of {len(spent)} refusals", max(spent), at_most=0.3)
    table.add("refusals asked about", len(spent), unit="", at_least=200)
    table.add("verdicts that cp-sat confirms", confirmed / len(spent), unit="frac", at_least=1.0)
    table.add(f"remedies of {remedies} with which cp-sat places the job", held / remedies, unit="frac", at_least=1.0)


def _solved(asked: Problem, now: Placement, job_id: str, remedy: Remedy) -> bool:
    """Tell whether cp-sat places a job with a remedy, beside those that stay as they are."""
    none = np.empty(0, np.int64)
    stay = {other: ranks for other, ranks in now.ranks.items() if other not in remedy.job_ids}
    held = np.concatenate([*(now.spares.get(other, none) for other in stay), none])
    state = asked.state.with_hosts(asked.fabric, remedy.hosts, Availability.FREE)
    job = asked.jobs[asked.job_idx[job_id]]
    wanted = {*stay, job_id, *remedy.job_ids} - set(remedy.ended)
    jobs = [replace(job, **dict(remedy.changes)), *(other for other in asked.jobs if other.id != job_id)]
    jobs = [replace(j, spare_hosts=0 if j.id in stay else j.spare_hosts, traffic=None) for j in jobs if j.id in wanted]
    state = state.with_accelerators(held, Availability.RESERVED)
    again = Problem(asked.fabric, state, tuple(jobs), running=stay)
    return set(get_solver("cp-sat").solve(again, time_limit_s=5, seed=1).placement) == wanted


def _defrag(table: Table) -> None:
    gaps, spent, found = [], [], 0
    for seed in range(6):
        rng = np.random.default_rng(seed)
        fabric = clos(1024)
        sizes = rng.choice([8, 16, 16, 32, 64, 64], 200)
        jobs = tuple(
            Job(f"j{i}", int(n), accelerators_per_host=8, movable=True, move_cost=float(rng.integers(1, 5)))
            for i, n in enumerate(sizes)
        )
        placed = get_solver("random").solve(
            Problem(fabric, ClusterState.empty(fabric), jobs), time_limit_s=5, seed=seed
        )
        asked = Problem(fabric, ClusterState.empty(fabric), jobs)
        began = time.perf_counter()
        try:
            plan = defrag(
                asked,
                placed.placement,
                Job("new", 28 * 8, accelerators_per_host=8, max_leaf_groups=1),
                time_limit_s=10,
            )
        except InfeasibleError:
            continue
        spent.append(time.perf_counter() - began)
        gaps.append((plan.cost - plan.bound) / max(plan.cost, 1.0))
        found += 1
    table.add("defrag at 1,024 hosts, 200 jobs: plans found of 6", found, unit="", at_least=6)
    table.add("defrag at 1,024 hosts, 200 jobs: worst gap", max(gaps, default=1.0), unit="frac", at_most=0.05)
    table.add("defrag at 1,024 hosts, 200 jobs: slowest", max(spent, default=0.0), unit="s", at_most=12.0)


def _plain(table: Table) -> None:
    """Set the counts model beside one with a Boolean for each job and host."""
    from ortools.sat.python import cp_model

    for num_hosts in (64, 256):
        asked = problem(num_hosts, 100, seed=1, tight=False)
        began = time.perf_counter()
        counts = build_model(Inventory(asked), asked.jobs)
        answer = counts.solve(time_limit_s=10, seed=1)
        ours = time.perf_counter() - began
        began = time.perf_counter()
        plain = _plain_model(asked)
        solver: Any = cp_model.CpSolver()
        solver.parameters.max_time_in_seconds = 10
        solver.parameters.num_workers = 2
        solver.solve(plain)
        theirs = time.perf_counter() - began
        name = f"{num_hosts} hosts, 100 jobs"
        size = len(counts.model.proto.variables), len(plain.proto.variables)
        table.add(f"{name}: variables", size[0], against="a Boolean a job and host", reference=size[1], unit="")
        table.add(f"{name}: seconds, 10 at most", ours, against="a Boolean a job and host", reference=theirs)
        assert answer is not None
        gaps = (
            (answer.bound - answer.weight) / answer.bound,
            (solver.best_objective_bound - solver.objective_value) / solver.best_objective_bound,
        )
        table.add(f"{name}: gap", gaps[0], against="a Boolean a job and host", reference=gaps[1], unit="frac")


def _plain_model(asked: Problem) -> Any:
    from ortools.sat.python import cp_model

    model = cp_model.CpModel()
    fabric = asked.fabric
    free = np.bincount(fabric.accelerator_host[asked.state.free], minlength=fabric.num_hosts)
    used: list[list[Any]] = [[] for _ in range(fabric.num_hosts)]
    worth = []
    for job in asked.jobs:
        each = job.accelerators_per_host or job.accelerators
        on = []
        for host in np.flatnonzero(free >= each).tolist():
            there = model.new_bool_var("")
            used[host].append(each * there)
            on.append(there)
        placed = model.new_bool_var("")
        model.add(sum(on) == job.accelerators // each * placed)
        worth.append(round(job.weight) * placed)
    for host, taken in enumerate(used):
        if taken:
            model.add(sum(taken) <= int(free[host]))
    model.maximize(sum(worth))
    return model
