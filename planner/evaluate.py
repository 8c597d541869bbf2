"""`evaluate`: the only judge of a placement. No solver reports its own objective."""

from __future__ import annotations

import numpy as np

from planner.collectives.traffic import Demand, job_flows
from planner.congestion.report import CongestionReport
from planner.congestion.score import score_flows
from planner.job import Job
from planner.placement import Placement
from planner.problem import Problem
from planner.score import Score
from topologies.fabric import LinkKind
from topologies.routing.named import routing_named

__all__ = ["congestion_of", "evaluate"]

_SILENT = Demand(size_bytes=0)


def evaluate(problem: Problem, placement: Placement, *, seed: int = 0) -> Score:
    """Judge a placement.

    Parameters
    ----------
    seed
        Of the routing's hashes, if the problem's routing has any.

    Raises
    ------
    InputError
        If the placement does not fit the problem; see `Placement.faults`.
    """
    placement.check(problem)
    placed = [job for job in problem.jobs if job.id in placement]
    report = congestion_of(problem, placement, seed=seed)
    slowdown = report.slowdown() if placed else np.ones(0)
    components = {
        "placed_weight": float(sum(job.weight for job in placed)),
        "worst_slowdown": float(slowdown.max(initial=1.0)),
        "excess_slowdown": float((slowdown - 1.0).sum()),
        "opened_leaf_groups": float(_opened_leaf_groups(problem, placement)),
        "moves": 0.0,
        "placed_accelerators": float(sum(job.accelerators for job in placed)),
        "placed_jobs": float(len(placed)),
        "cross_leaf_jobs": float(sum(_num_leaf_groups(problem, placement, job) > 1 for job in placed)),
        "worst_link_load_frac": _worst_link_load_frac(problem, report),
    }
    objective = problem.objective
    return Score(components, objective.key(components), objective.total(components), report)


def congestion_of(problem: Problem, placement: Placement, *, seed: int = 0) -> CongestionReport:
    """Score the links under a placement: one row a placed job, in the order of the problem's jobs.

    Raises
    ------
    InputError
        If two of a job's accelerators have no way to each other.
    """
    placed = [job for job in problem.jobs if job.id in placement]
    flows = job_flows(
        problem.fabric,
        [placement.ranks[job.id] for job in placed],
        [job.traffic or _SILENT for job in placed],
    )
    compute_s = np.array([job.compute_s for job in placed])
    return score_flows(problem.fabric, flows, routing_named(problem.routing, seed=seed), compute_s=compute_s)


def _num_leaf_groups(problem: Problem, placement: Placement, job: Job) -> int:
    fabric = problem.fabric
    return len(np.unique(fabric.host_leaf_group[fabric.accelerator_host[placement.ranks[job.id]]]))


def _opened_leaf_groups(problem: Problem, placement: Placement) -> int:
    """Count leaf groups that were wholly free before and have a job now."""
    fabric = problem.fabric
    group = fabric.host_leaf_group[fabric.accelerator_host]
    busy = np.bincount(group[~problem.state.free], minlength=fabric.num_leaf_groups) > 0
    used = np.bincount(group[placement.used], minlength=fabric.num_leaf_groups) > 0
    return int(np.count_nonzero(used & ~busy))


def _worst_link_load_frac(problem: Problem, report: CongestionReport) -> float:
    """Return the largest demand on a scale-out link between switches over its capacity, jobs running as if alone."""
    fabric = problem.fabric
    between = (fabric.link_kind == LinkKind.SCALE_OUT) & (fabric.link_tier > 1)
    return float(report.link_demand_frac[between].max(initial=0.0))
