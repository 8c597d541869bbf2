"""Builds the counts model of an inventory and a list of jobs, solves it, and reads the answer."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

from planner.job import Job
from solvers.cp_sat.classes import HostClasses, Request, host_classes, requests
from solvers.cp_sat.clock import Clock
from solvers.cp_sat.constraints import Chunk, Constraints
from solvers.cp_sat.interruptible import solve
from solvers.cp_sat.memory import require_room
from solvers.cp_sat.objective import WEIGHT_SCALE, move_cost, placed_weight, spread_penalty
from solvers.cp_sat.variables import Variables, make_variables
from solvers.inventory import Inventory, Taken
from topologies.fabric import Float64s, Int64s

__all__ = ["Counts", "CountsModel", "Goal", "build_model"]

Goal = Literal["weight", "spread", "moves"]

_MODEL_S = 0.02  # what building a model counts as in a repeatable run
_NUM_WORKERS = 2  # the smallest machine we promise speed on; one on request for a repeatable search


@dataclass(frozen=True, eq=False)
class Counts:
    """An answer of the counts model.

    Attributes
    ----------
    chunks
        ``(request, size, class)`` → how many.
    loose, spares
        ``(request, class)`` → accelerators cut otherwise, and hosts held idle.
    fillings
        ``class`` → kinds of chunk, and (how many of each on one host, hosts filled so) pairs.
    placed
        For each request how many of its jobs.
    stays
        Ids of running jobs that stay where they are.
    weight
        Priority-weighted accelerators placed.
    bound
        Of the model's goal: the most weight, or the least cost of moves; 0 for spread.
    is_proven
        True if no better answer of the model exists.
    also
        Values of further variables.
    """

    chunks: dict[tuple[int, int, int], int]
    loose: dict[tuple[int, int], int]
    spares: dict[tuple[int, int], int]
    fillings: dict[int, tuple[list[Chunk], list[tuple[tuple[int, ...], int]]]]
    placed: list[int]
    stays: frozenset[str]
    weight: float
    bound: float
    is_proven: bool
    also: dict[Any, int] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class CountsModel:
    """A CP-SAT model with what is needed to read its answer."""

    model: Any
    variables: Variables
    asked: list[Request]
    classes: HostClasses
    goal: Goal
    running: Mapping[str, Taken]

    def hint(self, placed_jobs: set[str]) -> None:
        """Tell CP-SAT which jobs a known placement holds."""
        for request, variable in zip(self.asked, self.variables.placed, strict=True):
            self.model.add_hint(variable, sum(job.id in placed_jobs for job in request.jobs))

    def solve(
        self,
        *,
        time_limit_s: float,
        seed: int,
        clock: Clock | None = None,
        on_bound: Callable[[float], None] | None = None,
        also: Mapping[Any, Any] | None = None,
    ) -> Counts | None:
        """Return the best answer found, or None if none was.

        Parameters
        ----------
        clock
            A repeatable one asks for one worker and a limit of deterministic time; it is charged with what was used.
        on_bound
            Called with every better bound on the weight.
        also
            Further variables whose values are wanted: `Counts.also`.
        """
        from ortools.sat.python import cp_model

        solver = cp_model.CpSolver()
        solver.parameters.random_seed = seed % 2**31
        clock = clock or Clock()
        solver.parameters.num_workers = 1 if clock.is_repeatable else _NUM_WORKERS
        if clock.is_repeatable:
            solver.parameters.max_deterministic_time = time_limit_s
        else:
            solver.parameters.max_time_in_seconds = max(time_limit_s, 0.01)
        told = None if on_bound is None or self.goal != "weight" else (lambda bound: on_bound(bound / WEIGHT_SCALE))
        status = solve(solver, self.model, on_bound=told)
        clock.charge(_MODEL_S + solver.response_proto.deterministic_time)
        if status not in (cp_model.OPTIMAL, cp_model.FEASIBLE):
            return None
        counts = self._read(solver, is_proven=status == cp_model.OPTIMAL)
        counts.also.update({key: int(solver.value(variable)) for key, variable in (also or {}).items()})
        return counts

    def _read(self, solver: Any, *, is_proven: bool) -> Counts:
        variables = self.variables
        placed = [int(solver.value(v)) for v in variables.placed]
        weight = sum(n * request.job.weight for n, request in zip(placed, self.asked, strict=True))

        def values(found: dict[Any, Any]) -> dict[Any, int]:
            return {key: n for key, v in found.items() if (n := int(solver.value(v)))}

        return Counts(
            values(variables.chunks),
            values(variables.loose),
            values(variables.spares),
            {
                c: (chunks, [(pattern, int(solver.value(times))) for pattern, times in filled])
                for c, (chunks, filled) in variables.fillings.items()
            },
            placed,
            frozenset(self.asked[r].job.id for r, stay in variables.stays.items() if solver.value(stay.stays)),
            weight,
            self._bound(solver, weight if is_proven else None),
            is_proven,
        )

    def _bound(self, solver: Any, proven_weight: float | None) -> float:
        if self.goal == "weight" and proven_weight is not None:
            return proven_weight
        return 0.0 if self.goal == "spread" else float(solver.best_objective_bound) / WEIGHT_SCALE

    @property
    def narrow_weight(self) -> float:
        """Weight of the jobs that could be placed in ways the model does not know."""
        return sum(request.weight for request in self.asked if request.cut == "narrow")


def build_model(
    inventory: Inventory,
    jobs: Sequence[Job],
    *,
    goal: Goal = "weight",
    rings_left: Float64s | None = None,
    least_weight: float = 0.0,
    with_loose: bool = True,
    by_place: bool = True,
    among: Int64s | None = None,
    running: Mapping[str, Taken] | None = None,
) -> CountsModel:
    """Build the model of jobs on whole accelerators.

    Parameters
    ----------
    goal
        ``weight``: the most weight placed. ``spread``: least spread and overflow of uplinks, and ``moves``: least cost
        of moves, among placements worth at least `least_weight`.
    rings_left
        For ``spread``: ``(num_leaf_groups,)`` full-rate rings that each group's uplinks can still carry.
    with_loose
        Whether jobs may be cut otherwise than into as few hosts as can be.
    by_place
        False to leave out everything about places: a relaxation, for bounds.
    among
        Hosts to look at; None for all.
    running
        Jobs among `jobs` that run, with what they have (free in `inventory`): they stay, or are placed elsewhere.

    Raises
    ------
    TooLargeError
        If the model would not fit into memory.
    """
    from ortools.sat.python import cp_model

    model = cp_model.CpModel()
    fabric = inventory.fabric
    running = running or {}
    mark = _marks(inventory, running)
    classes = host_classes(inventory, jobs, mark=mark, by_place=by_place, among=among)
    has_wide_domains = int(np.bincount(fabric.host_domain).max()) > 1
    largest = int(fabric.host_num_accelerators.max())
    asked = requests(jobs, largest, has_wide_domains=has_wide_domains, apart=set(running))
    require_room(len(classes) * len(asked))
    variables = make_variables(
        model, asked, classes, with_loose=with_loose, by_place=by_place, running=_pieces_of(inventory, running, classes)
    )
    constraints = Constraints(model, variables, asked, classes)
    constraints.all_or_nothing()
    constraints.host_capacity()
    constraints.hosts_apart()
    if by_place:
        constraints.same_domain()
        constraints.domain_groups()
        constraints.segments()
        constraints.spread_limits()
        constraints.spare_hosts()
        constraints.isolation()
        constraints.anti_affinity()
    weight = placed_weight(variables, asked)
    if goal == "weight":
        model.maximize(weight)
    else:
        model.add(weight >= int(least_weight * WEIGHT_SCALE))
        if goal == "spread" and rings_left is not None:
            model.minimize(spread_penalty(constraints, asked, classes, rings_left))
        else:
            model.minimize(move_cost(variables, asked))
    return CountsModel(model, variables, asked, classes, goal, running)


def _marks(inventory: Inventory, running: Mapping[str, Taken]) -> Int64s | None:
    """Tell hosts apart by what runs on them, ``(num_hosts,)``."""
    if not running:
        return None
    fabric = inventory.fabric
    content: dict[int, list[tuple[int, int]]] = {}
    for i, taken in enumerate(running.values()):
        hosts, counts = np.unique(fabric.accelerator_host[taken.ranks], return_counts=True)
        for host, count in zip(hosts.tolist(), counts.tolist(), strict=True):
            content.setdefault(host, []).append((i, count))
    numbers: dict[tuple[tuple[int, int], ...], int] = {}
    mark = np.zeros(fabric.num_hosts, np.int64)
    for host, there in content.items():
        mark[host] = numbers.setdefault(tuple(there), len(numbers) + 1)
    return mark


def _pieces_of(
    inventory: Inventory, running: Mapping[str, Taken], classes: HostClasses
) -> dict[str, tuple[tuple[int, int, int], ...]]:
    """Return for each running job how many hosts of each class it has so many accelerators on."""
    class_of = {int(h): c for c, hosts in enumerate(classes.hosts) for h in hosts} if running else {}
    pieces = {}
    for job_id, taken in running.items():
        hosts, counts = np.unique(inventory.fabric.accelerator_host[taken.ranks], return_counts=True)
        found = Counter((class_of[h], n) for h, n in zip(hosts.tolist(), counts.tolist(), strict=True))
        pieces[job_id] = tuple((c, size, num) for (c, size), num in sorted(found.items()))
    return pieces
