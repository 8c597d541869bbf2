"""Schedulers by counts of whole accelerators: first-fit, best-fit, and Slurm's tree."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from planner.replay.fragmentation import Mix
from planner.replay.pool import Ask, Bools, Grant, HostPool, Int64s

__all__ = ["BestFit", "FirstFit", "SlurmTree"]


class FirstFit:
    """Hosts by number."""

    name = "first-fit"

    def prepare(self, pool: HostPool, mix: Mix, *, seed: int) -> None:
        """Nothing to get ready; see `Scheduler`."""

    def choose(self, pool: HostPool, asks: Sequence[Ask]) -> list[Grant] | None:
        """Return grants in the order of the asks, or ``None``; see `Scheduler`."""
        if len(asks) == 1:
            hosts = np.flatnonzero(pool.fits(asks[0]))
            return [pool.grant_on(int(self.order(pool, hosts, asks)[0]), asks[0])] if hosts.size else None
        # Hosts for equal asks are taken in one go; the last may be smaller and goes to the first other host near.
        first = asks[0]
        num = sum(ask == first for ask in asks)
        hosts = np.flatnonzero(pool.fits(first))
        if hosts.size < num:
            return None
        chosen = self.order(pool, hosts, asks)[:num]
        grants = [pool.grant_on(host, first) for host in chosen.tolist()]
        for ask in asks[num:]:
            room = pool.fits(ask)
            room[[grant.host for grant in grants]] = False
            rest = np.flatnonzero(room)
            if not rest.size:
                return None
            near = pool.leaf[rest] != pool.leaf[grants[-1].host]
            host = int(rest[np.lexsort((rest, near))[0]])
            grants.append(pool.grant_on(host, ask))
        return grants

    def order(self, pool: HostPool, hosts: Int64s, asks: Sequence[Ask]) -> Int64s:
        """Return hosts that fit in the order in which they are taken."""
        return hosts


class BestFit(FirstFit):
    """The fullest hosts that fit; a gang in the tightest leaf group that holds it, else in the tightest pod."""

    name = "best-fit"

    def order(self, pool: HostPool, hosts: Int64s, asks: Sequence[Ask]) -> Int64s:
        """Return the fullest first, or the tightest group's hosts first."""
        if len(asks) == 1:
            return _by(hosts, pool.left[hosts])
        for group in (pool.leaf, pool.pod):
            tight = _tightest(group[hosts], len(asks))
            if tight is not None:
                return _only(hosts, group[hosts] == tight)
        return _fullest_groups_first(pool.leaf[hosts], hosts)


class SlurmTree(FirstFit):
    """Slurm's topology/tree: the lowest switch with room and the least of it, its leaves filled one after the other."""

    name = "slurm-tree"

    def order(self, pool: HostPool, hosts: Int64s, asks: Sequence[Ask]) -> Int64s:
        """Return hosts of the chosen switch, leaf after leaf (``eval_nodes_tree.c``)."""
        tight = _tightest(pool.leaf[hosts], len(asks))
        if tight is not None:
            return _only(hosts, pool.leaf[hosts] == tight)
        pod = _tightest(pool.pod[hosts], len(asks))
        below = hosts if pod is None else _only(hosts, pool.pod[hosts] == pod)
        return _leaf_after_leaf(pool.leaf[below], below, len(asks))


def _only(hosts: Int64s, chosen: Bools) -> Int64s:
    kept: Int64s = hosts[chosen]
    return kept


def _by(hosts: Int64s, key: Int64s) -> Int64s:
    ordered: Int64s = hosts[np.argsort(key, kind="stable")]
    return ordered


def _tightest(group: Int64s, wanted: int) -> int | None:
    room = np.bincount(group)
    fits = np.flatnonzero(room >= wanted)
    return int(fits[room[fits].argmin()]) if fits.size else None


def _fullest_groups_first(group: Int64s, hosts: Int64s) -> Int64s:
    """Order hosts so that the groups with most room come first: the gang touches few."""
    room = np.bincount(group)
    ordered: Int64s = hosts[np.lexsort((hosts, group, -room[group]))]
    return ordered


def _leaf_after_leaf(leaf: Int64s, hosts: Int64s, wanted: int) -> Int64s:
    """Fill the smallest leaf that holds what is left, or else the one with most room."""
    room = np.bincount(leaf)
    order = []
    while wanted > 0 and room.any():
        fits = np.flatnonzero(room >= wanted)
        chosen = int(fits[room[fits].argmin()]) if fits.size else int(room.argmax())
        order.append(hosts[leaf == chosen])
        wanted -= int(room[chosen])
        room[chosen] = 0
    return np.concatenate(order)
