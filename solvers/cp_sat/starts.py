"""Greedy starts: several policies, several orders; the best is where CP-SAT goes on from."""

from __future__ import annotations

from collections.abc import Callable

from planner.job import Job
from planner.placement import Placement
from solvers.cp_sat.search import Search
from solvers.fgd import Fgd
from solvers.fitting import Policy
from solvers.greedy import in_order, merged, place_in_order, start_of
from solvers.inventory import Inventory
from solvers.kueue import KueueTas
from solvers.policies import BestFit, FirstFit, SlurmTree
from solvers.slurm_block import SlurmBlock

__all__ = ["greedy_starts"]

_START_S = 1e-5  # what a job, and as much for each thousand hosts, counts as in a repeatable run

_Order = Callable[[list[Job]], list[Job]]


def _by_size(jobs: list[Job]) -> list[Job]:
    return sorted(jobs, key=lambda job: (-job.priority, -job.accelerators))


def _by_limits(jobs: list[Job]) -> list[Job]:
    """Order jobs by priority, those with most limits first within one."""

    def hard(job: Job) -> int:
        limits = (job.same_domain, job.exclusive, job.isolation, job.segment_hosts, job.max_leaf_groups, job.max_pods)
        return sum(bool(limit) for limit in limits) + bool(job.kinds) + bool(job.spare_hosts)

    return sorted(jobs, key=lambda job: (-job.priority, -hard(job), -job.accelerators))


def greedy_starts(search: Search, warm_start: Placement | None) -> None:
    """Take the best of the warm start and of greedy placements in several orders; the baselines' own in any case."""
    problem = search.problem
    if warm_start is not None:
        search.offer(warm_start, "warm start")
    kept = start_of(problem, None)
    policies: tuple[Policy, ...] = (BestFit(), SlurmTree(), FirstFit())
    orders: tuple[_Order, ...] = (in_order, _by_size, _by_limits)
    found: list[Placement] = []
    for order in orders:
        for policy in policies:
            if order is not in_order and search.left_s <= 0:
                break
            waiting = order([job for job in problem.jobs if job.id not in kept])
            search.clock.charge(_START_S * len(waiting) * (1 + problem.fabric.num_hosts / 1000))
            placed, left_out = place_in_order(Inventory(problem, kept), waiting, policy)
            found.append(merged(kept, placed))
            search.offer_weight(found[-1], "greedy starts")
            if not left_out and len(found) >= len(policies):
                break
    waiting = in_order(job for job in problem.jobs if job.id not in kept)
    others: tuple[Policy, ...] = (KueueTas(least_free=False), KueueTas(least_free=True), Fgd(), SlurmBlock())
    for policy in others:
        if search.left_s <= 0:
            break
        search.clock.charge(_START_S * len(waiting) * (1 + problem.fabric.num_hosts / 1000))
        found.append(merged(kept, place_in_order(Inventory(problem, kept), waiting, policy)[0]))
        search.offer_weight(found[-1], "greedy starts")
    best = search.weight
    for placement in found:
        if search.left_s > 0 and search.weight_of(placement) >= best:
            search.offer(placement, "greedy starts")
