"""Backfill: when the blocked head of the line could start, and who may run until then without delaying it.

EASY (Lifka 1995): only the head has a reservation. Conservative (Mualem & Feitelson 2001): everybody before a job has
one; here those behind the head hold counts of accelerators over time, not hosts.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from planner.replay.pool import Ask, Grant
from planner.replay.scheduler import Scheduler
from planner.traces.trace import TraceJob

if TYPE_CHECKING:
    from planner.replay.running import Running
    from planner.replay.site import Site

__all__ = ["Plan", "may_overtake", "plan_for_head"]


@dataclass
class Plan:
    """What is promised.

    Attributes
    ----------
    start_s
        When the head of the line starts, by what is expected of running jobs; inf if never.
    hosts
        Hosts that it will use then.
    free_at
        Step function: from this time on so many accelerators are free, as ``[time, free]``, sorted.
    is_conservative
        Whether counts are kept for those behind the head.
    """

    start_s: float
    hosts: frozenset[int]
    free_at: list[list[float]] = field(default_factory=list)

    def reserve(self, job: TraceJob, now_s: float) -> None:
        """Hold accelerators for a job from when they stay free for as long as it is expected to run."""
        start = self.first_fit(job, now_s)
        self.hold(start, start + job.expected_s, job.accelerators)

    def first_fit(self, job: TraceJob, now_s: float) -> float:
        """Return when so many accelerators are free for long enough first."""
        for start, _ in self.free_at:
            begin = max(start, now_s)
            if self.least_free(begin, begin + job.expected_s) >= job.accelerators - 1e-9:
                return begin
        return float("inf")

    def least_free(self, start_s: float, end_s: float) -> float:
        """Return the fewest accelerators free in a span."""
        least, current = float("inf"), 0.0
        for i, (time, free) in enumerate(self.free_at):
            current = free
            after = self.free_at[i + 1][0] if i + 1 < len(self.free_at) else float("inf")
            if after > start_s and time < max(end_s, start_s + 1e-9):
                least = min(least, current)
        return least

    def hold(self, start_s: float, end_s: float, accelerators: float) -> None:
        """Take accelerators out of a span."""
        if start_s == float("inf"):
            return
        for edge in (start_s, end_s):
            if edge != float("inf") and all(time != edge for time, _ in self.free_at):
                before = [free for time, free in self.free_at if time < edge]
                self.free_at.append([edge, before[-1] if before else 0.0])
                self.free_at.sort()
        for step in self.free_at:
            if start_s <= step[0] < end_s:
                step[1] -= accelerators


def plan_for_head(
    site: Site, scheduler: Scheduler, running: Iterable[Running], asks: Sequence[Ask], job: TraceJob, now_s: float
) -> Plan:
    """Find when the head of the line can start if jobs end as expected, and where."""
    pool = site.pool
    ends = [(max(run.start_s + run.job.expected_s, now_s), run.number, run) for run in running]
    heapq.heapify(ends)
    free = float(pool.left[pool.is_up].sum()) / 1000
    steps = [[now_s, free]]
    for end, _, run in sorted(ends, key=lambda e: e[:2]):
        steps.append([end, steps[-1][1] + run.job.accelerators])
    gone: list[Running] = []
    found, start = None, float("inf")
    need = len(asks)
    while ends and ends[0][0] < float("inf"):
        start, _, run = heapq.heappop(ends)
        site.give_back(run.grants)
        gone.append(run)
        if ends and ends[0][0] == start:
            continue
        site.admit(job, start)
        if int(pool.fits(asks[0]).sum()) >= (need if asks[-1] == asks[0] else need - 1):
            found = site.choose(scheduler, asks)
            if found is not None:
                break
    for run in reversed(gone):
        site.take(run.grants, run.job.tenant)
    if found is None:
        return Plan(float("inf"), frozenset(), steps)
    plan = Plan(start, frozenset(grant.host for grant in found), steps)
    plan.hold(start, start + job.expected_s, job.accelerators)
    return plan


def may_overtake(plan: Plan, job: TraceJob, grants: Sequence[Grant], now_s: float, left_s: float) -> bool:
    """Tell whether a job may start now: it ends before the head starts, or uses none of its hosts."""
    end = now_s + max(job.expected_s, left_s)
    if end > plan.start_s and any(grant.host in plan.hosts for grant in grants):
        return False
    if plan.least_free(now_s, end) < job.accelerators - 1e-9:
        return False
    plan.hold(now_s, end, job.accelerators)
    return True
