"""One trace on one fabric under several policies, side by side."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from planner.replay.bill import Bill, bill
from planner.replay.by_solver import PREFIX, SolverScheduler
from planner.replay.engine import Rules, Running, asks_of, replay
from planner.replay.fragmentation import Mix
from planner.replay.metrics import Metrics, Summary
from planner.replay.on_fabric import pool_of
from planner.replay.pool import HostPool
from planner.replay.queues import WaitingLine
from planner.replay.scheduler import Scheduler, get_scheduler
from planner.replay.stranded import Slots, slots
from planner.replay.stretch import Congestion
from planner.replay.timeline import Timeline, Watch
from planner.state import ClusterState
from planner.traces.trace import Trace, TraceJob
from topologies.fabric import Fabric

__all__ = ["Outcome", "fitted", "replay_policies"]


@dataclass(frozen=True)
class Outcome:
    """What one policy made of the trace.

    Attributes
    ----------
    policy
        Its name.
    summary, metrics
        Figures of the whole, and by size and tenant.
    bill
        What it cost.
    stranded_slots
        Free slots by size at the moment with most accelerators idle while a job waits.
    stranded_s
        When that was.
    num_scored
        How often congestion was scored.
    timeline
        What held over time.
    """

    policy: str
    summary: Summary
    metrics: Metrics
    bill: Bill
    stranded_slots: list[Slots]
    stranded_s: float
    num_scored: int
    timeline: Timeline


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

    def settled(self, now_s: float, pool: HostPool, line: WaitingLine, blocked: str) -> None:
        """Count slots when more is idle than ever while a job waits, or at the first instant."""
        idle = int(pool.left.sum()) if len(line) else 0
        if idle > self.idle_milli:
            self.idle_milli, self.time_s, self.slots = idle, now_s, slots(pool)


def fitted(trace: Trace, fabric: Fabric) -> Trace:
    """Return the trace with accelerator models left open where the fabric knows none of those that the trace names."""
    known = {part.id for part in fabric.parts}
    named = {model for job in trace.jobs for model in job.models}
    if not named or named & known:
        return trace
    told = trace.mended.copy()
    told["jobs that name a model: the fabric has none of these, taken as any"] = sum(bool(j.models) for j in trace.jobs)
    jobs: tuple[TraceJob, ...] = tuple(replace(job, models=()) for job in trace.jobs)
    return Trace(jobs, told, trace.source)


def _scheduler(fabric: Fabric, name: str) -> Scheduler:
    if name.startswith(PREFIX):
        return SolverScheduler(fabric, name.removeprefix(PREFIX))
    return get_scheduler(name)


def replay_policies(
    fabric: Fabric,
    trace: Trace,
    policies: Sequence[str],
    rules: Rules,
    *,
    state: ClusterState | None = None,
    congestion: Callable[[], Congestion] | None = None,
    usd_per_gpu_hour: float = 0.0,
    tick: Callable[[str, float], None] | None = None,
) -> list[Outcome]:
    """Replay a trace under each policy.

    Parameters
    ----------
    congestion
        Makes a fresh `Congestion` for each policy; None: nobody is slowed down.
    tick
        Called with policy and time.

    Raises
    ------
    InputError
        If a policy is not installed, or cannot place a job of the trace.
    """
    chosen = [_scheduler(fabric, name) for name in policies]
    outcomes = []
    for scheduler in chosen:
        pool = pool_of(fabric, state)
        metrics, worst = Metrics(pool), _MostStranded()
        watch = Watch(metrics)
        stretch = congestion() if congestion is not None else None
        mix = Mix.of(ask for job in trace.jobs for ask in asks_of(job, pool.width))
        name = scheduler.name

        def on_tick(now_s: float, name: str = name) -> None:
            if tick is not None:
                tick(name, now_s)

        replay(pool, trace.jobs, scheduler, rules, (metrics, watch, worst), mix=mix, stretch=stretch, tick=on_tick)
        summary = metrics.summary()
        outcomes.append(
            Outcome(
                name,
                summary,
                metrics,
                bill(summary, metrics.by_tenant, metrics.capacity, usd_per_gpu_hour),
                worst.slots,
                worst.time_s,
                stretch.num_scored if stretch is not None else 0,
                watch.timeline(),
            )
        )
    return outcomes
