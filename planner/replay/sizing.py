"""Right-sizing: who holds more than it uses, who has dearer accelerators than it needs, and what that costs a month.

Three rules, on jobs whose utilization the trace tells. A job that would keep fewer accelerators no busier than 80 %
should ask for fewer; one on a single accelerator for a part of it. A job that would keep a cheaper accelerator of the
fabric no busier than that, by their dense bf16 rates, and accepts it, should run there. A serving pool should hold what
its requests need at 80 %, and pools whose peaks lie apart can share what both hold.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from planner.replay.advice import Advice, AdviceKind
from planner.replay.bill import HOURS_A_MONTH
from planner.replay.metrics import PoolFigures
from planner.replay.pool import HostPool
from planner.replay.running import Instant, Running
from planner.replay.serving_pools import SERVING, ServingPool
from planner.traces.trace import TraceJob
from topologies.parts import Part

__all__ = ["BUSY_FRAC", "Kind", "Sizing", "kinds_of", "less_needed"]

BUSY_FRAC = 0.8
"""As busy as an accelerator may be after a change: room for peaks that a mean does not show (a choice, not a fact)."""

_LEAST_SAVED_FRAC = 0.05  # pools that would save less of what they hold are left alone


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of accelerator: rate for dense bf16, memory and price."""

    name: str
    flops_per_s: float
    memory_bytes: float
    usd_per_h: float


def kinds_of(parts: Sequence[Part], default_usd_per_h: float) -> dict[str, Kind]:
    """Return the kinds among parts whose rate is known; the price is the middle of the rents, or the default."""
    found = {}
    for part in parts:
        flops = part.number("bf16_flops_per_s", 0.0)
        if part.part_class == "accelerator" and flops > 0:
            low, high = part.number("rent_low_usd_per_h", 0.0), part.number("rent_high_usd_per_h", 0.0)
            price = (low + high) / 2 if low and high else default_usd_per_h
            found[part.id] = Kind(part.id, flops, part.number("memory_bytes", 0.0), price)
    return found


def less_needed(job: TraceJob) -> float:
    """Return the accelerators that a job needs at `BUSY_FRAC`; what it has if nothing is known or nothing is saved.

    A part of one accelerator is told in tenths.
    """
    if job.used_frac is None or not job.gpus or job.gpu_milli < 1000:
        return job.accelerators
    busy = job.used_frac * job.gpus / BUSY_FRAC
    need = math.ceil(busy - 1e-9) if job.gpus > 1 else math.ceil(10 * busy - 1e-9) / 10
    return min(max(float(need), 0.1 if job.gpus == 1 else 1.0), float(job.gpus))


@dataclass(slots=True)
class _Found:
    jobs: int = 0
    freed_s: float = 0.0
    usd: float = 0.0
    held_s: float = 0.0


class Sizing:
    """An observer that collects what jobs hold beyond what they use.

    Parameters
    ----------
    pool
        Whose models grants name.
    kinds
        What is known of them.
    usd_per_gpu_hour
        The price where nothing else is known.
    """

    def __init__(self, pool: HostPool, kinds: Mapping[str, Kind], usd_per_gpu_hour: float) -> None:
        self._pool = pool
        self._kinds = {name: kinds[name] for name in pool.model_names if name in kinds}
        self._price = usd_per_gpu_hour
        self._found: defaultdict[tuple[AdviceKind, str, str], _Found] = defaultdict(_Found)

    def start(self, now_s: float, run: Running, waited_since_s: float) -> None:
        """Nothing to note."""

    def settled(self, now_s: float, now: Instant) -> None:
        """Nothing to note."""

    def refused(self, now_s: float, job: TraceJob, why: str) -> None:
        """Nothing to note."""

    def slowed(self, now_s: float, run: Running, slowdown: float) -> None:
        """Nothing to note."""

    def end(self, now_s: float, run: Running, outcome: str) -> None:
        """Note what a job held and did not use, and whether something cheaper would have done."""
        job = run.job
        if job.used_frac is None or job.kind == SERVING or not job.gpus:
            return
        held_s = now_s - run.start_s
        need = less_needed(job)
        if need < job.accelerators:
            kind: AdviceKind = "ask-for-less" if job.gpus > 1 else "share-an-accelerator"
            self._add((kind, job.tenant, ""), job, held_s, (job.accelerators - need) * held_s, self._price)
        else:
            self._cheaper(run, held_s, job.used_frac)

    def _cheaper(self, run: Running, held_s: float, used_frac: float) -> None:
        """Note a kind that would do the same work for less."""
        job = run.job
        has = self._kinds.get(self._pool.model_names[int(self._pool.model[run.grants[0].host])])
        if has is None:
            return
        fits = [
            kind
            for kind in self._kinds.values()
            if kind.usd_per_h < has.usd_per_h
            and (not job.models or kind.name in job.models)
            and used_frac * has.flops_per_s <= BUSY_FRAC * kind.flops_per_s
            and kind.memory_bytes >= has.memory_bytes
        ]
        if fits:
            best = min(fits, key=lambda kind: (kind.usd_per_h, kind.name))
            key: tuple[AdviceKind, str, str] = ("cheaper-kind", job.tenant, f"{has.name} → {best.name}")
            self._add(key, job, held_s, job.accelerators * held_s, has.usd_per_h - best.usd_per_h)

    def _add(
        self, key: tuple[AdviceKind, str, str], job: TraceJob, held_s: float, freed_s: float, usd_per_h: float
    ) -> None:
        found = self._found[key]
        found.jobs += 1
        found.freed_s += freed_s
        found.held_s += held_s * job.accelerators
        found.usd += freed_s / 3600 * usd_per_h

    def advice(self, span_s: float, pools: Sequence[ServingPool], figures: Sequence[PoolFigures]) -> tuple[Advice, ...]:
        """Return advice, dearest first."""
        months = span_s / 3600 / HOURS_A_MONTH or 1.0
        found = [
            Advice(kind, tenant, _text(kind, detail, sums), sums.jobs, sums.freed_s / 3600, sums.usd / months)
            for (kind, tenant, detail), sums in self._found.items()
            if sums.freed_s > 0
        ]
        found += [*self._smaller(pools, figures, months), *self._shared(pools, span_s, months)]
        return tuple(sorted(found, key=lambda a: (-a.usd_per_month, a.kind, a.tenant, a.text)))

    def _smaller(self, pools: Sequence[ServingPool], figures: Sequence[PoolFigures], months: float) -> list[Advice]:
        """Return pools that hold more than their requests need."""
        by_name = {pool.name: pool for pool in pools}
        found = []
        for told in figures:
            saved = told.held_gpu_h - told.busy_gpu_h / BUSY_FRAC
            if told.name not in by_name or saved <= _LEAST_SAVED_FRAC * told.held_gpu_h:
                continue
            pool = by_name[told.name]
            text = (
                f"pool {told.name}: serves with {told.held_gpu_h:,.0f} accelerator-hours, requests fill "
                f"{told.busy_gpu_h:,.0f}; fewer than {pool.least} replicas at least, or a cool-down below "
                f"{pool.cooldown_s:g} s"
            )
            found.append(Advice("shrink-pool", told.tenant, text, 0, saved, saved * self._price / months))
        return found

    def _shared(self, pools: Sequence[ServingPool], span_s: float, months: float) -> list[Advice]:
        """Return what pools save together if each other's valleys carry their peaks."""
        if len(pools) < 2:
            return []
        times = np.unique([time for pool in pools for time, _ in pool.demand if time <= span_s] or [0.0])
        need = np.array([[pool.wanted_at(t) * pool.gpus for t in times.tolist()] for pool in pools])
        apart, together = float(need.max(axis=1).sum()), float(need.sum(axis=0).max())
        saved = (apart - together) * span_s / 3600
        if saved <= 0:
            return []
        names = ", ".join(pool.name for pool in pools)
        text = f"pools {names}: {apart:,.0f} accelerators at their peaks apart, {together:,.0f} at the peak of all"
        return [Advice("share-pools", "", text, 0, saved, saved * self._price / months)]


def _text(kind: AdviceKind, detail: str, sums: _Found) -> str:
    held_h, freed_h = sums.held_s / 3600, sums.freed_s / 3600
    if kind == "cheaper-kind":
        return f"{held_h:,.0f} accelerator-hours would do as well on the cheaper kind: {detail}"
    unit = "fewer accelerators" if kind == "ask-for-less" else "a part of an accelerator"
    return f"{unit}: {freed_h:,.0f} of {held_h:,.0f} accelerator-hours are free at {BUSY_FRAC:.0%} busy"
