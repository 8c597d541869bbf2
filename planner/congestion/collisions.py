"""Hash collisions under ECMP as a distribution: the same jobs, hashed anew again and again."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from planner.collectives.traffic import JobFlows
from planner.congestion.loads import loads_of
from planner.congestion.maxmin import link_rate, max_min_rates
from planner.congestion.score import alone_rates
from topologies.errors import InputError
from topologies.fabric import Fabric, LinkKind
from topologies.routing.ecmp import Ecmp
from topologies.routing.rows import frozen
from topologies.routing.spray import Spray

__all__ = ["QUANTILES", "CollisionReport", "collisions"]

Float64s = npt.NDArray[np.float64]

QUANTILES = (0.5, 0.9, 0.99)
"""Reported of each distribution: median, p90, p99."""


@dataclass(frozen=True, eq=False)
class CollisionReport:
    """Times of each job over many draws of the flows' hashes; arrays are read-only.

    Attributes
    ----------
    time_s
        ``(K, J)`` communication time with all jobs at once.
    alone_s
        ``(K, J)`` with nobody else there: a job collides with itself, too.
    sprayed_s
        ``(J,)`` all jobs at once with even spraying: what the hashing costs is measured from here.
    busiest_to_mean
        ``(K,)`` bytes of the busiest uplink of a leaf over the mean of all its uplinks, the median over the leaves that
        send any; 1 if none does.
    """

    time_s: Float64s
    alone_s: Float64s
    sprayed_s: Float64s
    busiest_to_mean: Float64s

    def __post_init__(self) -> None:
        for name in ("time_s", "alone_s", "sprayed_s", "busiest_to_mean"):
            object.__setattr__(self, name, frozen(getattr(self, name), np.float64))

    def slowdown(self) -> Float64s:
        """Return time over that with even spraying, ``(K, J)``; 1 for a job that sends nothing."""
        out = np.ones(self.time_s.shape)
        np.divide(self.time_s, self.sprayed_s, out=out, where=self.sprayed_s > 0)
        return out

    def quantiles(self, probabilities: tuple[float, ...] = QUANTILES) -> Float64s:
        """Return quantiles of each job's slow-down over the draws, ``(len(probabilities), J)``."""
        quantiles: Float64s = np.quantile(self.slowdown(), probabilities, axis=0)
        return quantiles


def collisions(
    fabric: Fabric, flows: JobFlows, *, num_samples: int = 100, seed: int = 0, paths_a_flow: int = 1
) -> CollisionReport:
    """Hash the flows `num_samples` times and score each draw.

    Parameters
    ----------
    paths_a_flow
        Queue pairs a flow, each hashed by itself: more of them spread better.

    Raises
    ------
    InputError
        If there is no sample, or a flow has no way.
    """
    if num_samples < 1:
        raise InputError(what="no draw to judge by", where="samples", found=num_samples, allowed="1 or more")
    seeds = np.random.default_rng(seed).integers(0, 2**62, num_samples)
    uplinks = _Uplinks(fabric)
    times, alone, busiest = [], [], []
    for drawn in seeds:
        loads = loads_of(fabric, flows, Ecmp(int(drawn), paths_a_flow=paths_a_flow))
        capacity = loads.channels.capacity_bytes_per_s
        rate = max_min_rates(loads.incidence, capacity).rate_bytes_per_s
        times.append(loads.times_at(rate))
        alone.append(loads.times_at(alone_rates(loads.incidence, capacity).rate_bytes_per_s))
        busiest.append(uplinks.busiest_to_mean(loads.channels.to_links(link_rate(loads.incidence, loads.row_bytes))))
    sprayed = loads_of(fabric, flows, Spray())
    fair = max_min_rates(sprayed.incidence, sprayed.channels.capacity_bytes_per_s).rate_bytes_per_s
    return CollisionReport(np.array(times), np.array(alone), sprayed.times_at(fair), np.array(busiest))


class _Uplinks:
    """The links from leaves to the tier above, leaf by leaf."""

    def __init__(self, fabric: Fabric) -> None:
        tier = fabric.node_tier
        rises = (fabric.link_kind == LinkKind.SCALE_OUT) & (tier[fabric.link_source] == 1)
        link = np.flatnonzero(rises & (tier[fabric.link_target] > 1))
        leaf = fabric.link_source[link]
        self._link = link[np.argsort(leaf, kind="stable")]
        self._start = np.flatnonzero(np.diff(np.sort(leaf), prepend=-1))
        self._count = np.diff(self._start, append=link.size)

    def busiest_to_mean(self, link_bytes: Float64s) -> float:
        """Largest over mean of each leaf's uplinks, median over the leaves."""
        if not self._link.size:
            return 1.0
        mine = link_bytes[self._link]
        total = np.add.reduceat(mine, self._start)
        sends = total > 0
        if not sends.any():
            return 1.0
        largest = np.maximum.reduceat(mine, self._start)
        return float(np.median(largest[sends] * self._count[sends] / total[sends]))
