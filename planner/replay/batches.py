"""Schedulers that place all that waits at once, and which of the waiting are worth trying."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np

from planner.replay.pool import Ask, Grant
from planner.replay.queues import WaitingLine
from planner.replay.rules import Rules
from planner.replay.running import Running
from planner.replay.scheduler import Scheduler
from planner.replay.site import Site
from planner.traces.trace import TraceJob

__all__ = ["BatchScheduler", "Wanted", "candidates"]


@dataclass(frozen=True, slots=True)
class Wanted:
    """A job to place: its number, and what it asks of hosts."""

    number: int
    job: TraceJob
    asks: tuple[Ask, ...]


@runtime_checkable
class BatchScheduler(Scheduler, Protocol):
    """Places several jobs at once.

    Attributes
    ----------
    planner
        A cheap scheduler that says where a job could start once others end.
    """

    planner: Scheduler

    def choose_batch(
        self, site: Site, wanted: Sequence[Wanted], running: Mapping[int, Running], now_s: float
    ) -> Mapping[int, list[Grant]]:
        """Return grants by number for the jobs that should start now; those first in line matter more."""
        ...


def candidates(
    site: Site,
    rules: Rules,
    line: WaitingLine,
    asks: Mapping[int, tuple[Ask, ...]],
    held: Mapping[str, float],
    now_s: float,
) -> list[Wanted]:
    """Return who is worth trying, in the order of the line: as many as what is free holds, by counts and quotas.

    Without backfill, that ends with the first that finds too few.
    """
    pool = site.pool
    left = float(pool.left[pool.is_up].sum()) / 1000
    extra: dict[str, float] = {}
    found: list[Wanted] = []
    skipped = 0
    for number, job in line:
        quota = rules.quotas.get(job.tenant)
        more = extra.get(job.tenant, 0.0) + job.accelerators
        if quota is not None and held.get(job.tenant, 0.0) + more > quota + 1e-9:
            continue
        site.admit(job, now_s)
        if job.accelerators <= left + 1e-9 and int(np.count_nonzero(pool.fits(asks[number][-1]))) > 0:
            found.append(Wanted(number, job, asks[number]))
            left -= job.accelerators
            extra[job.tenant] = more
            continue
        if rules.backfill == "none":
            break
        skipped += 1
        if skipped > rules.backfill_depth or left <= 0:
            break
    return found
