"""In which order waiting jobs are tried: FIFO, shortest first, by priority; and who may overtake."""

from __future__ import annotations

import bisect
from collections.abc import Callable, Iterator
from typing import Literal, get_args

from planner.traces.trace import TraceJob
from topologies.errors import InputError

__all__ = ["ORDERS", "Backfill", "Order", "WaitingLine", "check_backfill"]

Order = Literal["fifo", "sjf", "priority"]
Backfill = Literal["none", "easy", "conservative", "any"]
ORDERS: tuple[str, ...] = get_args(Order)

_KEYS: dict[str, Callable[[TraceJob], float]] = {
    "fifo": lambda job: 0.0,
    "sjf": lambda job: job.expected_s,
    "priority": lambda job: -job.priority,
}


class WaitingLine:
    """Jobs that wait, in the order in which they are tried; ties by submission, then as they came.

    Parameters
    ----------
    order
        ``fifo``, ``sjf`` (least expected time first) or ``priority``.

    Attributes
    ----------
    accelerators
        What all that wait ask for.

    Raises
    ------
    InputError
        If there is no such order.
    """

    def __init__(self, order: str) -> None:
        if order not in _KEYS:
            raise InputError(what="no such queue order", where="--order", found=repr(order), allowed=", ".join(_KEYS))
        self._key = _KEYS[order]
        self._line: list[tuple[float, float, int, TraceJob]] = []
        self.accelerators = 0.0

    def __len__(self) -> int:
        return len(self._line)

    def __iter__(self) -> Iterator[tuple[int, TraceJob]]:
        return ((number, job) for _, _, number, job in self._line)

    def add(self, number: int, job: TraceJob, *, goes_first: bool = False) -> None:
        """Add a job, by its number in the trace; before all others if it `goes_first`."""
        key = float("-inf") if goes_first else self._key(job)
        bisect.insort(self._line, (key, job.submit_s, number, job))
        self.accelerators += job.accelerators

    def remove(self, number: int) -> bool:
        """Take a job out, wherever it stands; tell whether it was there."""
        for place, entry in enumerate(self._line):
            if entry[2] == number:
                self.pop(place)
                return True
        return False

    def pop(self, place: int) -> tuple[int, TraceJob]:
        """Take the job at a place out."""
        _, _, number, job = self._line.pop(place)
        self.accelerators -= job.accelerators
        return number, job

    def at(self, place: int) -> tuple[int, TraceJob]:
        """Return the job at a place."""
        _, _, number, job = self._line[place]
        return number, job


def check_backfill(name: str) -> None:
    """Refuse a way of overtaking that there is not.

    Raises
    ------
    InputError
        If there is none of that name.
    """
    if name not in get_args(Backfill):
        raise InputError(
            what="no such backfill", where="--backfill", found=repr(name), allowed=", ".join(get_args(Backfill))
        )
