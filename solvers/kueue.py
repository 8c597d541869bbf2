"""Kueue's Topology Aware Scheduling: levels pod, leaf group, host; profiles BestFit and LeastFreeCapacity."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from planner.job import Job
from solvers.greedy import GreedySolver
from solvers.inventory import Inventory
from topologies.fabric import Int64s

__all__ = ["KueueBestFitSolver", "KueueLeastFreeSolver", "KueueTas", "fewest_domains"]


def fewest_domains(capacity: Int64s, wanted: int, *, least_free: bool) -> Int64s | None:
    """Return the domains that hold `wanted` units, in the order in which they are filled; None if all do not.

    As ``updateCountsToMinimum`` of Kueue's ``tas_flavor_snapshot.go``: with BestFit the fullest domains are taken first
    and, as soon as one domain holds the rest, the smallest such; with LeastFreeCapacity the emptiest of room first.
    """
    if int(capacity.sum()) < wanted:
        return None
    ready = np.flatnonzero(capacity)
    order = ready[np.argsort(capacity[ready] if least_free else -capacity[ready], kind="stable")].tolist()
    chosen: list[int] = []
    left = wanted
    while left > 0:
        holds = [d for d in order if capacity[d] >= left] if not least_free else []
        pick = min(holds, key=lambda d: (int(capacity[d]), order.index(d))) if holds else order[0]
        chosen.append(pick)
        order.remove(pick)
        left -= int(capacity[pick])
    return np.array(chosen, np.int64)


class KueueTas:
    """Finds the lowest level on which one domain holds the job, then deals it out level by level below.

    A job that is limited to one leaf group or pod has it as *required* level; all others *prefer* a leaf group.

    Parameters
    ----------
    least_free
        The LeastFreeCapacity profile instead of BestFit.
    """

    def __init__(self, *, least_free: bool) -> None:
        self._least_free = least_free

    def scopes(self, inventory: Inventory, job: Job, give: Int64s) -> Iterator[Int64s]:
        """Yield the hosts that Kueue would assign, in its order."""
        fabric = inventory.fabric
        unit = job.accelerators_per_host or 1
        units, wanted = give // unit, job.accelerators // unit
        hosts = np.arange(fabric.num_hosts)
        for group, num, is_last in (
            (fabric.host_leaf_group, fabric.num_leaf_groups, job.max_leaf_groups == 1),
            (fabric.host_pod, fabric.num_pods, job.max_pods == 1),
        ):
            room = np.bincount(group, weights=units, minlength=num).astype(np.int64)
            holds = np.flatnonzero(room >= wanted)
            if len(holds):
                best = int(holds[np.argmin(room[holds])])
                below = self._down(fabric.host_leaf_group, units, hosts[group == best], wanted)
                yield self._down(hosts, units, below, wanted)
                return
            if is_last:
                return
        below = hosts
        levels: tuple[npt.NDArray[np.integer], ...] = (fabric.host_pod, fabric.host_leaf_group, hosts)
        for level in levels:
            below = self._down(level, units, below, wanted)
        yield below

    def _down(self, group: npt.NDArray[np.integer], units: Int64s, among: Int64s, wanted: int) -> Int64s:
        """Return the hosts of the domains of one level that are taken, in their order."""
        room = np.zeros(int(group.max()) + 1, np.int64)
        np.add.at(room, group[among], units[among])
        chosen = fewest_domains(room, wanted, least_free=self._least_free)
        if chosen is None:
            return among[:0]
        return np.concatenate([among[group[among] == domain] for domain in chosen.tolist()])


class KueueBestFitSolver(GreedySolver):
    """Kueue TAS, profile BestFit."""

    name = "kueue-best-fit"
    policy = staticmethod(lambda seed: KueueTas(least_free=False))


class KueueLeastFreeSolver(GreedySolver):
    """Kueue TAS, profile LeastFreeCapacity."""

    name = "kueue-least-free"
    policy = staticmethod(lambda seed: KueueTas(least_free=True))
