"""The scheduler Protocol, and the registry by entry points (``scaleplan.schedulers``)."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.metadata import entry_points
from typing import Protocol, cast, runtime_checkable

from planner.replay.fragmentation import Mix
from planner.replay.pool import Ask, Grant, HostPool
from topologies.errors import InputError

__all__ = ["Scheduler", "get_scheduler", "scheduler_names"]

ENTRY_POINT_GROUP = "scaleplan.schedulers"


@runtime_checkable
class Scheduler(Protocol):
    """Chooses hosts for one job at a time; never moves what runs."""

    name: str

    def prepare(self, pool: HostPool, mix: Mix, *, seed: int) -> None:
        """Get ready for a pool: called once before the first choice.

        Parameters
        ----------
        pool
            The hosts, as they are at the beginning.
        mix
            The work that is expected, for schedulers that look ahead.
        seed
            For schedulers that draw.
        """
        ...

    def choose(self, pool: HostPool, asks: Sequence[Ask]) -> list[Grant] | None:
        """Return a grant for every ask of one job, all at once (a gang), or ``None`` if it cannot start now.

        Nothing is taken from the pool. Asks of one job go to different hosts if they need whole hosts.
        """
        ...


def scheduler_names() -> tuple[str, ...]:
    """Return the names of all installed schedulers, sorted."""
    return tuple(sorted({point.name for point in entry_points(group=ENTRY_POINT_GROUP)}))


def get_scheduler(name: str) -> Scheduler:
    """Return the scheduler called `name`.

    Raises
    ------
    InputError
        If none is installed under that name.
    """
    for point in entry_points(group=ENTRY_POINT_GROUP, name=name):
        return cast("Scheduler", point.load()())
    raise InputError(
        what="no such scheduler", where="--policy", found=repr(name), allowed=", ".join(scheduler_names()) or "none"
    )
