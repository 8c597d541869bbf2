"""Slow-down by cp-sat against the schedulers' own rules, on clusters with a history (2:1 and 4:1, 80 to 95 % full).

1,024 hosts, batches of up to 100 jobs beside those that run; `SEEDS` in the environment sets the number of seeds.
"""

from __future__ import annotations

import os
import statistics

from planner.evaluate import evaluate
from planner.placement import Placement
from planner.solver import get_solver
from tests.benchmarks.placement.problems import congested, problem
from tests.benchmarks.table import Table

_BASELINES = ("slurm-tree", "best-fit", "first-fit", "kueue-best-fit", "kueue-least-free", "slurm-block", "fgd")
_LIMIT_S = 10.0
_CUT_FRAC = 0.3
_GAP_FRAC = 0.05


def bench(table: Table) -> None:
    import ortools.sat.python.cp_model  # noqa: F401

    _loose(table)
    every: list[float] = []
    for oversubscription in (2.0, 4.0):
        cuts, gaps, of_batch, worse = [], [], [], 0
        for seed in range(int(os.environ.get("SEEDS", "10"))):
            asked = congested(1024, 100, seed=seed, oversubscription=oversubscription)
            before = evaluate(asked, Placement(asked.running))["excess_slowdown"]
            scores = {n: get_solver(n).solve(asked, time_limit_s=_LIMIT_S, seed=1).score for n in _BASELINES}
            ours = get_solver("cp-sat").solve(asked, time_limit_s=_LIMIT_S, seed=1)
            worse += any(score.key > ours.score.key for score in scores.values())
            theirs = scores["slurm-tree"]["excess_slowdown"]
            if theirs > 0:
                cuts.append(1 - ours.score["excess_slowdown"] / theirs)
                if theirs > before:
                    of_batch.append((theirs - ours.score["excess_slowdown"]) / (theirs - before))
            excess, bound = ours.score["excess_slowdown"], ours.bound["excess_slowdown"]
            gaps.append((excess - bound) / max(1.0, excess))
        name = f"{oversubscription:g}:1, 1,024 hosts"
        table.add(f"{name}: total slow-down cut against slurm-tree, median", statistics.median(cuts), unit="frac")
        table.add(f"{name}: the same, worst", min(cuts), unit="frac")
        table.add(f"{name}: the same, of what the batch adds", statistics.median(of_batch), unit="frac")
        table.add(f"{name}: instances on which a baseline scores better", worse, unit="", at_most=0)
        table.add(f"{name}: gap of the total slow-down, median", statistics.median(gaps), unit="frac")
        every += cuts
    table.add(
        "total slow-down cut against slurm-tree, median of all",
        statistics.median(every),
        unit="frac",
        at_least=_CUT_FRAC,
    )


def _loose(table: Table) -> None:
    """Add the gap of both levels of congestion where nobody of the batch runs already."""
    worst, excess, behind = [], [], 0
    for tight in (False, True):
        for seed in range(int(os.environ.get("SEEDS", "10"))):
            asked = problem(1024, 100, seed=seed, tight=tight)
            ours = get_solver("cp-sat").solve(asked, time_limit_s=_LIMIT_S, seed=1)
            scores = [get_solver(n).solve(asked, time_limit_s=600, seed=1).score for n in _BASELINES]
            behind += any(score.key > ours.score.key for score in scores)
            worst.append(1 - ours.bound["worst_slowdown"] / ours.score["worst_slowdown"])
            total = ours.score["excess_slowdown"] - ours.bound["excess_slowdown"]
            excess.append(total / max(1.0, ours.score["excess_slowdown"]))
    name = "2:1, 1,024 hosts, 100 jobs, nobody runs yet"
    table.add(f"{name}: gap of the worst slow-down, worst", max(worst), unit="frac", at_most=_GAP_FRAC)
    table.add(f"{name}: gap of the total slow-down, worst", max(excess), unit="frac", at_most=_GAP_FRAC)
    table.add(f"{name}: instances on which a baseline scores better", behind, unit="", at_most=0)
