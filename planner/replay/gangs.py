"""Gangs that take hosts one by one and hold them until they have all: what schedulers without gangs do."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from planner.replay.pool import Ask, Grant
from planner.replay.scheduler import Scheduler
from planner.replay.site import Site

__all__ = ["GangHolds"]


class GangHolds:
    """What gangs hold that are not complete.

    Parameters
    ----------
    hold_s
        How long; after that a gang lets go and waits as long before it tries again.
    """

    def __init__(self, hold_s: float) -> None:
        self.hold_s = hold_s
        self._grants: dict[int, list[Grant]] = {}
        self._not_before: dict[int, float] = {}

    @property
    def accelerators(self) -> float:
        """Accelerators held."""
        return sum(grant.ask.total_milli for held in self._grants.values() for grant in held) / 1000

    def has(self, number: int) -> bool:
        """Tell whether a gang holds anything."""
        return number in self._grants

    def may_try(self, number: int, now_s: float) -> bool:
        """Tell whether a gang may take hosts now."""
        return now_s >= self._not_before.get(number, now_s)

    def grow(self, site: Site, scheduler: Scheduler, number: int, asks: Sequence[Ask], tenant: str) -> bool:
        """Take what there is of what the admitted gang lacks, and tell whether it holds something for the first time.

        A gang uses a host once only.
        """
        pool = site.pool
        held = self._grants.get(number, [])
        is_first = not held
        closed = np.zeros(pool.num_hosts, bool) if pool.closed is None else pool.closed.copy()
        pool.closed = closed
        for ask in asks[len(held) :]:
            closed[[grant.host for grant in held]] = True
            found = scheduler.choose(pool, (ask,))
            if found is None:
                break
            site.take(found, tenant)
            held = [*held, *found]
        if held:
            self._grants[number] = held
        return is_first and bool(held)

    def complete(self, number: int, asks: Sequence[Ask]) -> list[Grant] | None:
        """Return all the grants of a gang that has everything, no longer held here; None if it has not."""
        if len(self._grants.get(number, ())) < len(asks):
            return None
        self._not_before.pop(number, None)
        return self._grants.pop(number)

    def let_go(self, site: Site, number: int, now_s: float) -> None:
        """Give back what a gang holds; it tries again later."""
        site.give_back(self._grants.pop(number, ()))
        self._not_before[number] = now_s + self.hold_s
