"""`Result`: what a solver answers."""

from __future__ import annotations

import platform
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from typing import Literal

from planner.objective import LEVELS, Objective
from planner.placement import Placement
from planner.score import Score
from topologies.html_table import html_table

__all__ = ["Refusal", "Result", "Status", "versions"]

Status = Literal["optimal", "feasible", "unknown"]


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a job is not placed.

    Attributes
    ----------
    job_id
        Which.
    reason
        In words, with figures.
    proven
        True if no placement worth as much could hold the job; False if the solver merely found none.
    """

    job_id: str
    reason: str
    proven: bool = False


@dataclass(frozen=True, eq=False)
class Result:
    """A solver's answer, judged by `evaluate`.

    Attributes
    ----------
    status
        ``optimal`` if the first level meets its bound, ``feasible`` if there is a placement (perhaps of no job at all),
        ``unknown`` if the solver stopped before it had one.
    placement, score
        The answer, and what `planner.evaluate.evaluate` says of it.
    bound
        For each level of the objective, in `Score`'s units, a value that no placement beats that is as good in all
        levels before.
    refusals
        One for every job that is not placed.
    run_time_s, seed, solver, versions, fabric_fingerprint
        How it was made.
    """

    status: Status
    placement: Placement
    score: Score
    objective: Objective
    bound: Mapping[str, float]
    refusals: tuple[Refusal, ...]
    run_time_s: float
    seed: int
    solver: str
    fabric_fingerprint: str
    versions: Mapping[str, str] = field(default_factory=lambda: versions())

    def _repr_html_(self) -> str:
        """Return what a notebook shows: status and gap, the components, and who was refused why."""
        head: list[list[object]] = [["status", self.status], ["gap", f"{self.gap:.2%}"], ["seconds", self.run_time_s]]
        told = html_table(self.solver, [*head, *self.score.components.items()])
        refused = [[refusal.job_id, refusal.reason] for refusal in self.refusals[:50]]
        return told + (html_table(f"{len(self.refusals):,} not placed", refused) if refused else "")

    @property
    def gap(self) -> float:
        """How far the first level, or the weighted sum, may be from its bound, as a part of that; 0 is proven best."""
        if self.objective.weights is not None:
            best = self.objective.total(self.bound)
            return max(0.0, best - self.score.total) / max(abs(best), abs(self.score.total), 1e-12)
        name = self.objective.levels[0]
        level, bound = LEVELS[name], self.bound[name]
        missing = level.sense * (bound - self.score[name])
        return max(0.0, missing / abs(bound)) if bound else 0.0


def versions() -> dict[str, str]:
    """Return the versions that an answer hangs on."""
    found = {"python": platform.python_version()}
    for name in ("scaleplan", "numpy", "scipy", "networkx", "ortools"):
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "not installed"
    return found
