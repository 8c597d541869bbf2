"""The placement view: who stands where, why the rest is idle, and what moves from where to where."""

from __future__ import annotations

import numpy as np

from planner.placement import Placement
from planner.problem import Problem
from planner.report import PlacementStudy
from planner.result import Result
from reports.figures.placement_map import idle_by_cause, moved_jobs, placement_map
from reports.page import Block, Panel, Table
from topologies.fabric import Int64s
from topologies.hostlist import compress_hosts

__all__ = ["map_blocks"]

_MOST_MAPPED_HOSTS = 3000
_MOST_MOVES = 300


def map_blocks(study: PlacementStudy, answer: Result) -> list[Block]:
    """Return the map of the answer, what stands idle by cause, and before and after where jobs run already."""
    return [_map(study, answer), *_idle(study.problem, answer), *_moves(study.problem, answer)]


def _map(study: PlacementStudy, answer: Result) -> Block:
    problem = study.problem
    placed = [
        [i + 1, job.id, job.accelerators, *_spread(problem, answer.placement.ranks[job.id])]
        for i, job in enumerate(problem.jobs)
        if job.id in answer.placement
    ]
    table = Table(["number", "job", "accelerators", "hosts", "leaf groups", "pods"], placed, "Placed jobs")
    if problem.fabric.num_hosts > _MOST_MAPPED_HOSTS:
        lead = "The drawing above shows every host; here is each job's spread."
        return Block("map", "Placed jobs", lead, table=table)
    refused = [job for job in problem.jobs if job.id not in answer.placement]
    return Block(
        "map",
        "Placement map: racks and hosts",
        "One cell a host. Colour and number tell the job with most accelerators on it; hatched hosts are idle, by what "
        "keeps the jobs that are left over from them; hover for all of it.",
        placement_map(problem, answer.placement, refused=refused),
        "Grid of racks and hosts; each cell shows the number of the job on that host, or why it is idle.",
        table,
        short="Map",
    )


def _idle(problem: Problem, answer: Result) -> list[Block]:
    """Return idle accelerators by cause, in total."""
    refused = [job for job in problem.jobs if job.id not in answer.placement]
    idle = {cause: int(counts.sum()) for cause, counts in idle_by_cause(problem, answer.placement, refused).items()}
    words = {
        "free": "free, and nobody is left over",
        "scattered": "stranded: too few free together on the host for any job left over",
        "not enough": "stranded: would do, but not enough of them where the job left over may go",
        "not available": "taken before, drained, broken or reserved",
    }
    total = problem.fabric.num_accelerators
    rows = [[words[cause], count, f"{count / total:.1%}"] for cause, count in idle.items() if count]
    if not rows:
        return []
    rows.insert(0, ["in jobs", total - sum(idle.values()), f"{1 - sum(idle.values()) / total:.1%}"])
    table = Table(["accelerators", "count", "share"], rows)
    return [Block("idle", "What stands idle, and why", table=table, short="Idle")]


def _moves(problem: Problem, answer: Result) -> list[Block]:
    """Return the map before and after with the jobs that move, where jobs run already."""
    if not problem.running:
        return []
    before, after, fabric = Placement(problem.running), answer.placement, problem.fabric
    moved = moved_jobs(before, after)
    accelerators = {job.id: job.accelerators for job in problem.jobs}
    rows = [
        [
            job_id,
            accelerators[job_id],
            int(np.setdiff1d(after.ranks[job_id], before.ranks[job_id]).size),
            _hosts(problem, before.ranks[job_id]),
            _hosts(problem, after.ranks[job_id]),
        ]
        for job_id in moved[:_MOST_MOVES]
    ]
    count = sum(accelerators[job_id] for job_id in moved)
    new = sum(job_id not in before for job_id in after)
    lead = (
        f"{len(moved):,} of {len(before):,} running jobs move, {count:,} accelerators in all; {new:,} jobs are new. "
        "Rings mark hosts of jobs that move."
    )
    panels = []
    if fabric.num_hosts <= _MOST_MAPPED_HOSTS:
        for title, placement in (("Before", before), ("After", after)):
            figure = placement_map(problem, placement, moved=moved)
            panels.append(Panel(title, figure, f"Grid of racks and hosts {title.lower()} the moves."))
    columns = ["job", "accelerators", "of them elsewhere", "from", "to"]
    return [Block("moves", "Before and after", lead, table=Table(columns, rows), panels=panels, short="Moves")]


def _hosts(problem: Problem, ranks: Int64s) -> str:
    fabric = problem.fabric
    return compress_hosts([fabric.host_names[h] for h in np.unique(fabric.accelerator_host[ranks]).tolist()])


def _spread(problem: Problem, ranks: Int64s) -> tuple[int, int, int]:
    fabric = problem.fabric
    hosts = np.unique(fabric.accelerator_host[ranks])
    return len(hosts), len(np.unique(fabric.host_leaf_group[hosts])), len(np.unique(fabric.host_pod[hosts]))
