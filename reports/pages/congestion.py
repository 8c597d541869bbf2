"""Blocks on congestion that several pages share: the explorer with its heat, load by tier, and the jobs' times."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from planner.problem import Problem
from planner.report import Judged
from planner.result import Result
from reports.explorer import explorer_json
from reports.figures.tiers import tier_figure, tiers_of
from reports.page import Block, Table

__all__ = ["explorer_block", "jobs_table", "tiers_block"]

_MOST_EXPLORED = 3
_AT = (0.5, 0.9, 0.99, 1.0)


def explorer_block(problem: Problem, results: Sequence[Result | Judged]) -> Block:
    """Return the explorer of a fabric with the first results on it."""
    fabric, report = problem.fabric, results[0].score.congestion
    rows = []
    for tier in tiers_of(fabric):
        demand = report.link_demand_frac[tier.links]
        rows.append([tier.name, len(tier.links), tier.total_gbps / 1e3, float(demand.mean()), float(demand.max())])
    return Block(
        "fabric",
        "The fabric, who runs where, and how hot its links are",
        "Boxes below hold hosts, coloured and numbered by job; switches stand above. A link's heat is what the "
        "jobs would send, each as fast as alone, over what the link carries.",
        explorer=explorer_json(fabric, problem, results, most_results=_MOST_EXPLORED),
        explorer_views=[r.solver for r in results[:_MOST_EXPLORED]],
        table=Table(["tier", "links", "Tbit/s each way", "mean demand", "worst demand"], rows, fabric.name),
        short="Fabric",
        models=("congestion",),
    )


def tiers_block(problem: Problem, judged: Result | Judged) -> Block:
    """Return how the load lies on each tier."""
    tiers, report = tiers_of(problem.fabric), judged.score.congestion
    rows = [
        [tier.name, len(tier.links), *(float(v) for v in np.quantile(report.link_demand_frac[tier.links], _AT))]
        for tier in tiers
    ]
    return Block(
        "tiers",
        "Load by tier",
        "Where the traffic lies: links by their demand over capacity.",
        tier_figure(tiers, report),
        "Stacked bars: share of each tier's links by demand over capacity.",
        Table(["tier", "links", "median demand", "p90", "p99", "worst"], rows),
        models=("congestion",),
    )


def jobs_table(problem: Problem, judged: Result | Judged) -> Table:
    """Return the communication time of each placed job in the three views, the slowest first."""
    placed = [job for job in problem.jobs if job.id in judged.placement]
    report, fabric = judged.score.congestion, problem.fabric
    slowdown = report.slowdown()
    rows = [
        [
            placed[j].id,
            placed[j].accelerators,
            float(report.isolated.time_s[j]),
            float(report.expected.time_s[j]),
            float(report.worst.time_s[j]),
            f"{slowdown[j]:.2f}×",
            fabric.link_name(int(report.worst.bottleneck_link[j])) if report.worst.bottleneck_link[j] >= 0 else "–",
        ]
        for j in np.argsort(-slowdown, kind="stable").tolist()
    ]
    columns = ["job", "accelerators", "alone s", "expected s", "worst s", "slow-down", "held back by"]
    return Table(columns, rows, f"Communication a step under {judged.solver}, three contention views")
