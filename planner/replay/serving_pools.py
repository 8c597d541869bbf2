"""Serving pools: replicas that come and go with what is asked of them, late by what it takes to start one."""

from __future__ import annotations

import bisect
import math
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from topologies.errors import InputError

__all__ = ["SERVING", "ServingPool", "demand_of"]

SERVING = "serving"
"""The kind of job that a replica is."""


@dataclass(frozen=True, slots=True)
class ServingPool:
    """A model that is served, scaled by rule.

    Attributes
    ----------
    name, tenant
        What it is, and who pays.
    gpus
        Accelerators a replica.
    least, most
        Replicas that it never goes below and above.
    demand
        Step function of the replicas that the requests need: (second, replicas), sorted; 0 before the first.
    lag_s
        From when a replica has its accelerators to when it serves: image, weights, warm-up.
    cooldown_s
        It shrinks only to what was needed most in so long.
    priority
        As of jobs; replicas go before waiting jobs whatever it is, and it counts where jobs may be preempted.
    """

    name: str
    gpus: int
    most: int
    demand: tuple[tuple[float, float], ...]
    least: int = 0
    tenant: str = ""
    lag_s: float = 120.0
    cooldown_s: float = 300.0
    priority: float = 0.0

    def __post_init__(self) -> None:
        times = [time for time, _ in self.demand]
        wrong = (
            "a replica needs an accelerator" if self.gpus < 1
            else "a pool holds from least to most replicas" if not 0 <= self.least <= self.most
            else "times of demand must rise" if any(a >= b for a, b in pairwise(times))
            else "demand is not negative" if any(not 0 <= wanted < math.inf for _, wanted in self.demand)
            else "lag and cool-down are not negative" if not (0 <= self.lag_s < math.inf and self.cooldown_s >= 0)
            else ""
        )  # fmt: skip
        if wrong:
            raise InputError(what=wrong, where=f"serving pool {self.name!r}")

    def wanted_at(self, now_s: float) -> float:
        """Return the replicas' worth of requests at a time."""
        place = bisect.bisect_right(self.demand, (now_s, math.inf)) - 1
        return self.demand[place][1] if place >= 0 else 0.0

    def target_at(self, now_s: float) -> int:
        """Return how many replicas the rule keeps: what was needed most since the cool-down began, within bounds."""
        since = now_s - self.cooldown_s
        first = max(bisect.bisect_right(self.demand, (since, math.inf)) - 1, 0)
        last = bisect.bisect_right(self.demand, (now_s, math.inf))
        most = max((wanted for _, wanted in self.demand[first:last]), default=0.0)
        return min(max(math.ceil(most - 1e-9), self.least), self.most)

    def times_s(self) -> list[float]:
        """Return the times at which its target can change."""
        own = [time for time, _ in self.demand]
        return sorted({0.0, *own, *(time + self.cooldown_s for time in own if self.cooldown_s > 0)})


def demand_of(
    arrival_s: npt.ArrayLike, work: npt.ArrayLike, *, work_per_s: float, every_s: float = 60.0
) -> tuple[tuple[float, float], ...]:
    """Return the replicas that a trace of requests needs, as a step function: mean work that arrives in each span.

    Parameters
    ----------
    arrival_s, work
        Of each request: when, and how much, for example tokens.
    work_per_s
        What a replica does.
    every_s
        The span.

    Raises
    ------
    InputError
        If a rate or span is not above 0.
    """
    if not (work_per_s > 0 and every_s > 0):
        raise InputError(what="rate and span must be above 0", where="serving pool", found=(work_per_s, every_s))
    arrived = np.asarray(arrival_s, np.float64)
    if not arrived.size:
        return ()
    span = np.floor(arrived / every_s).astype(np.int64)
    need = np.bincount(span, np.asarray(work, np.float64)) / (work_per_s * every_s)
    steps = [(0.0, float(need[0]))]
    steps += [(k * every_s, float(n)) for k, n in enumerate(need.tolist()) if k and n != need[k - 1]]
    steps.append((need.size * every_s, 0.0))
    return tuple(steps)
