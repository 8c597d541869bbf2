"""Who may use which hosts: tenants kept apart, reservations, and gangs kept close together."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from planner.replay.pool import Ask, Bools, Grant, HostPool, Int64s
from planner.replay.rules import Rules
from planner.replay.scheduler import Scheduler
from planner.traces.trace import TraceJob

__all__ = ["Site"]

_NOBODY = -1


class Site:
    """A pool, and the rules that close hosts to a job.

    Everything that is taken from the pool and given back goes through here, so that it is known whose it is.
    """

    def __init__(self, pool: HostPool, rules: Rules) -> None:
        self.pool = pool
        self._rules = rules
        self._group = pool.leaf if rules.isolation == "leaf" else np.arange(pool.num_hosts)
        groups = int(self._group.max(initial=0)) + 1
        self._owner = np.full(groups, _NOBODY, np.int64)
        self._grants = np.zeros(groups, np.int64)
        self._tenant: dict[str, int] = {}
        self._is_isolated = rules.isolation != "none"
        groups_kept = (pool.pod,) if rules.spread == "pod" else (pool.leaf, pool.pod)
        self._rooms = [(group, int(np.bincount(group).max(initial=0))) for group in groups_kept]

    def take(self, grants: Iterable[Grant], tenant: str) -> None:
        """Take grants for a tenant."""
        for grant in grants:
            self.pool.take(grant)
            if self._is_isolated:
                group = self._group[grant.host]
                self._owner[group] = self._tenant.setdefault(tenant, len(self._tenant))
                self._grants[group] += 1

    def give_back(self, grants: Iterable[Grant]) -> None:
        """Give grants back."""
        for grant in grants:
            self.pool.give_back(grant)
            if self._is_isolated:
                group = self._group[grant.host]
                self._grants[group] -= 1
                if not self._grants[group]:
                    self._owner[group] = _NOBODY

    def isolated(self, tenant: str) -> Bools | None:
        """Return which hosts others have to themselves, ``(N,)``; None if tenants are not kept apart."""
        if not self._is_isolated:
            return None
        mine = self._tenant.get(tenant, -2)
        found: Bools = ((self._owner != _NOBODY) & (self._owner != mine))[self._group]
        return found

    def reserved(self, job: TraceJob, now_s: float) -> Bools | None:
        """Return which hosts are kept from a job that would start now, ``(N,)``; None if none are."""
        closed: Bools | None = None
        for kept in self._rules.reservations:
            if kept.tenant == job.tenant or now_s >= kept.end_s or now_s + job.expected_s <= kept.start_s:
                continue
            if closed is None:
                closed = np.zeros(self.pool.num_hosts, bool)
            closed[list(kept.hosts)] = True
        return closed

    def admit(self, job: TraceJob, now_s: float) -> None:
        """Close the pool's hosts that this job may not use now; it holds until the next call."""
        closed, isolated = self.reserved(job, now_s), self.isolated(job.tenant)
        if closed is not None and isolated is not None:
            closed |= isolated
        self.pool.closed = isolated if closed is None else closed

    def choose(self, scheduler: Scheduler, asks: Sequence[Ask]) -> list[Grant] | None:
        """Ask a scheduler for the job admitted last, and keep gangs as close together as the rules want."""
        if self._rules.spread == "any" or len(asks) == 1:
            return scheduler.choose(self.pool, asks)
        for group, room in self._rooms:
            if len(asks) <= room:
                return self._in_one(scheduler, asks, group)
        return scheduler.choose(self.pool, asks)

    def _in_one(self, scheduler: Scheduler, asks: Sequence[Ask], group: Int64s) -> list[Grant] | None:
        """Try groups that have hosts for all asks, the tightest first."""
        pool, before = self.pool, self.pool.closed
        room = np.bincount(group[pool.fits(asks[0])], minlength=int(group.max()) + 1)
        need = sum(ask == asks[0] for ask in asks)
        try:
            for g in sorted(np.flatnonzero(room >= need).tolist(), key=lambda g: (room[g], g)):
                pool.closed = (group != g) if before is None else (group != g) | before
                grants = scheduler.choose(pool, asks)
                if grants is not None:
                    return grants
        finally:
            pool.closed = before
        return None

    @property
    def keeps_close(self) -> bool:
        """Whether gangs must stay together."""
        return self._rules.spread != "any"
