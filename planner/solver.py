"""The solver Protocol, and the registry by entry points (``scaleplan.solvers``) through which every solver is found."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import entry_points
from typing import Protocol, runtime_checkable

from planner.placement import Placement
from planner.problem import Problem
from planner.result import Result
from topologies.errors import InputError

__all__ = ["Progress", "ProgressListener", "Solver", "get_solver", "solver_names"]

ENTRY_POINT_GROUP = "scaleplan.solvers"


@dataclass(frozen=True, slots=True)
class Progress:
    """Where a solver stands.

    Attributes
    ----------
    elapsed_s
        Since it began.
    best, bound
        Of the objective's first level.
    phase
        What it is doing, for people.
    note
        Something that a person should know of; mostly empty.
    """

    elapsed_s: float
    best: float
    bound: float
    phase: str
    note: str = ""


ProgressListener = Callable[[Progress], None]


@runtime_checkable
class Solver(Protocol):
    """Places the jobs of a problem.

    A solver may place fewer jobs than asked, never one in part. It returns what it has when the time is up or on
    ``KeyboardInterrupt``, and gives a reason for every job it leaves out.
    """

    name: str

    def solve(
        self,
        problem: Problem,
        *,
        time_limit_s: float,
        seed: int,
        warm_start: Placement | None = None,
        on_progress: ProgressListener | None = None,
    ) -> Result:
        """Return the best placement found within the time limit.

        Raises
        ------
        InputError
            If the time limit is not positive, or the warm start is no placement of this problem.
        """
        ...


def solver_names() -> tuple[str, ...]:
    """Return the names of all installed solvers, sorted."""
    return tuple(sorted({point.name for point in entry_points(group=ENTRY_POINT_GROUP)}))


def get_solver(name: str) -> Solver:
    """Return the solver called `name`.

    Raises
    ------
    InputError
        If none is installed under that name.
    """
    for point in entry_points(group=ENTRY_POINT_GROUP, name=name):
        solver: Solver = point.load()()
        return solver
    raise InputError(
        what="no such solver", where="--solver", found=repr(name), allowed=", ".join(solver_names()) or "none installed"
    )
