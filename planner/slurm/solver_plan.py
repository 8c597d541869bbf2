"""The join with the planner: a batch becomes a `Problem`, a solver places it, `evaluate` judges it."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from planner.collectives.definitions import Collective
from planner.collectives.traffic import Demand
from planner.evaluate import evaluate
from planner.job import Job
from planner.placement import Placement
from planner.problem import Problem
from planner.result import Result
from planner.score import Score
from planner.slurm.batch import BatchAnswer, BatchRequest
from planner.slurm.load import leaf_loads
from planner.slurm.records import NodeRecord, SlurmTopology, TopologyUnit
from planner.slurm.room import Ask, Bools, Ints, Room, build_room
from planner.slurm.slurm_fabric import DEFAULT_OVERSUBSCRIPTION, fabric_of_room
from planner.solver import Solver, get_solver
from planner.state import Availability, ClusterState
from topologies.errors import InputError
from topologies.fabric import Fabric

__all__ = ["SolverPlan", "ring_score"]

# What a job sends a step when nobody says: gradients of a model of half a billion parameters in bf16. Only ratios
# between placements are read off it.
DEFAULT_STEP_BYTES = 2.0**30
_LEAST_TIME_S = 0.05
_QUICK_S, _QUICK_S_A_JOB = 0.25, 0.01
_NOTHING = 1e-9
Key = tuple[str, int]


class SolverPlan:
    """Places batches by a solver of the planner.

    Parameters
    ----------
    solver
        Name of an entry point of ``scaleplan.solvers``.
    oversubscription
        Assumed at the leaf switches when only Slurm's topology is known.

    Raises
    ------
    InputError
        If there is no such solver.
    """

    def __init__(self, solver: str, *, oversubscription: float = DEFAULT_OVERSUBSCRIPTION) -> None:
        self._solver: Solver = get_solver(solver)
        self._oversubscription = oversubscription
        self._fabric: tuple[Any, Fabric] | None = None
        self._warm_up()

    def _warm_up(self) -> None:
        """Place one job on two hosts, so that the first real plan does not wait for libraries to load."""
        nodes = [NodeRecord(f"n{i}", "IDLE", frozenset(), 1, 0, 1, 0, 1, 0, "", (), ()) for i in range(4)]
        leaves = tuple(TopologyUnit(f"s{i}", 0, (f"n{2 * i}", f"n{2 * i + 1}")) for i in range(2))
        room = build_room(nodes, SlurmTopology("tree", leaves))
        job = Ask("0", 0, 2, 1, 1, 0, False, np.ones(4, np.bool_))
        self.plan(BatchRequest([job], {job.key: np.array([0, 2])}, {}, room, None, 1.0, 0))

    def plan(self, request: BatchRequest) -> BatchAnswer:
        """Place the batch; the start is kept where the solver has nothing better.

        Raises
        ------
        ScaleplanError
            If the fabric does not know a host, or the solver refuses the problem.
        """
        if _is_ideal(request):
            crossing = sum(len(np.unique(request.room.leaf[hosts])) > 1 for hosts in request.start.values())
            figures = {"solver": "leaf-fit", "status": "optimal", "crossing_jobs": crossing}
            return BatchAnswer(dict(request.start), figures)
        fabric = self._fabric_for(request)
        host_of = self._host_numbers(fabric, request.room)
        placed = dict(request.start)
        figures = {}
        until = time.monotonic() + request.time_limit_s
        for asks, usable in _groups(request):
            others = [(ask, placed[ask.key]) for ask in request.asks if ask not in asks]
            left_s = max(_LEAST_TIME_S, until - time.monotonic())
            found, figures = self._place(request, fabric, host_of, asks, usable, others, left_s)
            placed |= found
        return BatchAnswer(placed, figures)

    def _solve(self, problem: Problem, warm: Placement, left_s: float, seed: int) -> Result:
        """Solve in two stages: jobs wait meanwhile, so the second is left out if no link slows anybody down by then."""
        quick_s = min(left_s, _QUICK_S, _LEAST_TIME_S + _QUICK_S_A_JOB * len(problem.jobs))
        result = self._solver.solve(problem, time_limit_s=quick_s, seed=seed, warm_start=warm)
        rest_s = left_s - result.run_time_s
        ideals = (("worst_slowdown", 1.0), ("excess_slowdown", 0.0))
        slow = any(result.score[name] > result.bound.get(name, ideal) + _NOTHING for name, ideal in ideals)
        if not slow or rest_s < _LEAST_TIME_S:
            return result
        return self._solver.solve(problem, time_limit_s=rest_s, seed=seed, warm_start=result.placement)

    def _fabric_for(self, request: BatchRequest) -> Fabric:
        if request.fabric is not None:
            return request.fabric
        room = request.room
        key = (room.hosts, room.groups.tobytes(), room.gpus.tobytes())
        if self._fabric is None or self._fabric[0] != key:
            self._fabric = (key, fabric_of_room(room, oversubscription=self._oversubscription))
        return self._fabric[1]

    @staticmethod
    def _host_numbers(fabric: Fabric, room: Room) -> Ints:
        """``(H,)``: number of each of Slurm's hosts in the fabric; −1 for one that it does not know."""
        found = [fabric.host_names.find(host) for host in room.hosts]
        return np.array([-1 if i is None else i for i in found], np.int64)

    def _place(
        self,
        request: BatchRequest,
        fabric: Fabric,
        host_of: Ints,
        asks: Sequence[Ask],
        usable: Bools,
        others: Sequence[tuple[Ask, Ints]],
        left_s: float,
    ) -> tuple[dict[Key, Ints], dict[str, Any]]:
        room = request.room
        start = {ask.key: request.start[ask.key] for ask in asks}
        if any((host_of[hosts] < 0).any() for hosts in start.values()):
            raise InputError(
                what="the fabric does not know a host of Slurm's",
                where=fabric.name,
                found=next(room.hosts[i] for hosts in start.values() for i in hosts if host_of[i] < 0),
                fix="give the hosts of the fabric file the names Slurm has for them",
            )
        left = room.take([ask.taken(hosts, 0.0) for ask, hosts in others])
        state = _state(fabric, host_of, left, usable)
        jobs = tuple(_job(ask, room) for ask in asks)
        slot = _Slots(fabric, host_of, state)
        warm = {_id(ask): slot.take(ask, room, start[ask.key]) for ask in asks}
        beside = [(ref, hosts, gpus) for ref, hosts, gpus in request.running]
        beside += [(_id(ask), hosts, _gpus(ask, room)) for ask, hosts in others]
        neighbours, running, state = _neighbours(fabric, host_of, room, state, beside)
        problem = Problem(fabric, state, (*jobs, *neighbours), running=running)
        result = self._solve(problem, Placement(warm | running), left_s, request.seed)
        found = {ask.key: slot.hosts(result.placement.ranks[_id(ask)]) for ask in asks if _id(ask) in result.placement}
        best = found if len(found) == len(asks) else dict(start)
        figures: dict[str, Any] = {
            "solver": result.solver,
            "status": result.status,
            "gap": round(result.gap, 6),
            "solver_s": round(result.run_time_s, 3),
            "worst_slowdown": round(float(result.score["worst_slowdown"]), 4),
            "worst_link_load": round(float(result.score["worst_link_load_frac"]), 4),
            "crossing_jobs": int(result.score["cross_leaf_jobs"]),
        }
        if best is not start:
            costs = _costs(request, fabric, host_of, asks, others, start, best)
            figures |= {"worst_slowdown_beside_running": round(costs[1][0], 4), "leaf_crossings": costs[1][2]}
            if costs[1] >= costs[0]:
                return dict(start), figures | {"kept": "start"}
        return best, figures


def _is_ideal(request: BatchRequest) -> bool:
    """Whether no solver can load the uplinks less, beyond doubt.

    Each job of the start touches as few leaves as its size allows on an empty cluster, and those that touch several
    share none of them with another such job, running or new.
    """
    leaf = request.room.leaf
    sizes = np.sort(np.bincount(leaf))[::-1].cumsum()
    crossing = [np.unique(leaf[hosts]) for _, hosts, _ in request.running]
    for hosts in request.start.values():
        touched = np.unique(leaf[hosts])
        if len(touched) > int(np.searchsorted(sizes, len(hosts))) + 1:
            return False
        crossing.append(touched)
    shared = np.bincount(np.concatenate([t for t in crossing if len(t) > 1] or [np.empty(0, np.int64)]), minlength=1)
    new_leaves = [t for t in crossing[len(request.running) :] if len(t) > 1]
    return all((shared[touched] == 1).all() for touched in new_leaves)


def _groups(request: BatchRequest) -> list[tuple[list[Ask], Bools]]:
    """Group jobs by the hosts they may use: one problem a group, in the order of its most urgent job."""
    groups: dict[bytes, tuple[list[Ask], Bools]] = {}
    for ask in request.asks:
        usable = ask.fits(request.room)
        if ask.key in request.forbidden:
            usable &= ~request.forbidden[ask.key]
        groups.setdefault(usable.tobytes(), ([], usable))[0].append(ask)
    return list(groups.values())


def _id(ask: Ask) -> str:
    return f"{ask.ref}@{ask.submit_s}"


def _gpus(ask: Ask, room: Room) -> int:
    """Accelerators a node that the plan reserves: those asked for, or the whole node."""
    if ask.gpus and not ask.whole_nodes:
        return ask.gpus
    return max(1, int(room.gpus[ask.candidates].min()) if ask.candidates.any() else 1)


def _job(ask: Ask, room: Room) -> Job:
    gpus = _gpus(ask, room)
    intent = ask.intent
    pattern: Collective = "all-to-all" if intent.pattern == "all-to-all" or intent.ep > gpus else "all-reduce"
    base = len(room.block_sizes) > 0 and ask.in_blocks and not ask.segment_nodes
    most = -(-ask.num_nodes // room.block_sizes[0]) if base else None
    if ask.max_leaves:
        most = min(most or ask.max_leaves, ask.max_leaves)
    return Job(
        id=_id(ask),
        accelerators=ask.num_nodes * gpus,
        accelerators_per_host=gpus,
        tenant=str(ask.user_id),
        exclusive=ask.whole_nodes or not ask.gpus,
        max_leaf_groups=most,
        traffic=Demand(DEFAULT_STEP_BYTES, pattern),
    )


def _state(fabric: Fabric, host_of: Ints, room: Room, usable: Bools) -> ClusterState:
    """Mark as free what is: the last `gpus_free` accelerators of each usable host."""
    availability = np.full(fabric.num_accelerators, Availability.RESERVED, np.uint8)
    start = fabric.host_accelerator_start
    for i in np.flatnonzero(usable & (host_of >= 0)):
        first, last = int(start[host_of[i]]), int(start[host_of[i] + 1])
        free = min(int(room.gpus_free[i]) if room.gpus[i] else last - first, last - first)
        availability[first:last] = Availability.TAKEN
        availability[last - free : last] = Availability.FREE
    return ClusterState(availability)


def _neighbours(
    fabric: Fabric,
    host_of: Ints,
    room: Room,
    state: ClusterState,
    beside: Sequence[tuple[str, Ints, int]],
) -> tuple[list[Job], dict[str, Ints], ClusterState]:
    """Return the jobs that stay where they are and share leaf switches' uplinks with what is placed.

    Parameters
    ----------
    beside
        Name, hosts in rank order, and GPUs a host of each.

    Returns
    -------
    tuple
        Jobs, their accelerators, and the state with those counted as free, as `Problem.running` wants it.
    """
    availability = state.availability.copy()
    jobs, running = [], {}
    for ref, hosts, gpus in beside:
        if gpus < 1 or (host_of[hosts] < 0).any() or len(np.unique(room.leaf[hosts])) < 2:
            continue
        chosen = []
        for host in host_of[hosts]:
            accelerators = fabric.host_accelerators(int(host))
            chosen.append(accelerators[availability[accelerators] != Availability.FREE][:gpus])
        ranks = np.concatenate(chosen).astype(np.int64)
        if len(ranks) != gpus * len(hosts):
            continue  # Slurm counts what this job holds in another way: leave it out of the loads
        availability[ranks] = Availability.FREE
        name = f"beside-{ref}"
        jobs.append(Job(id=name, accelerators=len(ranks), traffic=Demand(DEFAULT_STEP_BYTES)))
        running[name] = ranks
    return jobs, running, ClusterState(availability)


class _Slots:
    """Hands out accelerators of hosts for a warm start, and reads hosts off an answer."""

    def __init__(self, fabric: Fabric, host_of: Ints, state: ClusterState) -> None:
        self._fabric, self._host_of = fabric, host_of
        self._free = state.free.copy()
        self._room_number = np.full(fabric.num_hosts, -1, np.int64)
        known = host_of >= 0
        self._room_number[host_of[known]] = np.flatnonzero(known)

    def take(self, ask: Ask, room: Room, hosts: Ints) -> Ints:
        ranks = []
        for host in hosts:
            accelerators = self._fabric.host_accelerators(int(self._host_of[host]))
            chosen = accelerators[self._free[accelerators]][: _gpus(ask, room)]
            self._free[chosen] = False
            ranks.append(chosen)
        return np.concatenate(ranks).astype(np.int64)

    def hosts(self, ranks: Ints) -> Ints:
        """Return the hosts of an answer, by the order of its ranks."""
        numbers = self._room_number[self._fabric.accelerator_host[ranks]]
        _, first = np.unique(numbers, return_index=True)
        ordered: Ints = numbers[np.sort(first)]
        return ordered


def _costs(
    request: BatchRequest,
    fabric: Fabric,
    host_of: Ints,
    asks: Sequence[Ask],
    others: Sequence[tuple[Ask, Ints]],
    start: Mapping[Key, Ints],
    best: Mapping[Key, Ints],
) -> list[tuple[float, float, int]]:
    """Return what start and answer cost beside what runs: worst slow-down, the sum of all, rings that leave leaves."""
    leaf = request.room.leaf
    fixed = [(f"running-{ref}", hosts, gpus) for ref, hosts, gpus in request.running]
    fixed += [(_id(ask), hosts, ask.gpus) for ask, hosts in others]
    fixed = [one for one in fixed if len(np.unique(leaf[one[1]])) > 1]  # the others share no link
    costs = []
    for placed in (start, best):
        every = fixed + [(_id(ask), placed[ask.key], ask.gpus) for ask in asks]
        score = ring_score(fabric, host_of, every, request.seed)
        crossings = int(leaf_loads(request.room, [placed[ask.key] for ask in asks]).sum())
        costs.append((round(score["worst_slowdown"], 6), round(score["excess_slowdown"], 6), crossings))
    return costs


def ring_score(fabric: Fabric, host_of: Ints, every: Sequence[tuple[str, Ints, int]], seed: int) -> Score:
    """Judge jobs beside each other, all of them rings through their hosts in order.

    Parameters
    ----------
    host_of
        ``(H,)``: number in the fabric of each of Slurm's hosts.
    every
        Name, hosts in rank order, and GPUs a host of each job.
    """
    used = np.zeros(fabric.num_hosts, np.int64)
    jobs, ranks = [], {}
    for job_id, hosts, gpus in every:
        chosen = []
        for host in host_of[hosts[host_of[hosts] >= 0]]:
            accelerators = fabric.host_accelerators(int(host))
            first = int(used[host])
            chosen.append(accelerators[first : first + max(1, gpus)])
            used[host] += max(1, gpus)
        flat = np.concatenate([*chosen, np.empty(0, np.int64)])
        if len(chosen) > 1 and len(flat) == len(chosen) * max(1, gpus):
            jobs.append(Job(id=job_id, accelerators=len(flat), traffic=Demand(DEFAULT_STEP_BYTES)))
            ranks[job_id] = flat
    problem = Problem(fabric, ClusterState.empty(fabric), tuple(jobs))
    return evaluate(problem, Placement(ranks), seed=seed)
