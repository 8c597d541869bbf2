"""What every solver must hold to, as one function that a test calls: `check_solver`.

An outside solver is tested the same way::

    from solvers.contract import check_solver

    def test_mine():
        check_solver(MySolver())
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from planner.collectives.traffic import Demand
from planner.evaluate import evaluate
from planner.job import Job
from planner.objective import LEVELS
from planner.placement import Placement
from planner.problem import Problem
from planner.result import Result
from planner.solver import Progress, Solver
from planner.state import Availability, ClusterState
from topologies.builder import FabricBuilder
from topologies.errors import InputError
from topologies.fabric import Fabric
from topologies.names import NameTemplate

__all__ = ["ContractError", "check_solver", "contract_problems"]

_TIME_LIMIT_S = 2.0


class ContractError(AssertionError):
    """A solver breaks the contract; the message says how."""


def check_solver(solver: Solver, *, time_limit_s: float = _TIME_LIMIT_S) -> None:
    """Hold a solver to the contract on a set of small problems.

    Raises
    ------
    ContractError
        Naming the problem and the first thing that is wrong.
    """
    _require(isinstance(solver.name, str) and bool(solver.name), "contract", "a solver has a name")
    for name, problem in contract_problems().items():
        heard: list[Progress] = []
        result = solver.solve(problem, time_limit_s=time_limit_s, seed=1, on_progress=heard.append)
        _check_result(name, problem, result)
        _require(result.solver == solver.name, name, "the result names its solver")
        again = solver.solve(problem, time_limit_s=time_limit_s, seed=1, warm_start=result.placement)
        _check_result(f"{name}, warm", problem, again)
        _require(again.score["placed_weight"] >= result.score["placed_weight"], name, "a warm start is not made worse")
    _check_refusals_of_calls(solver)


def _check_result(name: str, problem: Problem, result: Result) -> None:
    faults = result.placement.faults(problem)
    _require(not faults, name, f"the placement fits the problem: {faults[:1]}")
    judged = evaluate(problem, result.placement, seed=result.seed)
    _require(dict(judged.components) == dict(result.score.components), name, "the score is evaluate's own")
    left_out = {job.id for job in problem.jobs} - set(result.placement)
    _require({r.job_id for r in result.refusals} == left_out, name, "every job left out has a reason, no other has")
    _require(all(r.reason for r in result.refusals), name, "a reason is not empty")
    _require(result.fabric_fingerprint == problem.fabric.fingerprint, name, "the fabric's fingerprint is kept")
    _require(set(result.bound) == set(problem.objective.levels), name, "each level has a bound")
    for level in problem.objective.levels:
        sense = LEVELS[level].sense
        tolerance = 1e-6 * max(1.0, abs(result.score[level]))
        honest = sense * result.bound[level] >= sense * result.score[level] - tolerance
        _require(honest, name, f"the bound of {level} is not beaten by the answer itself")
    if result.status == "optimal":
        _require(result.gap <= 1e-9, name, "optimal means no gap")


def _check_refusals_of_calls(solver: Solver) -> None:
    problem = contract_problems()["two jobs"]
    wrong = Placement({"a": np.array([0, 0, 1, 1])})
    calls: list[tuple[str, Callable[[], Result]]] = [
        ("a time limit of 0", lambda: solver.solve(problem, time_limit_s=0, seed=1)),
        ("a warm start that does not fit", lambda: solver.solve(problem, time_limit_s=1, seed=1, warm_start=wrong)),
    ]
    for what, call in calls:
        try:
            call()
        except InputError:
            continue
        _require(False, "contract", f"{what} is refused with an InputError")


def _require(holds: bool, problem: str, what: str) -> None:
    if not holds:
        msg = f"{problem}: broken: {what}"
        raise ContractError(msg)


def contract_problems() -> dict[str, Problem]:
    """Return the problems, by name: loose, over-full, fragmented, limited, and with nothing free."""
    fabric = _fabric()
    empty = ClusterState.empty(fabric)
    ring = Demand(1e9, "all-reduce", "ring")
    drained = empty.with_hosts(fabric, ["h0", "h5"], Availability.DRAINED)
    fragmented = drained.with_taken(fabric, "h1", 3).with_taken(fabric, "h2", 1).with_taken(fabric, "h7", 2)
    everything = empty.with_accelerators(np.arange(fabric.num_accelerators), Availability.TAKEN)
    mixed = (
        Job("whole", 8, accelerators_per_host=4, traffic=ring, priority=2.0),
        Job("one-leaf", 8, max_leaf_groups=1, traffic=ring),
        Job("domain", 3, same_domain=True),
        Job("alone", 2, exclusive=True),
        Job("open", 5, traffic=ring),
        *(Job(f"small-{i}", 1 + i % 2) for i in range(5)),
    )
    return {
        "no job": Problem(fabric, empty, ()),
        "two jobs": Problem(fabric, empty, (Job("a", 4, traffic=ring), Job("b", 6, traffic=ring))),
        "limits": Problem(fabric, empty, mixed),
        "fragmented": Problem(fabric, fragmented, mixed),
        "over-full": Problem(fabric, drained, tuple(Job(f"j{i}", 3 + i % 3, priority=1 + i % 2) for i in range(12))),
        "nothing free": Problem(fabric, everything, (Job("a", 1),)),
        "by ecmp": Problem(fabric, empty, mixed, routing="ecmp"),
    }


def _fabric() -> Fabric:
    """Return 8 hosts of 4 accelerators on 4 leaves in 2 pods, 2:1 oversubscribed at the spines."""
    builder = FabricBuilder("contract")
    hosts = builder.add_hosts(NameTemplate("h{}", (8,)), accelerators=4, nics=2, host_link_bytes_per_s=50e9)
    inside = builder.add_switches(NameTemplate("nv{}", (8,)), scale_up=True)
    leaves = builder.add_switches(NameTemplate("leaf{}", (4,)), tier=1)
    spines = builder.add_switches(NameTemplate("spine{}", (2,)), tier=2)
    core = builder.add_switches(["core"], tier=3)
    builder.add_cables(hosts.accelerator, inside[:, None], rate_bytes_per_s=400e9)
    builder.add_cables(hosts.nic, leaves.repeat(2)[:, None], rate_bytes_per_s=25e9)
    builder.add_cables(leaves, spines.repeat(2), rate_bytes_per_s=50e9)
    builder.add_cables(spines, core, rate_bytes_per_s=50e9)
    return builder.build()
