"""What came out of a replay: waits, utilization, stranded capacity, energy and goodput, added up as it runs."""

from __future__ import annotations

import math
from array import array
from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from planner.replay.fragmentation import Float64s, Fragmentation, Mix
from planner.replay.pool import WHOLE_MILLI, HostPool
from planner.replay.running import Instant, Running, asks_of
from planner.replay.serving_pools import SERVING
from planner.replay.stranded import CAUSES, FREE_CAUSES, free_slots, stranded
from planner.replay.timeline import MEANS, SLOT_SIZES, TimeBins, Timeline
from planner.traces.trace import TraceJob

__all__ = ["SIZE_CLASSES", "Group", "GroupFigures", "Metrics", "Moment", "PoolFigures", "Power", "Summary"]

SIZE_CLASSES = ((1, "1"), (8, "2-8"), (64, "9-64"), (512, "65-512"))
SLOWDOWN_FLOOR_S = 10.0
"""Bounded slow-down counts shorter jobs as so long (Feitelson & Rudolph 1998)."""


@dataclass(frozen=True, slots=True)
class Power:
    """What accelerators draw, with their part of the host.

    Attributes
    ----------
    watts
        Of one at work.
    idle_frac
        Part of that which one draws that does nothing, on a host that is up.
    """

    watts: float
    idle_frac: float


@dataclass(frozen=True, slots=True)
class Moment:
    """What held from one instant to the next, in accelerators: `working` and all of `idle` add up to all."""

    time_s: float
    working: float
    allocated: float
    waiting_jobs: int
    idle: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class GroupFigures:
    """Figures of the jobs of one size class or tenant that ended; accelerator-hours count all that ran."""

    jobs: int
    mean_wait_s: float
    p50_wait_s: float
    p90_wait_s: float
    p99_wait_s: float
    max_wait_s: float
    mean_jct_s: float
    mean_bounded_slowdown: float
    allocated_gpu_h: float
    useful_gpu_h: float
    good_gpu_h: float


@dataclass(slots=True)
class Group:
    """Sums over jobs of one size class or tenant."""

    waits_s: array[float] = field(default_factory=lambda: array("d"))
    jct_s: float = 0.0
    slowdown: float = 0.0
    allocated_s: float = 0.0
    useful_s: float = 0.0
    good_s: float = 0.0

    @property
    def jobs(self) -> int:
        """How many ended."""
        return len(self.waits_s)

    def figures(self) -> GroupFigures:
        """Return means and accelerator-hours."""
        n = max(self.jobs, 1)
        waits = np.array(self.waits_s or [0.0])
        return GroupFigures(
            self.jobs,
            float(waits.mean()),
            float(np.quantile(waits, 0.5)),
            float(np.quantile(waits, 0.9)),
            float(np.quantile(waits, 0.99)),
            float(waits.max()),
            self.jct_s / n,
            self.slowdown / n,
            self.allocated_s / 3600,
            self.useful_s / 3600,
            self.good_s / 3600,
        )


@dataclass(frozen=True, slots=True)
class PoolFigures:
    """What a serving pool did.

    Attributes
    ----------
    held_gpu_h, busy_gpu_h
        Accelerators that served, and the requests' worth of them.
    short_gpu_h
        What requests needed and was not there.
    """

    name: str
    tenant: str
    held_gpu_h: float
    busy_gpu_h: float
    short_gpu_h: float


@dataclass(frozen=True)
class Summary:
    """The figures of a whole replay; times in seconds, shares from 0 to 1.

    Attributes
    ----------
    allocated_frac, working_frac
        Accelerators held, and held by work that has launched, over all of them × makespan.
    useful_frac
        The same without waiting on the network.
    goodput_frac
        Work of jobs that ended over capacity × makespan: useful work, less what failures and preemption undid; and
        what serving pools served.
    idle_frac
        By cause; `working_frac` and these add up to 1.
    deployable_frac
        Mean over time of what could be put to use (`planner.replay.timeline.Timeline`) over all accelerators.
    energy_kwh
        Of the hosts.
    """

    jobs: int
    refused: dict[str, int]
    mean_wait_s: float
    p90_wait_s: float
    mean_jct_s: float
    mean_bounded_slowdown: float
    makespan_s: float
    allocated_frac: float
    working_frac: float
    useful_frac: float
    goodput_frac: float
    idle_frac: dict[str, float]
    deployable_frac: float
    energy_kwh: float
    failures: int
    preemptions: int
    never_launched: int
    moves: int


class Metrics:
    """An observer that adds up.

    Parameters
    ----------
    pool
        Whose.
    mix
        Expected jobs, by which free accelerators are usable or not; left out: whole hosts.
    power
        What accelerators draw; left out: nothing.
    keep_moments
        Whether every moment is kept, not only the sums.
    """

    def __init__(
        self, pool: HostPool, *, mix: Mix | None = None, power: Power | None = None, keep_moments: bool = False
    ) -> None:
        self.capacity = pool.capacity_milli / WHOLE_MILLI
        self.by_size: dict[str, Group] = {}
        self.by_tenant: dict[str, Group] = {}
        self.refused_why: Counter[str] = Counter()
        self.outcomes: Counter[str] = Counter()
        self.stranded_s: defaultdict[str, float] = defaultdict(float)  # by tenant of the job that was kept waiting
        self.moments: list[Moment] = []
        self.pools_s: dict[str, list[float]] = {}
        self.pool_tenants: dict[str, str] = {}
        self._fragmentation = None if mix is None else Fragmentation(mix.typical(), pool)
        self._power = power or Power(0.0, 0.0)
        self._keep = keep_moments
        self._bins = TimeBins(len(MEANS) + len(CAUSES), 1 + len(SLOT_SIZES))
        self._last: Moment | None = None
        self._last_values: Float64s = np.zeros(len(MEANS) + len(CAUSES))
        self._last_tenant = ""
        self._last_pools: tuple[tuple[str, float, float, float], ...] = ()
        self._done_s: dict[int, float] = {}
        self._since: dict[int, float] = {}
        self._waits_on_network: dict[int, float] = {}
        self._network = 0.0
        self._first_s: float | None = None
        self._last_end_s = 0.0
        self._useful_s = 0.0
        self._good_s = 0.0

    def start(self, now_s: float, run: Running, waited_since_s: float) -> None:
        """Note the wait."""
        self._since[run.number] = self._since.get(run.number, 0.0) + now_s - waited_since_s
        self._done_s[run.number] = run.left_s

    def slowed(self, now_s: float, run: Running, slowdown: float) -> None:
        """Note how many accelerators' worth of it waits on the network."""
        waits = run.job.accelerators * (1 - 1 / slowdown)
        self._network += waits - self._waits_on_network.get(run.number, 0.0)
        self._waits_on_network[run.number] = waits

    def end(self, now_s: float, run: Running, outcome: str) -> None:
        """Add a stay up."""
        job = run.job
        self._network -= self._waits_on_network.pop(run.number, 0.0)
        self._last_end_s = max(self._last_end_s, now_s)
        began_with = self._done_s.pop(run.number)
        held = (now_s - run.start_s) * job.accelerators
        tenant = self.by_tenant.setdefault(job.tenant, Group())
        tenant.allocated_s += held
        if run.work_s > run.start_s:
            self.stranded_s[job.tenant] += (min(run.work_s, now_s) - run.start_s) * job.accelerators
        if job.kind == SERVING:
            self._since.pop(run.number, None)
            return
        self.outcomes[outcome] += 1
        useful = 0.0 if run.left_s == math.inf else (began_with - run.left_s) * job.accelerators
        self._useful_s += useful
        size = self.by_size.setdefault(_size_class(job), Group())
        size.allocated_s += held
        groups = (size, tenant)
        for group in groups:
            group.useful_s += useful
        if outcome != "done":
            return
        wait = self._since.pop(run.number)
        jct = now_s - job.submit_s
        slowdown = max(jct / max(job.duration_s, SLOWDOWN_FLOOR_S), 1.0)
        good = job.duration_s * job.accelerators
        for group in groups:
            group.waits_s.append(wait)
            group.jct_s += jct
            group.slowdown += slowdown
            group.good_s += good
        self._good_s += good

    def settled(self, now_s: float, now: Instant) -> None:
        """Close the moment before, and open the next."""
        if self._first_s is None:
            self._first_s = now_s
        self._close(now_s)
        pool, line = now.pool, now.line
        number_and_job = line.at(0) if len(line) else None
        first = None if number_and_job is None else number_and_job[1]
        causes = stranded(
            pool,
            None if first is None else asks_of(first, pool.width),
            why=now.blocked,
            reserved=None if first is None else now.site.reserved(first, now_s),
            isolated=None if first is None else now.site.isolated(first.tenant),
        )
        free = sum(causes.values())
        spare = sum((p.ready - p.busy) * p.gpus for p in now.pools)
        idle = {"launching": now.launching, "gang-held": now.gang_held, "spare-replica": spare, **causes}
        held_idle = now.launching + now.gang_held + spare
        allocated = self.capacity - free
        working = allocated - held_idle
        self._last = Moment(now_s, working, allocated, len(line), idle)
        self._last_tenant = "" if first is None else first.tenant
        self._last_pools = tuple((p.name, p.ready * p.gpus, p.busy * p.gpus, p.wanted * p.gpus) for p in now.pools)
        for p in now.pools:
            self.pool_tenants[p.name] = p.tenant
        is_off = causes["down"]
        watts = self._power.watts * (working + self._power.idle_frac * (self.capacity - working - is_off))
        values = (allocated, working, working - self._network, len(now.running), len(line), line.accelerators, watts)
        self._last_values = np.array((*values, *idle.values()))
        if self._bins.wants_sample(now_s):
            self._bins.put_sample(now_s, (working + self._usable(pool), *map(float, free_slots(pool, SLOT_SIZES))))
        if self._keep:
            self.moments.append(self._last)

    def _usable(self, pool: HostPool) -> float:
        """Return free accelerators that expected jobs could use."""
        up = np.flatnonzero(pool.is_up)
        if self._fragmentation is None:
            return float(pool.left[up[pool.whole[up] == pool.num_gpus[up]]].sum()) / WHOLE_MILLI
        return float(pool.left[up].sum() - self._fragmentation.of(pool, up).sum()) / WHOLE_MILLI

    def _close(self, now_s: float) -> None:
        last = self._last
        if last is None:
            return
        lasted = now_s - last.time_s
        if lasted <= 0:
            return
        self._bins.add(last.time_s, now_s, self._last_values)
        self.stranded_s[self._last_tenant] += lasted * sum(
            last.idle[cause] for cause in FREE_CAUSES if cause not in ("no-demand", "down")
        )
        for name, ready, busy, wanted in self._last_pools:
            sums = self.pools_s.setdefault(name, [0.0, 0.0, 0.0])
            for k, value in enumerate((ready, busy, max(wanted - ready, 0.0))):
                sums[k] += value * lasted
            tenant = self.by_tenant.setdefault(self.pool_tenants[name], Group())
            tenant.useful_s += busy * lasted
            tenant.good_s += busy * lasted
            self.stranded_s[self.pool_tenants[name]] += (ready - busy) * lasted

    def refused(self, now_s: float, job: TraceJob, why: str) -> None:
        """Count a job that can never run."""
        self.refused_why[why] += 1

    @property
    def span_s(self) -> float:
        """From the first instant to the last."""
        return self._bins.lasted_s

    def pools(self) -> tuple[PoolFigures, ...]:
        """Return what serving pools did."""
        return tuple(
            PoolFigures(name, self.pool_tenants[name], *(value / 3600 for value in sums))
            for name, sums in sorted(self.pools_s.items())
        )

    def timeline(self) -> Timeline:
        """Return what it looked like over time."""
        return self._bins.timeline()

    def summary(self) -> Summary:
        """Return the figures of the whole."""
        sizes = self.by_size.values()
        jobs = sum(group.jobs for group in sizes)
        n = max(jobs, 1)
        makespan = self._last_end_s - (self._first_s or 0.0) if self.outcomes else 0.0
        whole = self.capacity * self._bins.lasted_s or 1.0
        waits = np.concatenate([np.array(group.waits_s) for group in sizes]) if jobs else np.zeros(1)
        totals = dict(zip((*MEANS, *CAUSES), self._bins.totals().tolist(), strict=True))
        served = sum(busy for _, busy, _ in self.pools_s.values())
        return Summary(
            jobs=jobs,
            refused=dict(self.refused_why),
            mean_wait_s=float(waits.mean()),
            p90_wait_s=float(np.quantile(waits, 0.9)),
            mean_jct_s=sum(group.jct_s for group in sizes) / n,
            mean_bounded_slowdown=sum(group.slowdown for group in sizes) / n,
            makespan_s=makespan,
            allocated_frac=totals["allocated"] / whole,
            working_frac=totals["working"] / whole,
            useful_frac=(self._useful_s + served) / whole,
            goodput_frac=(self._good_s + served) / whole,
            idle_frac={cause: totals[cause] / whole for cause in CAUSES},
            deployable_frac=self._deployable_frac(),
            energy_kwh=totals["watts"] / 3.6e6,
            failures=self.outcomes["failed"],
            preemptions=self.outcomes["preempted"],
            never_launched=self.outcomes["never-launched"],
            moves=self.outcomes["moved"],
        )

    def _deployable_frac(self) -> float:
        edges, _, samples = self._bins.spans()
        lasts = np.diff(edges)
        return float((samples[:, 0] * lasts).sum() / (lasts.sum() * self.capacity)) if lasts.sum() > 0 else 0.0


def _size_class(job: TraceJob) -> str:
    return next((name for most, name in SIZE_CLASSES if job.gpus <= most), "513+")
