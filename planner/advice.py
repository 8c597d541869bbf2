"""What advisors answer: why a job does not fit, how many more would, and what to move; found by entry points."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import entry_points
from typing import Any, Literal

from planner.placement import Placement
from topologies.errors import InputError
from topologies.fabric import Int64s

__all__ = ["Move", "Moves", "Obstacle", "Remedy", "Slots", "Why", "advisor_names", "get_advisor"]

ENTRY_POINT_GROUP = "scaleplan.advisors"


@dataclass(frozen=True, slots=True)
class Obstacle:
    """A smallest set of things that stand in a job's way together: without them it would fit.

    Attributes
    ----------
    families
        What they are: ``kinds``, ``max_leaf_groups``, ``max_pods``, ``isolation``, ``drained``, ``occupied`` …
    text
        In words, with figures.
    """

    families: tuple[str, ...]
    text: str


@dataclass(frozen=True, slots=True)
class Remedy:
    """Something that makes the job fit; each was tried out.

    Attributes
    ----------
    text
        In words.
    hosts
        Hosts to bring back, or to be left by others, by name.
    job_ids
        Jobs that move or end.
    changes
        Fields of the job to change, with their new values.
    ended
        Those of `job_ids` that find no other place.
    """

    text: str
    hosts: tuple[str, ...] = ()
    job_ids: tuple[str, ...] = ()
    changes: tuple[tuple[str, Any], ...] = ()
    ended: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Why:
    """Why a job does not fit, or that it does.

    Attributes
    ----------
    job_id
        Which.
    fits
        Whether it fits into what is free now; then there is nothing else to say.
    asked
        What it asks for, in words.
    obstacles
        All smallest sets of things in its way.
    remedies
        What would help.
    """

    job_id: str
    fits: bool
    asked: str
    obstacles: tuple[Obstacle, ...] = ()
    remedies: tuple[Remedy, ...] = ()

    @property
    def text(self) -> str:
        """One sentence with the first obstacle, and the first remedies."""
        if self.fits:
            return f"{self.job_id} fits now"
        told = f"{self.job_id} needs {self.asked}; {self.obstacles[0].text if self.obstacles else 'nothing helps'}"
        return told + "".join(f"; {remedy.text}" for remedy in self.remedies[:2])


@dataclass(frozen=True, slots=True)
class Slots:
    """How many more jobs of one shape fit now, all at once.

    Attributes
    ----------
    shape
        The id of the job asked about.
    found, bound
        So many were placed; no more than so many can be.
    """

    shape: str
    found: int
    bound: int


@dataclass(frozen=True, eq=False)
class Move:
    """One step: a job stops, starts, or goes from some accelerators to others that are free at that time.

    Attributes
    ----------
    job_id, action
        Who and what.
    source, target
        Accelerators before and after, in rank order; empty where there is none.
    """

    job_id: str
    action: Literal["move", "stop", "start"]
    source: Int64s
    target: Int64s


@dataclass(frozen=True, eq=False)
class Moves:
    """A plan of moves.

    Attributes
    ----------
    steps
        In an order in which no accelerator is ever held twice.
    placement
        How it is in the end.
    cost, bound
        Σ accelerators × cost of a move of the jobs that move, and the least that it could be.
    before, after
        Components of the score.
    """

    steps: tuple[Move, ...]
    placement: Placement
    cost: float
    bound: float
    before: dict[str, float]
    after: dict[str, float]


def advisor_names() -> tuple[str, ...]:
    """Return the names of all installed advisors, sorted."""
    return tuple(sorted({point.name for point in entry_points(group=ENTRY_POINT_GROUP)}))


def get_advisor(name: str) -> Callable[..., Any]:
    """Return the advisor called `name`: ``why``, ``slots``, ``defrag``, ``calm``, ``live``; see docs/placement.md.

    Raises
    ------
    InputError
        If none is installed under that name.
    """
    for point in entry_points(group=ENTRY_POINT_GROUP, name=name):
        advisor: Callable[..., Any] = point.load()
        return advisor
    raise InputError(what="no such advisor", found=repr(name), allowed=", ".join(advisor_names()) or "none installed")
