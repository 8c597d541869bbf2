"""One trace on one fabric under several policies, side by side."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from planner.collectives.traffic import Demand
from planner.replay.bill import bill
from planner.replay.by_solver import BATCH, PREFIX, BatchSolver, SolverScheduler
from planner.replay.engine import replay
from planner.replay.fragmentation import Mix
from planner.replay.journal import Journal
from planner.replay.metrics import Metrics, Power
from planner.replay.moving import Mover
from planner.replay.on_fabric import pool_of
from planner.replay.pool import WHOLE_MILLI
from planner.replay.result import PolicyResult, ReplayResult, Saving
from planner.replay.rules import Rules
from planner.replay.running import Instant, Running, asks_of
from planner.replay.scheduler import Scheduler, get_scheduler
from planner.replay.sizing import Sizing, kinds_of
from planner.replay.stranded import Slots, slots
from planner.replay.stretch import STEP_BYTES, Congestion
from planner.sharing import MIG_MEMORY_SLICES, mig_profile, mig_slices
from planner.state import ClusterState
from planner.traces.trace import Trace, TraceJob
from topologies.fabric import Fabric

__all__ = ["Setting", "fitted", "replay_policies"]


@dataclass(frozen=True)
class Setting:
    """What a replay needs beside fabric, trace and rules.

    Attributes
    ----------
    state
        Accelerators that are not free take their hosts out.
    congestion
        Makes a fresh `Congestion` for each policy; None: nobody is slowed down.
    mover
        Makes what moves jobs together, by policy; None: nothing moves.
    power
        What accelerators draw.
    usd_per_gpu_hour
        The price.
    solver_time_limit_s
        Of policies that are solvers, a call.
    journal
        Where costly decisions are kept, so that an interrupted replay can go on.
    tick
        Called with policy and time.
    """

    state: ClusterState | None = None
    congestion: Callable[[], Congestion] | None = None
    mover: Callable[[], Mover] | None = None
    power: Power | None = None
    usd_per_gpu_hour: float = 0.0
    solver_time_limit_s: float = 5.0
    journal: Journal | None = None
    tick: Callable[[str, float], None] | None = None


class _MostStranded:
    """Watches for the moment with most accelerators idle while a job waits, and counts slots there."""

    def __init__(self) -> None:
        self.idle_milli = -1
        self.time_s = 0.0
        self.slots: list[Slots] = []

    def start(self, now_s: float, run: Running, waited_since_s: float) -> None:
        """Nothing to note."""

    def end(self, now_s: float, run: Running, outcome: str) -> None:
        """Nothing to note."""

    def refused(self, now_s: float, job: TraceJob, why: str) -> None:
        """Nothing to note."""

    def slowed(self, now_s: float, run: Running, slowdown: float) -> None:
        """Nothing to note."""

    def settled(self, now_s: float, now: Instant) -> None:
        """Count slots when more is idle than ever while a job waits, or at the first instant."""
        idle = int(now.pool.left.sum()) if len(now.line) else 0
        if idle > self.idle_milli:
            self.idle_milli, self.time_s, self.slots = idle, now_s, slots(now.pool)


def fitted(trace: Trace, fabric: Fabric) -> Trace:
    """Return the trace with models left open where the fabric knows none of those that it names, and MIG as slices."""
    known = {part.id for part in fabric.parts}
    named = {model for job in trace.jobs for model in job.models}
    if named and not named & known:
        named_by = sum(bool(job.models) for job in trace.jobs)
        told = Counter({"jobs that name a model: the fabric has none of these, taken as any": named_by})
        trace = trace.mapped(lambda job: replace(job, models=()), told)
    if not any(job.mig for job in trace.jobs):
        return trace
    memory = {part.id: part.number("memory_bytes", 0.0) for part in fabric.parts if part.part_class == "accelerator"}
    return trace.mapped(lambda job: _cut(job, memory) if job.mig else job, Counter())


def _cut(job: TraceJob, memory_bytes: Mapping[str, float]) -> TraceJob:
    """Return a job with the slices of its MIG profile, on the models that have it; on none it can never run."""
    profile = mig_profile(job.mig)
    found = {
        model: slices
        for model, size in memory_bytes.items()
        if size and (not job.models or model in job.models) and (slices := mig_slices(profile, size)) is not None
    }
    slices = next(iter(found.values()), None)
    if slices is None:
        return replace(job, models=(f"MIG {job.mig}",))
    models = tuple(model for model, of_model in found.items() if of_model == slices)
    part_milli = WHOLE_MILLI * slices[1] // MIG_MEMORY_SLICES
    is_whole = part_milli == WHOLE_MILLI
    return replace(job, models=models, gpu_milli=part_milli, slices=None if is_whole else slices)


def _scheduler(fabric: Fabric, name: str, setting: Setting) -> Scheduler:
    limit_s = setting.solver_time_limit_s
    if name.startswith(BATCH):
        traffic = Demand(STEP_BYTES) if setting.congestion is not None else None
        return BatchSolver(
            fabric, name.removeprefix(BATCH), time_limit_s=limit_s, journal=setting.journal, traffic=traffic
        )
    if name.startswith(PREFIX):
        return SolverScheduler(fabric, name.removeprefix(PREFIX), time_limit_s=limit_s, journal=setting.journal)
    return get_scheduler(name)


def replay_policies(
    fabric: Fabric,
    trace: Trace,
    policies: Sequence[str],
    rules: Rules,
    setting: Setting | None = None,
    *,
    rules_told: dict[str, str] | None = None,
) -> ReplayResult:
    """Replay a trace under each policy.

    An interrupt (Ctrl-C) ends it: the policy that was being replayed is told up to then, those after it not at all.

    Parameters
    ----------
    rules_told
        The rules in words, as the result tells them.

    Raises
    ------
    InputError
        If a policy is not installed, or cannot place a job of the trace.
    """
    setting = setting or Setting()
    chosen = [_scheduler(fabric, name, setting) for name in policies]
    results: list[PolicyResult] = []
    for scheduler in chosen:
        results.append(_one(fabric, trace, scheduler, rules, setting))
        if not results[-1].finished:
            break
    savings = tuple(
        Saving(a.policy, b.policy, (b.bill.stranded_frac - a.bill.stranded_frac) * a.bill.month_usd)
        for i, a in enumerate(results)
        for b in results[i + 1 :]
    )
    return ReplayResult(
        fabric.name,
        fabric.num_accelerators,
        trace.source,
        len(trace.jobs),
        dict(trace.mended),
        rules_told or {"order": rules.order, "backfill": rules.backfill},
        setting.usd_per_gpu_hour,
        tuple(results),
        savings,
    )


def _one(fabric: Fabric, trace: Trace, scheduler: Scheduler, rules: Rules, setting: Setting) -> PolicyResult:
    pool = pool_of(fabric, setting.state)
    mix = Mix.of(ask for job in trace.jobs for ask in asks_of(job, pool.width))
    metrics, worst = Metrics(pool, mix=mix, power=setting.power), _MostStranded()
    sizing = Sizing(pool, kinds_of(fabric.parts, setting.usd_per_gpu_hour), setting.usd_per_gpu_hour)
    stretch = setting.congestion() if setting.congestion is not None else None
    mover = setting.mover() if setting.mover is not None else None

    def on_tick(now_s: float) -> None:
        if setting.tick is not None:
            setting.tick(scheduler.name, now_s)

    finished = True
    try:
        replay(
            pool, trace.jobs, scheduler, rules, (metrics, worst, sizing),
            mix=mix, stretch=stretch, mover=mover, tick=on_tick,
        )  # fmt: skip
    except KeyboardInterrupt:
        finished = False
    summary = metrics.summary()
    by_tenant = {name: group.figures() for name, group in sorted(metrics.by_tenant.items())}
    price = setting.usd_per_gpu_hour
    return PolicyResult(
        scheduler.name,
        finished,
        summary,
        {name: group.figures() for name, group in sorted(metrics.by_size.items(), key=_size)},
        by_tenant,
        metrics.pools(),
        bill(summary, by_tenant, metrics.stranded_s, metrics.capacity, metrics.span_s, price),
        metrics.timeline(),
        tuple(worst.slots),
        worst.time_s,
        sizing.advice(metrics.span_s, rules.pools, metrics.pools()),
        stretch.num_scored if stretch is not None else 0,
    )


def _size(item: tuple[str, object]) -> int:
    return int(item[0].split("-")[0].rstrip("+"))
