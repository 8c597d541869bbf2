"""The cheapest jobs to move away so that others fit: a small model of hosts, which bounds every plan of moves."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from planner.job import Job
from planner.problem import Problem
from solvers.cp_sat.interruptible import solve
from solvers.inventory import Inventory
from topologies.fabric import Int64s

__all__ = ["Eviction", "EvictionModel", "groups_to_try"]

_SCALE = 1000
_WORKERS = 2


@dataclass(frozen=True)
class Eviction:
    """Which jobs move away, and where those that come go.

    Attributes
    ----------
    moved
        Ids of jobs that leave.
    hosts
        For each job that comes: ``(host, accelerators)`` pairs.
    cost
        Σ accelerators × cost of a move.
    bound
        The least that any such choice costs.
    """

    moved: frozenset[str]
    hosts: tuple[tuple[tuple[int, int], ...], ...]
    cost: float
    bound: float


class EvictionModel:
    """Chooses hosts for jobs that come, among what is free and what jobs that move would leave.

    Parameters
    ----------
    problem
        With all jobs.
    inventory
        What is free while the movable jobs stand where they are.
    movable
        Job id → its accelerators.
    wanted
        Jobs that come.
    among
        Hosts they may take.

    Attributes
    ----------
    is_impossible
        Whether the last `solve` has shown that no choice makes room.
    """

    def __init__(
        self,
        problem: Problem,
        inventory: Inventory,
        movable: Mapping[str, Int64s],
        wanted: Sequence[Job],
        *,
        among: Int64s,
    ) -> None:
        from ortools.sat.python import cp_model

        self.model: Any = cp_model.CpModel()
        self.wanted = wanted
        self.is_impossible = False
        fabric = problem.fabric
        self.among = among.tolist()
        here = np.isin(fabric.accelerator_host, among)
        movable = {job_id: ranks for job_id, ranks in movable.items() if here[ranks].any()}
        self.moves = {job_id: self.model.new_bool_var(f"moves[{job_id}]") for job_id in movable}
        there: dict[int, list[tuple[str, int]]] = defaultdict(list)
        for job_id, ranks in movable.items():
            hosts, counts = np.unique(fabric.accelerator_host[ranks], return_counts=True)
            for host, count in zip(hosts.tolist(), counts.tolist(), strict=True):
                there[host].append((job_id, count))
        self.given: list[dict[int, Any]] = [{} for _ in wanted]
        on_host: dict[int, list[Any]] = defaultdict(list)
        for k, job in enumerate(wanted):
            self._ask(k, job, problem, inventory, there, on_host)
        free = np.bincount(fabric.accelerator_host[inventory.free], minlength=fabric.num_hosts)
        for host, taken in on_host.items():
            left = sum(count * self.moves[job_id] for job_id, count in there[host])
            self.model.add(sum(taken) <= int(free[host]) + left)
        cost = {
            job_id: round(job.move_cost * job.accelerators * _SCALE)
            for job_id, job in ((i, problem.jobs[problem.job_idx[i]]) for i in movable)
        }
        self.model.minimize(sum(cost[job_id] * moves for job_id, moves in self.moves.items()))

    def _ask(
        self,
        k: int,
        job: Job,
        problem: Problem,
        inventory: Inventory,
        there: Mapping[int, list[tuple[str, int]]],
        on_host: dict[int, list[Any]],
    ) -> None:
        """Let one job take hosts by its rules: a share a host or any number, spread, segments, one domain."""
        fabric, model = problem.fabric, self.model
        accepts = np.bincount(
            fabric.accelerator_host[problem.accepts(job)], minlength=fabric.num_hosts
        )  # whoever holds them now
        could = inventory.usable(job)
        each = job.accelerators_per_host
        in_leaf: dict[int, list[Any]] = defaultdict(list)
        in_pod: dict[int, list[Any]] = defaultdict(list)
        in_domain: dict[int, list[Any]] = defaultdict(list)
        for host in self.among:
            most = min(int(accepts[host]), int(could[host]) + sum(count for _, count in there.get(host, [])))
            if most < (each or 1):
                continue
            if each is None:
                size = model.new_int_var(0, min(most, job.accelerators), f"takes[{k},{host}]")
            else:
                size = each * model.new_bool_var(f"takes[{k},{host}]")
            self.given[k][host] = size
            on_host[host].append(size)
            if job.exclusive:  # nobody else stays there
                uses = model.new_bool_var(f"alone[{k},{host}]")
                model.add(size <= most * uses)
                for job_id, _ in there.get(host, []):
                    model.add_implication(uses, self.moves[job_id])
            in_leaf[int(fabric.host_leaf_group[host])].append(size)
            in_pod[int(fabric.host_pod[host])].append(size)
            in_domain[int(fabric.host_domain[host])].append(size)
        model.add(sum(self.given[k].values()) == job.accelerators)
        for limit, groups, label in (
            (job.max_leaf_groups, in_leaf, "leaf"),
            (job.max_pods, in_pod, "pod"),
            (1 if job.same_domain else None, in_domain, "domain"),
        ):
            if limit is not None:
                used = []
                for g, sizes in groups.items():
                    touched = model.new_bool_var(f"{label}[{k},{g}]")
                    model.add(sum(sizes) <= job.accelerators * touched)
                    used.append(touched)
                model.add(sum(used) <= limit)
        if job.segment_hosts and each:
            for g, sizes in in_leaf.items():
                times = model.new_int_var(0, job.accelerators // each // job.segment_hosts, f"segments[{k},{g}]")
                model.add(sum(sizes) == each * job.segment_hosts * times)

    def solve(self, *, time_limit_s: float, seed: int) -> Eviction | None:
        """Return the cheapest choice found, or None if none was."""
        from ortools.sat.python import cp_model

        solver: Any = cp_model.CpSolver()
        solver.parameters.random_seed = seed % 2**31
        solver.parameters.num_workers = _WORKERS
        solver.parameters.max_time_in_seconds = max(time_limit_s, 0.01)
        status = solve(solver, self.model)
        self.is_impossible = status == cp_model.INFEASIBLE
        if status not in (cp_model.OPTIMAL, cp_model.FEASIBLE):
            return None
        return Eviction(
            frozenset(job_id for job_id, moves in self.moves.items() if solver.value(moves)),
            tuple(
                tuple((host, n) for host, size in given.items() if (n := int(solver.value(size))))
                for given in self.given
            ),
            float(solver.objective_value) / _SCALE,
            max(0.0, float(solver.best_objective_bound) / _SCALE),
        )

    def forbid(self, moved: frozenset[str]) -> None:
        """Rule out that exactly these jobs move."""
        self.model.add_bool_or([moves.negated() if job_id in moved else moves for job_id, moves in self.moves.items()])


def groups_to_try(problem: Problem, wanted: Sequence[Job]) -> list[Int64s]:
    """Return the hosts of every leaf group, pod or domain if one job must lie in one; else all hosts as one."""
    fabric = problem.fabric
    if len(wanted) == 1:
        job = wanted[0]
        for is_one, group in (
            (job.same_domain, fabric.host_domain),
            (job.max_leaf_groups == 1, fabric.host_leaf_group),
            (job.max_pods == 1, fabric.host_pod),
        ):
            if is_one:
                return [np.flatnonzero(group == g) for g in np.unique(group).tolist()]
    return [np.arange(fabric.num_hosts)]
