"""`Placement`: which accelerators each job gets, in rank order."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING

import numpy as np

from topologies.errors import InputError
from topologies.fabric import Int64s

if TYPE_CHECKING:
    from planner.problem import Problem

__all__ = ["Placement"]


@dataclass(frozen=True, eq=False)
class Placement:
    """Job id → accelerators in rank order. A job that is not placed does not stand in it.

    Rank ``r`` of a job runs on ``ranks[job_id][r]``. Rank order is part of the answer: neighbouring ranks are
    neighbours in a ring.

    Attributes
    ----------
    ranks
        What each job runs on.
    spares
        Accelerators held idle for a job that asks for spare hosts.
    """

    ranks: Mapping[str, Int64s] = field(default_factory=dict)
    spares: Mapping[str, Int64s] = field(default_factory=dict)

    def __post_init__(self) -> None:
        object.__setattr__(self, "ranks", _frozen(self.ranks))
        object.__setattr__(self, "spares", _frozen({job_id: a for job_id, a in self.spares.items() if len(a)}))

    def __len__(self) -> int:
        return len(self.ranks)

    def __iter__(self) -> Iterator[str]:
        return iter(self.ranks)

    def __contains__(self, job_id: object) -> bool:
        return job_id in self.ranks

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Placement):
            return NotImplemented
        return all(
            mine.keys() == theirs.keys() and all(np.array_equal(a, theirs[job_id]) for job_id, a in mine.items())
            for mine, theirs in ((self.ranks, other.ranks), (self.spares, other.spares))
        )

    __hash__ = None  # type: ignore[assignment]

    @property
    def used(self) -> Int64s:
        """All accelerators in use or held as spares, in no order."""
        return np.concatenate([*self.ranks.values(), *self.spares.values(), np.empty(0, np.int64)])

    def only(self, job_ids: Iterator[str] | set[str]) -> Placement:
        """Return the placement of some jobs only."""
        chosen = set(job_ids)
        return Placement(
            {job_id: a for job_id, a in self.ranks.items() if job_id in chosen},
            {job_id: a for job_id, a in self.spares.items() if job_id in chosen},
        )

    def faults(self, problem: Problem) -> list[str]:
        """Return every way in which this is no answer to the problem, in words; empty if it is one."""
        from planner.faults import placement_faults

        return placement_faults(problem, self)

    def check(self, problem: Problem, *, where: str = "") -> None:
        """Refuse a placement that is no answer to the problem.

        Parameters
        ----------
        where
            What the message names, as a file; the fabric if left out.

        Raises
        ------
        InputError
            With the first fault, and how many more there are.
        """
        faults = self.faults(problem)
        if faults:
            more = f" (and {len(faults) - 1} more)" if len(faults) > 1 else ""
            raise InputError(
                what="the placement does not fit the problem",
                where=where or problem.fabric.name,
                found=faults[0] + more,
            )


def _frozen(lists: Mapping[str, Int64s]) -> Mapping[str, Int64s]:
    frozen: dict[str, Int64s] = {}
    for job_id, accelerators in lists.items():
        array = np.array(accelerators, np.int64)
        array.setflags(write=False)
        frozen[job_id] = array
    return MappingProxyType(frozen)
