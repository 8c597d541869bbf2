"""The event core: a heap of (time, priority, sequence). What happens at one instant happens in a fixed order."""

from __future__ import annotations

import heapq
from dataclasses import dataclass
from enum import IntEnum
from typing import Generic, TypeVar

from topologies.errors import InputError

__all__ = ["EventQueue", "Happens"]

T = TypeVar("T")


class Happens(IntEnum):
    """What goes first at one instant: room is made before it is asked for."""

    FINISH = 0
    REPAIR = 1
    FAIL = 2
    DRAIN = 3
    WAKE = 4
    ARRIVE = 5


@dataclass(slots=True)
class EventQueue(Generic[T]):
    """Events to come. Equal times go by priority, equal priorities in the order in which they were added."""

    _heap: list[tuple[float, int, int, T]]
    _sequence: int = 0

    def __init__(self) -> None:
        self._heap = []
        self._sequence = 0

    def __len__(self) -> int:
        return len(self._heap)

    def add(self, time_s: float, priority: int, payload: T) -> None:
        """Add an event.

        Raises
        ------
        InputError
            If the time is not a number: NaN would silently spoil the order.
        """
        if time_s != time_s:
            raise InputError(what="an event needs a time", found=time_s)
        heapq.heappush(self._heap, (time_s, priority, self._sequence, payload))
        self._sequence += 1

    @property
    def next_s(self) -> float:
        """When the next event happens; inf if none does."""
        return self._heap[0][0] if self._heap else float("inf")

    def pop(self) -> tuple[float, int, T]:
        """Return time, priority and payload of the next event."""
        time_s, priority, _, payload = heapq.heappop(self._heap)
        return time_s, priority, payload
