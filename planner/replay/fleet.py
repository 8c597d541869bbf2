"""The replicas of serving pools in a replay: which there are, and which should come or go."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from planner.replay.running import PoolNow, Running
from planner.replay.serving_pools import SERVING, ServingPool
from planner.traces.trace import TraceJob

__all__ = ["Fleet"]


class Fleet:
    """Replicas by pool. They have negative numbers, so that no job of the trace has theirs."""

    def __init__(self, pools: Sequence[ServingPool]) -> None:
        self.pools = tuple(pools)
        self._replicas: list[list[int]] = [[] for _ in pools]
        self._place: dict[int, int] = {}
        self._last = 0

    def surplus(self, place: int, now_s: float, running: Mapping[int, Running]) -> list[int]:
        """Return the replicas that should go, and forget them: those that wait, then the youngest."""
        replicas = self._replicas[place]
        too_many = len(replicas) - self.pools[place].target_at(now_s)
        if too_many <= 0:
            return []
        order = sorted(replicas, key=lambda n: (n in running, -running[n].start_s if n in running else 0.0, n))
        for number in order[:too_many]:
            self.forget(number)
        return order[:too_many]

    def missing(self, place: int, now_s: float) -> list[tuple[int, TraceJob]]:
        """Return the replicas that should come, and count them as there."""
        pool, come = self.pools[place], []
        for _ in range(pool.target_at(now_s) - len(self._replicas[place])):
            self._last -= 1
            number = self._last
            self._replicas[place].append(number)
            self._place[number] = place
            name = f"{pool.name}/{-number}"
            job = TraceJob(name, now_s, math.inf, pool.gpus, tenant=pool.tenant, kind=SERVING, priority=pool.priority)
            come.append((number, job))
        return come

    def forget(self, number: int) -> None:
        """Forget a replica."""
        self._replicas[self._place.pop(number)].remove(number)

    def lag_s(self, number: int) -> float:
        """Return what it takes a replica to come up."""
        return self.pools[self._place[number]].lag_s

    def now(self, now_s: float, running: Mapping[int, Running]) -> tuple[PoolNow, ...]:
        """Return the pools as they are."""
        found = []
        for pool, replicas in zip(self.pools, self._replicas, strict=True):
            ready = sum(n in running and running[n].work_s <= now_s for n in replicas)
            found.append(PoolNow(pool.name, pool.tenant, pool.gpus, ready, pool.wanted_at(now_s)))
        return tuple(found)
