"""Schedulers that give every host that fits a score and take the best, the first of several."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from planner.replay.fragmentation import Float64s, Fragmentation, Mix
from planner.replay.pool import Ask, Grant, HostPool, Int64s

__all__ = [
    "BestFitScore",
    "DotProduct",
    "FragmentationGradient",
    "GpuClustering",
    "GpuPacking",
    "RandomHost",
    "ScoredScheduler",
]

# The scales of the published scores: the largest host of the trace, in thousandths (FGD's artifact, ATC 2023).
_CPU_SCALE = 128_000
_GPU_SCALE = 8_000


class ScoredScheduler:
    """Takes the hosts with the highest score for each ask of a job in turn."""

    name = "scored"

    def prepare(self, pool: HostPool, mix: Mix, *, seed: int) -> None:
        """Start on a pool; see `Scheduler`."""

    def choose(self, pool: HostPool, asks: Sequence[Ask]) -> list[Grant] | None:
        """Return the best hosts, or ``None``; see `Scheduler`."""
        if len(asks) == 1:
            hosts = np.flatnonzero(pool.fits(asks[0]))
            return [self.best(pool, hosts, asks[0])] if hosts.size else None
        grants: list[Grant] = []
        try:
            for ask in asks:
                hosts = np.flatnonzero(pool.fits(ask))
                if not hosts.size:
                    return None
                grant = self.best(pool, hosts, ask)
                pool.take(grant)
                grants.append(grant)
        finally:
            for grant in grants:
                pool.give_back(grant)
        return grants

    def best(self, pool: HostPool, hosts: Int64s, ask: Ask) -> Grant:
        """Return the grant on the best of the hosts that fit."""
        return pool.grant_on(int(hosts[self.scores(pool, hosts, ask).argmax()]), ask)

    def scores(self, pool: HostPool, hosts: Int64s, ask: Ask) -> Int64s:
        """Return whole scores of hosts that fit, ``(k,)``; higher is better."""
        raise NotImplementedError


class RandomHost(ScoredScheduler):
    """Any host that fits, and any accelerator of it."""

    name = "random-host"

    def prepare(self, pool: HostPool, mix: Mix, *, seed: int) -> None:
        """Seed the draws."""
        self._rng = np.random.default_rng(seed)

    def best(self, pool: HostPool, hosts: Int64s, ask: Ask) -> Grant:
        """Draw."""
        host = int(hosts[self._rng.integers(hosts.size)])
        if not ask.is_share or ask.slices is not None:
            return pool.grant_on(host, ask)
        fits = np.flatnonzero(pool.gpu_left[host] >= ask.gpu_milli)
        return pool.grant_on(host, ask, int(fits[self._rng.integers(fits.size)]))


class BestFitScore(ScoredScheduler):
    """The host with least processor and accelerators left afterwards, both counted half."""

    name = "best-fit-score"

    def scores(self, pool: HostPool, hosts: Int64s, ask: Ask) -> Int64s:
        """Score what is left."""
        cpu = (pool.cpu_left[hosts] - ask.cpu_milli) / _CPU_SCALE
        gpu = (pool.left[hosts] - ask.total_milli) / _GPU_SCALE
        return (100 * (1 - 0.5 * cpu - 0.5 * gpu)).astype(np.int64)


class DotProduct(ScoredScheduler):
    """The host whose room is with the smallest dot product of room and ask, after Tetris (SIGCOMM 2014)."""

    name = "dot-product"

    def scores(self, pool: HostPool, hosts: Int64s, ask: Ask) -> Int64s:
        """Score likeness."""
        cpu = pool.cpu_left[hosts] * (ask.cpu_milli / _CPU_SCALE**2)
        gpu = pool.left[hosts] * (ask.total_milli / _GPU_SCALE**2)
        return (100 * (1 - (cpu + gpu) / 2)).astype(np.int64)


class GpuPacking(ScoredScheduler):
    """Accelerators in use first, then hosts in use, then idle hosts (MLaaS in the Wild, NSDI 2022)."""

    name = "gpu-packing"

    def scores(self, pool: HostPool, hosts: Int64s, ask: Ask) -> Int64s:
        """Score by what has to be opened."""
        if not ask.gpus:
            return np.zeros(hosts.size, np.int64)
        free, num = pool.whole[hosts], pool.num_gpus[hosts]
        opened = np.maximum(33 - free, free)
        busy = np.full(hosts.size, max(50 - ask.gpus, 33), np.int64)
        if ask.is_share:
            rows = pool.gpu_left[hosts]
            tightest = np.where(rows >= ask.gpu_milli, rows, 2 * _GPU_SCALE).min(axis=1)
            busy = np.where(tightest == 1000, max(50 - 1, 33), np.maximum(100 - tightest // 100, 50))
        return np.where(free == num, opened, busy)


class GpuClustering(ScoredScheduler):
    """Asks of one shape together (Gandiva, OSDI 2018)."""

    name = "gpu-clustering"

    def prepare(self, pool: HostPool, mix: Mix, *, seed: int) -> None:
        """Nothing runs yet."""
        self._running = np.zeros((pool.num_hosts, pool.width + 2), np.int64)

    def best(self, pool: HostPool, hosts: Int64s, ask: Ask) -> Grant:
        """Choose, and remember what runs where."""
        grant = super().best(pool, hosts, ask)
        if ask.gpus:
            self._running[grant.host, _shape(ask)] += 1
        return grant

    def scores(self, pool: HostPool, hosts: Int64s, ask: Ask) -> Int64s:
        """Score by the shapes that a host runs."""
        if not ask.gpus:
            return np.zeros(hosts.size, np.int64)
        running = self._running[hosts] > 0
        mine = running[:, _shape(ask)]
        others = running.sum(axis=1) - mine > 0
        bonus = np.select([mine & ~others, mine, ~others], [75, 50, 25], 0)
        busy: Int64s = np.floor(25 * (_GPU_SCALE - pool.left[hosts]) / _GPU_SCALE).astype(np.int64)
        return np.asarray(busy + bonus, np.int64)


def _shape(ask: Ask) -> int:
    return 0 if ask.is_share else ask.gpus


class FragmentationGradient(ScoredScheduler):
    """FGD: the host whose fragmentation grows least (Weng et al., USENIX ATC 2023)."""

    name = "fgd"
    reach_frac = 0.0

    def prepare(self, pool: HostPool, mix: Mix, *, seed: int) -> None:
        """Score every host as it is."""
        self._fragmentation = Fragmentation(mix.typical(), pool, self.reach_frac)
        self._now = self._fragmentation.of(pool, np.arange(pool.num_hosts))
        self._now_at = pool.changes
        self._known: dict[Ask, tuple[Float64s, Int64s, int]] = {}

    def best(self, pool: HostPool, hosts: Int64s, ask: Ask) -> Grant:
        """Return the host, and on it the accelerator, of the steepest descent."""
        score, gpu = self._scored(pool, ask)
        host = int(hosts[score[hosts].argmax()])
        return pool.grant_on(host, ask, int(gpu[host]) if ask.is_share else None)

    def _scored(self, pool: HostPool, ask: Ask) -> tuple[Float64s, Int64s]:
        """Return score and accelerator by host; only hosts that changed are scored again."""
        score, gpu, seen_at = self._known.get(ask) or (
            np.zeros(pool.num_hosts),
            np.full(pool.num_hosts, -1, np.int64),
            -1,
        )
        if seen_at < pool.changes:
            stale = np.flatnonzero((pool.changed_at > seen_at) & pool.has_room(ask))
            if stale.size:
                self._refresh(pool)
                after, gpu[stale] = self._fragmentation.after(pool, stale, ask)
                score[stale] = self.rate(pool, stale, ask, self._now[stale] - after)
            self._known[ask] = score, gpu, pool.changes
        return score, gpu

    def _refresh(self, pool: HostPool) -> None:
        changed = np.flatnonzero(pool.changed_at > self._now_at)
        if changed.size:
            self._now[changed] = self._fragmentation.of(pool, changed)
        self._now_at = pool.changes

    def rate(self, pool: HostPool, hosts: Int64s, ask: Ask, falls_milli: Float64s) -> Float64s:
        """Return the score of hosts whose fragmentation falls by so much, ``(k,)``."""
        return np.trunc(100 / (1 + np.exp(-falls_milli / 1000)))
