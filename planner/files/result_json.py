"""The JSON form of results: the same figures that people see, versioned by ``schema``."""

from __future__ import annotations

import math
from typing import Any

from planner.files.placement_file import placement_as_dict
from planner.placement import Placement
from planner.problem import Problem
from planner.result import Result
from planner.score import Score

__all__ = ["finite", "result_as_dict", "score_as_dict"]

RESULT_SCHEMA = "scaleplan/result/1"
NUM_LINKS_TOLD = 20


def finite(value: float) -> float | None:
    """Return the number, or None where JSON has none for it."""
    return value if math.isfinite(value) else None


def score_as_dict(problem: Problem, placement: Placement, score: Score) -> dict[str, Any]:
    """Return components, and per job and link what stands behind them."""
    fabric, report = problem.fabric, score.congestion
    placed = [job for job in problem.jobs if job.id in placement]
    slowdown = report.slowdown()
    jobs = [
        {
            "id": job.id,
            "accelerators": job.accelerators,
            "time_alone_s": finite(float(report.isolated.time_s[j])),
            "time_expected_s": finite(float(report.expected.time_s[j])),
            "time_worst_s": finite(float(report.worst.time_s[j])),
            "slowdown": finite(float(slowdown[j])),
            "bottleneck": _link_name(problem, int(report.worst.bottleneck_link[j])),
        }
        for j, job in enumerate(placed)
    ]
    links = [
        {
            "link": fabric.link_name(int(link)),
            "load_frac": float(report.link_load_frac[link]),
            "demand_frac": float(report.link_demand_frac[link]),
            "jobs": [placed[j].id for j in report.jobs_on(int(link))],
        }
        for link in report.hottest_links(NUM_LINKS_TOLD)
    ]
    return {
        "routing": report.routing,
        "components": {name: finite(value) for name, value in score.components.items()},
        "total": finite(score.total),
        "jobs": jobs,
        "hottest_links": links,
    }


def _link_name(problem: Problem, link: int) -> str | None:
    return None if link < 0 else problem.fabric.link_name(link)


def result_as_dict(problem: Problem, result: Result) -> dict[str, Any]:
    """Return the whole answer of a solver."""
    return {
        "schema": RESULT_SCHEMA,
        "solver": result.solver,
        "status": result.status,
        "seed": result.seed,
        "run_time_s": result.run_time_s,
        "gap": finite(result.gap),
        "bound": {name: finite(value) for name, value in result.bound.items()},
        "score": score_as_dict(problem, result.placement, result.score),
        "refusals": [{"job": r.job_id, "reason": r.reason, "proven": r.proven} for r in result.refusals],
        "placement": placement_as_dict(problem.fabric, result.placement),
        "fabric_fingerprint": result.fabric_fingerprint,
        "versions": dict(result.versions),
    }
