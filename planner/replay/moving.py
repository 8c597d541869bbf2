"""Moving running jobs together inside a replay: issue the moves that the placement advisor finds."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from planner.replay.pool import Grant, HostPool
from planner.replay.running import Running
from planner.traces.trace import TraceJob

__all__ = ["Mover"]


class Mover(Protocol):
    """Says which running jobs to move where so that a job fits."""

    def moves(self, pool: HostPool, running: Mapping[int, Running], job: TraceJob) -> dict[int, list[Grant]]:
        """Return new grants by number of the jobs that move; nothing if that does not help or is not known."""
        ...
