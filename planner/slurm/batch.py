"""The seam between the daemon and the planner: parked jobs, room and topology in; ordered hosts out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from planner.slurm.leaf_fit import fit
from planner.slurm.room import Ask, Bools, Ints, Room

if TYPE_CHECKING:
    from topologies.fabric import Fabric

__all__ = ["BatchAnswer", "BatchPlanner", "BatchRequest", "KeepStart", "fault_of"]


@dataclass(frozen=True, eq=False)
class BatchRequest:
    """Jobs that start now, and one way to place them all.

    Attributes
    ----------
    asks
        Jobs to place, most urgent first; each can be placed together with the others as `start` shows.
    start
        Hosts of each job, in rank order.
    forbidden
        ``(H,)`` hosts a job must keep off, where there are any.
    room
        What is free, before any of these jobs.
    fabric
        The network with its links; ``None`` if only Slurm's topology is known.
    running
        Hosts and ask-like size of what runs: rings that share links with what is placed now.
    """

    asks: Sequence[Ask]
    start: Mapping[tuple[str, int], Ints]
    forbidden: Mapping[tuple[str, int], Bools]
    room: Room
    fabric: Fabric | None
    time_limit_s: float
    seed: int
    running: Sequence[tuple[str, Ints, int]] = ()


@dataclass(frozen=True, eq=False)
class BatchAnswer:
    """Hosts in rank order of each job, and figures about the plan.

    Attributes
    ----------
    figures
        Solver, status, value, bound and gap, as far as there are any; goes to log and journal.
    """

    placed: Mapping[tuple[str, int], Ints]
    figures: Mapping[str, Any] = field(default_factory=dict)


class BatchPlanner(Protocol):
    """Chooses the hosts of a batch of jobs."""

    def plan(self, request: BatchRequest) -> BatchAnswer:
        """Place all jobs of the request, at least as well as its start."""
        ...


class KeepStart:
    """Keeps the start: best fit by leaf, in priority order."""

    def plan(self, request: BatchRequest) -> BatchAnswer:
        """Return the start as it is."""
        return BatchAnswer(dict(request.start), {"solver": "leaf-fit"})


def fault_of(answer: BatchAnswer, request: BatchRequest, now_s: float) -> str:
    """Return what is wrong with a planner's answer; empty if every job has its hosts and they all fit together."""
    room = request.room
    for ask in request.asks:
        hosts = answer.placed.get(ask.key)
        if hosts is None:
            return f"job {ask.ref} was not placed"
        if len(hosts) != ask.num_nodes or len(np.unique(hosts)) != ask.num_nodes:
            return f"job {ask.ref} was given {len(hosts)} hosts"
        barred = request.forbidden.get(ask.key)
        if not ask.fits(room)[hosts].all() or (barred is not None and barred[hosts].any()):
            return f"job {ask.ref} was given a host without room"
        only = np.zeros(len(room.hosts), np.bool_)
        only[hosts] = True
        if fit(ask, room, forbidden=~only) is None:
            return f"job {ask.ref} was given hosts that break its limits on leaves or blocks"
        room = room.take([ask.taken(hosts, now_s)])
    return ""
