"""The inflation experiment of FGD: asks arrive until far more is asked than there is, and nothing ever leaves."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from planner.replay.fragmentation import Fragmentation, Mix
from planner.replay.pool import Ask, HostPool
from planner.replay.scheduler import Scheduler

__all__ = ["FillCurve", "arrivals", "fill"]

Float64s = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class FillCurve:
    """What a pool held as more and more was asked for.

    Entry k of each array is the mean over all arrivals at which what had been asked for was k % of capacity, rounded;
    NaN where none was.

    Attributes
    ----------
    allocated_frac
        Of the capacity in accelerators.
    fragmentation_frac
        Fragmentation over what was idle.
    fragmented_frac
        Fragmentation over capacity.
    final_frac
        Allocated at the end.
    refused
        Asks that found no host.
    """

    allocated_frac: Float64s
    fragmentation_frac: Float64s
    fragmented_frac: Float64s
    final_frac: float
    refused: int


def arrivals(asks: Sequence[Ask], capacity_milli: int, *, load_frac: float, seed: int) -> list[Ask]:
    """Return asks in random order, grown by uniform draws up to a load, or thinned to it.

    Grown until the next draw would take the sum beyond ``load_frac × capacity``; where the list asks for more already,
    uniformly drawn asks leave until it does not.
    """
    rng = np.random.default_rng(seed)
    order = [asks[i] for i in rng.permutation(len(asks))]
    limit = load_frac * capacity_milli
    asked = sum(ask.total_milli for ask in order)
    while asked > limit:
        asked -= order.pop(int(rng.integers(len(order)))).total_milli
    while asks:
        drawn = asks[int(rng.integers(len(asks)))]
        if asked + drawn.total_milli > limit:
            break
        order.append(drawn)
        asked += drawn.total_milli
    return order


def fill(pool: HostPool, asks: Sequence[Ask], scheduler: Scheduler, mix: Mix, *, seed: int) -> FillCurve:
    """Offer each ask once, in order; what does not fit is dropped. The pool ends up full."""
    scheduler.prepare(pool, mix, seed=seed)
    measure = Fragmentation(mix.typical(), pool)
    now = measure.of(pool, np.arange(pool.num_hosts))
    capacity = pool.capacity_milli
    fragmented, allocated, arrived, refused = float(now.sum()), 0, 0, 0
    points = np.empty((len(asks), 4))
    for i, ask in enumerate(asks):
        arrived += ask.total_milli
        grants = scheduler.choose(pool, (ask,))
        if grants is None:
            refused += 1
        else:
            host = np.array([grants[0].host])
            pool.take(grants[0])
            allocated += ask.total_milli
            before = now[host[0]]
            now[host] = measure.of(pool, host)
            fragmented += float(now[host[0]] - before)
        points[i] = arrived, allocated, fragmented / max(capacity - allocated, 1), fragmented
    percent = np.rint(100 * points[:, 0] / capacity).astype(np.int64)
    width = int(percent.max(initial=0)) + 1
    count = np.bincount(percent, minlength=width).astype(np.float64)
    count[count == 0] = np.nan
    means = [np.bincount(percent, points[:, c], width) / count for c in (1, 2, 3)]
    return FillCurve(means[0] / capacity, means[1], means[2] / capacity, allocated / capacity, refused)
