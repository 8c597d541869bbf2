"""In which order the improving search looks at hosts: where uplinks have room, or where whole hosts stay whole."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from planner.job import Job
from solvers.inventory import Inventory
from solvers.loads import Loads
from topologies.fabric import Int64s

__all__ = ["Crumbs", "LoadAware"]


class LoadAware:
    """Leaf groups whose uplinks have room first, in pods with room; a single leaf group if one holds the job.

    Parameters
    ----------
    loads
        What the jobs that stay put on the uplinks.
    rng
        Breaks ties, and blurs the order for variety.
    """

    def __init__(self, loads: Loads, rng: np.random.Generator) -> None:
        self.loads, self.rng = loads, rng

    def scopes(self, inventory: Inventory, job: Job, give: Int64s) -> Iterator[Int64s]:
        """Yield leaf groups that hold the job, the tightest first; then pods, then everything, by load."""
        fabric = inventory.fabric
        ready = np.flatnonzero(give)
        if self.rng.random() < 0.5:  # the fullest hosts first, as they strand most
            ready = ready[np.argsort(-inventory.host_busy[ready], kind="stable")]
        leaf, pod = fabric.host_leaf_group, fabric.host_pod
        room = np.bincount(leaf[ready], weights=give[ready], minlength=fabric.num_leaf_groups)
        holds = np.flatnonzero(room >= job.accelerators)
        for one in holds[np.argsort(room[holds] + self.rng.random(len(holds)), kind="stable")].tolist():
            yield ready[leaf[ready] == one]
        load = self.loads.total
        blur = 0.3 * self.rng.random(fabric.num_leaf_groups)
        wants = np.ceil(job.accelerators / np.maximum(room, 1)) - 0.5 * (room / max(1.0, room.max(initial=1.0)))
        cost = (
            np.maximum(load[: fabric.num_leaf_groups], 0.0) * float(self.rng.choice((0.5, 1.0, 3.0)))
            + wants * 0.2
            + blur
        )
        by_leaf = ready[np.argsort(cost[leaf[ready]], kind="stable")]
        pod_room = np.bincount(pod[ready], weights=give[ready], minlength=fabric.num_pods)
        pods = np.flatnonzero(pod_room >= job.accelerators)
        for one in pods[np.argsort(load[fabric.num_leaf_groups + pods] + self.rng.random(len(pods)))].tolist():
            yield by_leaf[pod[by_leaf] == one]
        yield by_leaf


class Crumbs:
    """Hosts with least free first, blurred, whatever they hang on: leaves whole hosts whole.

    Parameters
    ----------
    rng
        Of the blur.
    """

    def __init__(self, rng: np.random.Generator) -> None:
        self.rng = rng

    def scopes(self, inventory: Inventory, job: Job, give: Int64s) -> Iterator[Int64s]:
        """Yield leaf groups in random order, or everything."""
        del job
        fabric = inventory.fabric
        ready = np.flatnonzero(give)
        free = fabric.host_num_accelerators[ready] - inventory.host_busy[ready]
        ready = ready[np.argsort(free + 1.5 * self.rng.random(len(ready)), kind="stable")]
        if self.rng.random() < 0.5:
            leaf = fabric.host_leaf_group[ready]
            for one in self.rng.permutation(np.unique(leaf)).tolist():
                yield ready[leaf == one]
        yield ready
