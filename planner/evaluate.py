"""`evaluate`: the only judge of a placement. No solver reports its own objective."""

from __future__ import annotations

import numpy as np

from planner.collectives.traffic import Demand, JobFlows, job_flows
from planner.congestion.report import CongestionReport
from planner.congestion.score import score_flows
from planner.job import Job
from planner.placement import Placement
from planner.problem import Problem
from planner.score import Score
from topologies.fabric import LinkKind

__all__ = [
    "congestion_of",
    "evaluate",
    "flows_of",
    "group_spread",
    "missed_deadlines",
    "moved_cost",
    "stranded_accelerators",
]

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
        "missed_deadlines": float(missed_deadlines(placed, report)),
        "worst_slowdown": float(slowdown.max(initial=1.0)),
        "excess_slowdown": float((slowdown - 1.0).sum()),
        "unpreferred_accelerators": float(sum(_num_unpreferred(problem, placement, job) for job in placed)),
        "opened_leaf_groups": float(_opened_leaf_groups(problem, placement)),
        "stranded_accelerators": stranded_accelerators(problem, placement),
        "max_group_spread": max((group_spread(problem, placement, job) for job in placed), default=0.0),
        "moves": moved_cost(problem, placement),
        "placed_accelerators": float(sum(job.accelerators for job in placed)),
        "placed_jobs": float(len(placed)),
        "cross_leaf_jobs": float(sum(_num_leaf_groups(problem, placement, job) > 1 for job in placed)),
        "worst_link_load_frac": _worst_link_load_frac(problem, report),
    }
    objective = problem.objective
    return Score(components, objective.key(components), objective.total(components), report)


def flows_of(problem: Problem, placement: Placement) -> JobFlows:
    """Return the flows of the placed jobs, in the order of the problem's jobs."""
    placed = [job for job in problem.jobs if job.id in placement]
    ranks = [placement.ranks[job.id] for job in placed]
    return job_flows(problem.live_fabric, ranks, [job.traffic or _SILENT for job in placed])


def congestion_of(problem: Problem, placement: Placement, *, seed: int = 0) -> CongestionReport:
    """Score the links under a placement: one row a placed job, in the order of the problem's jobs.

    Raises
    ------
    InputError
        If two of a job's accelerators have no way to each other.
    """
    placed = [job for job in problem.jobs if job.id in placement]
    flows = flows_of(problem, placement)
    compute_s = np.array([job.compute_s for job in placed])
    return score_flows(problem.live_fabric, flows, problem.routing_at(seed), compute_s=compute_s)


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


def missed_deadlines(placed: list[Job], report: CongestionReport) -> int:
    """Count jobs that end after their deadline: duration × (compute + communication beside others) / (… alone)."""
    if all(job.duration_s is None or job.deadline_s is None for job in placed):
        return 0
    compute = np.array([job.compute_s for job in placed])
    alone, beside = compute + report.isolated.time_s, compute + report.expected.time_s
    stretch = np.divide(beside, alone, out=np.ones(len(placed)), where=alone > 0)
    return sum(
        job.duration_s is not None and job.deadline_s is not None and job.duration_s * stretch[j] > job.deadline_s
        for j, job in enumerate(placed)
    )


def _num_unpreferred(problem: Problem, placement: Placement, job: Job) -> int:
    if not job.preferred_kinds:
        return 0
    fabric = problem.fabric
    is_preferred = np.array([part.id in job.preferred_kinds for part in fabric.parts] + [False])
    return int(np.count_nonzero(~is_preferred[fabric.node_part[placement.ranks[job.id]]]))


def stranded_accelerators(problem: Problem, placement: Placement) -> float:
    """Return how many free accelerators a job to come could not use, as its host has too few, on average.

    FGD's measure of fragmentation (Weng et al., USENIX ATC 2023) for whole accelerators: Σ over expected sizes of their
    frequency × free accelerators on hosts with fewer free than that size. The expected sizes are the problem's, or
    those of its own jobs: what each takes of one host.
    """
    fabric = problem.fabric
    free = problem.state.free.copy()
    free[placement.used] = False
    a_host = np.bincount(fabric.accelerator_host[free], minlength=fabric.num_hosts)
    largest = int(fabric.host_num_accelerators.max(initial=0))
    expected = problem.expected or tuple(
        (min(job.accelerators_per_host or job.accelerators, largest), 1.0) for job in problem.jobs if not job.is_part
    )
    total = sum(often for _, often in expected)
    if not total:
        return 0.0
    by_room = np.bincount(a_host, minlength=largest + 1) * np.arange(max(largest, int(a_host.max(initial=0))) + 1)
    below = np.concatenate(([0], np.cumsum(by_room)))
    return float(sum(often * below[min(size, len(below) - 1)] for size, often in expected) / total)


def group_spread(problem: Problem, placement: Placement, job: Job, *, pipeline_frac: float = 0.5) -> float:
    """Return the most pods that one group of a job lies in, pipeline and data-parallel groups weighed.

    Arnold's objective (arXiv:2509.15940), α·max DP spread + (1 − α)·max PP spread, for jobs with pipeline stages; 0 for
    others.
    """
    if job.pipeline == 1:
        return 0.0
    pod = problem.fabric.accelerator_pod[placement.ranks[job.id]].reshape(-1, job.pipeline, job.domain_group)
    data = max(len(np.unique(pod[:, stage])) for stage in range(job.pipeline))
    line = max(len(np.unique(pod[replica])) for replica in range(len(pod)))
    return (1 - pipeline_frac) * data + pipeline_frac * line


def moved_cost(problem: Problem, placement: Placement) -> float:
    """Return Σ over running jobs that move of accelerators × cost of a move."""
    cost = 0.0
    for job_id, before in problem.running.items():
        job = problem.jobs[problem.job_idx[job_id]]
        if not np.array_equal(np.sort(before), np.sort(placement.ranks[job_id])):
            cost += job.move_cost * job.accelerators
    return cost


def _worst_link_load_frac(problem: Problem, report: CongestionReport) -> float:
    """Return the largest demand on a scale-out link between switches over its capacity, jobs running as if alone."""
    fabric = problem.fabric
    between = (fabric.link_kind == LinkKind.SCALE_OUT) & (fabric.link_tier > 1)
    return float(report.link_demand_frac[between].max(initial=0.0))
