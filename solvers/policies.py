"""The orders in which schedulers look at a cluster: first-fit, best-fit, Slurm's tree, random."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from planner.job import Job
from solvers.fitting import sums_by
from solvers.inventory import Inventory
from topologies.fabric import Int32s, Int64s

__all__ = ["BestFit", "FirstFit", "RandomFit", "SlurmTree"]


class FirstFit:
    """Hosts by number, whatever they hang on."""

    def scopes(self, inventory: Inventory, job: Job, give: Int64s) -> Iterator[Int64s]:
        """Yield all hosts in order."""
        del inventory, job
        yield np.flatnonzero(give)


class RandomFit:
    """Hosts in random order.

    Parameters
    ----------
    seed
        Of the order.
    """

    def __init__(self, seed: int) -> None:
        self._rng = np.random.default_rng(seed)

    def scopes(self, inventory: Inventory, job: Job, give: Int64s) -> Iterator[Int64s]:
        """Yield all hosts in a fresh random order."""
        del inventory, job
        yield self._rng.permutation(np.flatnonzero(give))


class BestFit:
    """The tightest leaf group that holds the job, else the tightest pod, else all; the fullest hosts first.

    In a pod and in the whole cluster, leaf groups with most room come first, so that the job touches few.
    """

    def scopes(self, inventory: Inventory, job: Job, give: Int64s) -> Iterator[Int64s]:
        """Yield leaf groups, then pods, then everything."""
        fabric = inventory.fabric
        ready = np.flatnonzero(give)
        ready = ready[np.argsort(give[ready], kind="stable")] if job.accelerators_per_host is not None else ready
        busy_first = ready[np.argsort(-inventory.host_busy[ready], kind="stable")]
        group = fabric.host_leaf_group[busy_first]
        room = sums_by(group, give[busy_first], fabric.num_leaf_groups)
        for tight in _tightest(room, job.accelerators):
            yield busy_first[group == tight]
        pod = fabric.host_pod[busy_first]
        pod_room = sums_by(pod, give[busy_first], fabric.num_pods)
        by_room = busy_first[np.argsort(-room[group], kind="stable")]
        for tight in _tightest(pod_room, job.accelerators):
            yield by_room[fabric.host_pod[by_room] == tight]
        yield by_room


class SlurmTree:
    """Slurm's topology/tree.

    The lowest switch with enough room and the least of it is chosen; below it, leaves are filled one after the other:
    the smallest leaf that holds what is left, or else the one with most room
    (Slurm's ``select_cons_tres``, ``eval_nodes_tree.c``: best-fit over leaf switches below the lowest common switch).
    Hosts on a leaf are taken by number.
    """

    def scopes(self, inventory: Inventory, job: Job, give: Int64s) -> Iterator[Int64s]:
        """Yield the chosen switch's hosts, leaf after leaf."""
        fabric = inventory.fabric
        room = sums_by(fabric.host_leaf_group, give, fabric.num_leaf_groups)
        leaf = _tightest(room, job.accelerators)
        if len(leaf):
            for one in leaf:
                yield np.flatnonzero((fabric.host_leaf_group == one) & (give > 0))
            return
        pod_room = sums_by(fabric.host_pod, give, fabric.num_pods)
        pods = _tightest(pod_room, job.accelerators)
        for below in [np.flatnonzero(fabric.host_pod == pod) for pod in pods] or [np.arange(fabric.num_hosts)]:
            yield _leaf_after_leaf(fabric.host_leaf_group, give, below, job.accelerators)


def _tightest(room: Int64s, wanted: int) -> Int64s:
    """Return the groups that hold `wanted`, least room first."""
    fits = np.flatnonzero(room >= wanted)
    return fits[np.argsort(room[fits], kind="stable")]


def _leaf_after_leaf(leaf: Int32s, give: Int64s, hosts: Int64s, wanted: int) -> Int64s:
    """Order hosts by leaves as Slurm fills them."""
    room = sums_by(leaf[hosts], give[hosts], int(leaf.max()) + 1)
    order = []
    while wanted > 0 and room.any():
        fits = _tightest(room, wanted)
        chosen = int(fits[0]) if len(fits) else int(np.argmax(room))
        order.append(chosen)
        wanted -= int(room[chosen])
        room[chosen] = 0
    return np.concatenate([hosts[(leaf[hosts] == one) & (give[hosts] > 0)] for one in order] or [hosts[:0]])
