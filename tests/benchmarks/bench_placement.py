"""Placement by cp-sat on generated problems: gap of the first level, time, memory; beside the best baseline.

Ten seeds, loose and tight constraints, 60 to 90 % occupied. ``SEEDS`` in the environment sets another number of seeds,
``SIZES`` a subset of the sizes, as in ``SIZES=64x100,1024x100``. OR-Tools is imported before the clock starts.
"""

from __future__ import annotations

import os
import statistics
import time

from planner.result import Result
from planner.solver import Progress, get_solver
from tests.benchmarks.measure import peak_memory_bytes
from tests.benchmarks.placement.problems import clos, problem
from tests.benchmarks.table import Table

# Issue D's targets: hosts, jobs, time limit s, gap allowed (median, worst), memory MB.
_TARGETS = (
    (64, 100, 0.2, 1e-9, 1e-9, 150),
    (1024, 100, 3.0, 1e-3, 1e-3, 200),
    (1024, 500, 10.0, 1e-3, 1e-3, 250),
    (4096, 500, 20.0, 3e-3, 3e-3, 300),
    (12500, 500, 30.0, 5e-3, 15e-3, 500),
)
_BASELINES = ("first-fit", "best-fit", "slurm-tree")
_MEGA = 1e6


def _seeds() -> range:
    return range(int(os.environ.get("SEEDS", "10")))


def _settled_s(result: Result, heard: list[Progress]) -> float:
    """When the answer's weight and bound were both there."""
    weight, bound = result.score["placed_weight"], result.bound["placed_weight"]
    for told in heard:
        if told.best >= weight - 1e-6 and told.bound <= bound + 1e-6:
            return told.elapsed_s
    return result.run_time_s


def bench(table: Table) -> None:
    import ortools.sat.python.cp_model  # noqa: F401

    wanted = os.environ.get("SIZES", "")
    for num_hosts, num_jobs, limit_s, median, worst, megabytes in _TARGETS:
        if wanted and f"{num_hosts}x{num_jobs}" not in wanted.split(","):
            continue
        clos(num_hosts)
        gaps: list[float] = []
        over_baseline: list[float] = []
        settled: list[float] = []
        for tight in (False, True):
            name = f"{num_hosts:,} hosts, {num_jobs} jobs, {'tight' if tight else 'loose'}"
            here: list[float] = []
            for seed in _seeds():
                asked = problem(num_hosts, num_jobs, seed=seed, tight=tight)
                heard: list[Progress] = []
                result = get_solver("cp-sat").solve(asked, time_limit_s=limit_s, seed=1, on_progress=heard.append)
                here.append(result.gap)
                settled.append(_settled_s(result, heard))
                best = max(
                    get_solver(base).solve(asked, time_limit_s=limit_s, seed=1).score["placed_weight"]
                    for base in _BASELINES
                )
                over_baseline.append(result.score["placed_weight"] / best - 1)
            gaps += here
            table.add(f"{name}: median gap", statistics.median(here), unit="frac", at_most=median)
            table.add(f"{name}: worst gap", max(here), unit="frac", at_most=worst)
        size = f"{num_hosts:,} hosts, {num_jobs} jobs"
        table.add(f"{size}: median gap of all", statistics.median(gaps), unit="frac", at_most=median)
        table.add(f"{size}: seconds until weight and bound stood, median", statistics.median(settled), unit="s")
        table.add(f"{size}: seconds until weight and bound stood, worst", max(settled), unit="s", at_most=limit_s)
        table.add(f"{size}: weight over the best baseline's, median", statistics.median(over_baseline), unit="frac")

        def solve(hosts: int = num_hosts, jobs: int = num_jobs, limit_s: float = limit_s) -> None:
            get_solver("cp-sat").solve(problem(hosts, jobs, seed=0, tight=True), time_limit_s=limit_s, seed=1)

        memory = peak_memory_bytes(solve) / _MEGA
        table.add(f"{size}: memory of a solve, fabric and libraries apart", memory, unit="MB", at_most=megabytes)
        began = time.perf_counter()
        get_solver("best-fit").solve(problem(num_hosts, num_jobs, seed=0, tight=True), time_limit_s=limit_s, seed=1)
        table.add(f"{size}: seconds of best-fit", time.perf_counter() - began, unit="s")
