"""The replay: arrivals, a waiting line, a scheduler, and jobs that run as fast as their neighbours let them."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from planner.replay.backfill import Plan, may_overtake, plan_for_head
from planner.replay.events import EventQueue, Happens
from planner.replay.fragmentation import Mix
from planner.replay.pool import WHOLE_MILLI, Ask, Grant, HostPool
from planner.replay.queues import WaitingLine, check_backfill
from planner.replay.scheduler import Scheduler
from planner.traces.trace import TraceJob
from topologies.errors import InputError

__all__ = ["Observer", "Outage", "Rules", "Running", "Stretch", "asks_of", "replay"]


@dataclass(frozen=True, slots=True)
class Outage:
    """A host that takes no work for a while.

    Attributes
    ----------
    host
        Number in the pool.
    start_s, end_s
        From when to when.
    is_drain
        True: what runs there may finish, but nothing new starts. False: a failure, what runs there is lost up to its
        last checkpoint and waits again.
    """

    host: int
    start_s: float
    end_s: float
    is_drain: bool = False


@dataclass(frozen=True)
class Rules:
    """How a cluster is run.

    Attributes
    ----------
    order
        ``fifo``, ``sjf`` or ``priority``.
    backfill
        ``none``: the head of the line blocks all behind it. ``any``: whoever fits starts. ``easy``: whoever does not
        delay the head. ``conservative``: whoever delays nobody before it, as far as counts of accelerators tell.
    backfill_depth
        How many jobs behind the head are looked at.
    quotas
        Tenant → accelerators that it may hold at once.
    can_preempt
        A job of higher priority may stop jobs of lower priority if it fits then; they wait again.
    checkpoint_every_s, restart_s
        A stopped or failed job loses what it did since its last checkpoint (0: nothing is lost), and starts again after
        so much time.
    outages
        Failures and drains.
    seed
        Of schedulers that draw.
    """

    order: str = "fifo"
    backfill: str = "none"
    backfill_depth: int = 100
    quotas: Mapping[str, float] = field(default_factory=dict)
    can_preempt: bool = False
    checkpoint_every_s: float = 0.0
    restart_s: float = 0.0
    outages: tuple[Outage, ...] = ()
    seed: int = 1

    def __post_init__(self) -> None:
        check_backfill(self.backfill)
        for name in ("checkpoint_every_s", "restart_s", "backfill_depth"):
            if not 0 <= getattr(self, name) < math.inf:
                raise InputError(what=f"{name} must not be negative", where="rules", found=getattr(self, name))


@dataclass(slots=True, eq=False)
class Running:
    """A job that runs.

    Attributes
    ----------
    number, job, grants
        Which, and what it has.
    start_s
        When it got that.
    left_s
        Work left at `seen_s`, in seconds alone on the network.
    slowdown
        How much longer everything takes now.
    end_s
        When it ends if nothing changes.
    """

    number: int
    job: TraceJob
    grants: list[Grant]
    start_s: float
    left_s: float
    seen_s: float
    slowdown: float = 1.0
    end_s: float = 0.0
    version: int = 0

    def settle(self, now_s: float) -> None:
        """Account for the work done until now."""
        self.left_s = max(self.left_s - (now_s - self.seen_s) / self.slowdown, 0.0)
        self.seen_s = now_s


class Stretch(Protocol):
    """Tells how much neighbours slow each other down."""

    def changed(
        self, running: Mapping[int, Running], started: Sequence[Running], ended: Sequence[Running]
    ) -> Mapping[int, float]:
        """Return the new slow-down, 1 or more, of every job whose slow-down changed, by number."""
        ...


class Observer(Protocol):
    """Is told what happens, in order of time."""

    def start(self, now_s: float, run: Running, waited_since_s: float) -> None:
        """Tell that a job got its accelerators."""

    def end(self, now_s: float, run: Running, outcome: str) -> None:
        """Tell that a job gave them back: ``done``, ``failed`` or ``preempted``."""

    def settled(self, now_s: float, pool: HostPool, line: WaitingLine, blocked: str) -> None:
        """Tell that an instant is over: what is free and who waits holds until the next."""

    def refused(self, now_s: float, job: TraceJob, why: str) -> None:
        """Tell that a job can never run here."""

    def slowed(self, now_s: float, run: Running, slowdown: float) -> None:
        """Tell that a job runs slower or faster from now on, just before it does."""


def asks_of(job: TraceJob, gpus_per_host: int) -> tuple[Ask, ...]:
    """Split a job over hosts: whole hosts, and the rest on one more; nobody splits what fits in one host."""
    if job.gpus <= gpus_per_host:
        return (Ask(job.gpus, job.gpu_milli if job.gpus else WHOLE_MILLI, job.cpu_milli, job.memory_mib, job.models),)
    full, rest = divmod(job.gpus, gpus_per_host)

    def part(gpus: int) -> Ask:
        cpu, memory = job.cpu_milli * gpus // job.gpus, job.memory_mib * gpus // job.gpus
        return Ask(gpus, WHOLE_MILLI, cpu, memory, job.models)

    return (part(gpus_per_host),) * full + ((part(rest),) if rest else ())


def replay(
    pool: HostPool,
    jobs: Iterable[TraceJob],
    scheduler: Scheduler,
    rules: Rules,
    observers: Sequence[Observer] = (),
    *,
    mix: Mix | None = None,
    stretch: Stretch | None = None,
    tick: Callable[[float], None] | None = None,
) -> None:
    """Replay jobs, sorted by submission, until all have ended or none that waits can start.

    Parameters
    ----------
    pool
        The hosts; as it is handed in, it is changed.
    mix
        What is expected, for schedulers that look ahead; left out, they expect whole hosts.
    stretch
        How neighbours slow each other down; left out, they do not.
    tick
        Called with the time after every instant, for progress; what it raises ends the replay.

    Raises
    ------
    InputError
        If the jobs are not sorted.
    """
    _Replay(pool, iter(jobs), scheduler, rules, observers, mix, stretch, tick).run()


class _Replay:
    def __init__(
        self,
        pool: HostPool,
        jobs: Iterator[TraceJob],
        scheduler: Scheduler,
        rules: Rules,
        observers: Sequence[Observer],
        mix: Mix | None,
        stretch: Stretch | None,
        tick: Callable[[float], None] | None,
    ) -> None:
        self.pool, self.scheduler, self.rules, self.observers = pool, scheduler, rules, observers
        self.stretch, self.tick = stretch, tick
        self.jobs = enumerate(jobs)
        self.line = WaitingLine(rules.order)
        self.events: EventQueue[tuple[object, ...]] = EventQueue()
        self.running: dict[int, Running] = {}
        self.left_s: dict[int, float] = {}
        self.since_s: dict[int, float] = {}
        self.held: dict[str, float] = {}
        self.host_down: dict[int, int] = {}
        self.started: list[Running] = []
        self.ended: list[Running] = []
        self.last_submit_s = -math.inf
        self.to_come = 0
        self.asks: dict[int, tuple[Ask, ...]] = {}
        self.never_runs: dict[tuple[Ask, int], str] = {}
        scheduler.prepare(pool, mix or Mix((Ask(max(pool.width, 1)),), (1.0,)), seed=rules.seed)
        for outage in rules.outages:
            what = Happens.DRAIN if outage.is_drain else Happens.FAIL
            self.events.add(outage.start_s, what, (outage,))
            self.events.add(outage.end_s, Happens.REPAIR, (outage,))
        self.next_arrival()

    def next_arrival(self) -> None:
        """Put the next job of the trace into the events: one at a time, so that a trace can be streamed."""
        for number, job in self.jobs:
            if job.submit_s < self.last_submit_s:
                raise InputError(what="jobs are not sorted by submission", where=f"job {job.id!r}", found=job.submit_s)
            self.last_submit_s = job.submit_s
            self.events.add(job.submit_s, Happens.ARRIVE, (number, job))
            self.to_come = 1
            return
        self.to_come = 0

    def run(self) -> None:
        """Handle instant after instant."""
        events = self.events
        while len(events):
            if self.to_come == 0 and not self.running and not len(self.line):
                break  # only outages are left
            now = events.next_s
            while events.next_s == now:
                _, what, payload = events.pop()
                self.handle(now, what, payload)
            blocked = self.schedule(now)
            if self.stretch is not None and (self.started or self.ended):
                self.restretch(now)
            self.started.clear()
            self.ended.clear()
            for observer in self.observers:
                observer.settled(now, self.pool, self.line, blocked)
            if self.tick is not None:
                self.tick(now)

    def handle(self, now: float, what: int, payload: tuple[object, ...]) -> None:
        """Handle one event."""
        if what == Happens.FINISH:
            run, version = payload
            if isinstance(run, Running) and run.version == version and self.running.get(run.number) is run:
                self.stop(now, run, "done")
        elif what == Happens.ARRIVE:
            number, job = payload
            if isinstance(job, TraceJob) and isinstance(number, int):
                self.arrive(now, number, job)
            self.next_arrival()
        elif isinstance(payload[0], Outage):
            self.outage(now, what, payload[0])

    def arrive(self, now: float, number: int, job: TraceJob) -> None:
        """Put a job in line, unless it could never run here."""
        asks = asks_of(job, self.pool.width)
        why = self.never(job, asks)
        if why:
            for observer in self.observers:
                observer.refused(now, job, why)
            return
        self.asks[number] = asks
        self.left_s[number] = job.duration_s
        self.since_s[number] = now
        self.line.add(number, job)

    def never(self, job: TraceJob, asks: tuple[Ask, ...]) -> str:
        """Return why a job could not run on the empty cluster, or nothing."""
        quota = self.rules.quotas.get(job.tenant)
        if quota is not None and job.accelerators > quota:
            return "more than its tenant's quota"
        known = self.never_runs.get((asks[0], len(asks)))
        if known is None:
            known = self.never_runs[asks[0], len(asks)] = self.why_never(asks)
        return known

    def why_never(self, asks: tuple[Ask, ...]) -> str:
        """Return what the empty cluster lacks for a job."""
        pool = self.pool
        kind = pool.accepts(asks[0].models)
        if not kind.any():
            return "no host of its kind"
        if int((kind & (pool.num_gpus >= asks[0].gpus)).sum()) < len(asks):
            return "larger than the cluster"
        big = (pool.cpu_size >= asks[0].cpu_milli) & (pool.memory_size >= asks[0].memory_mib)
        if int((kind & big & (pool.num_gpus >= asks[0].gpus)).sum()) < len(asks):
            return "more processor or memory than a host has"
        return ""

    def outage(self, now: float, what: int, outage: Outage) -> None:
        """Take a host out of use, or put it back."""
        host = outage.host
        if what == Happens.REPAIR:
            self.host_down[host] -= 1
            self.pool.is_up[host] = self.host_down[host] == 0
        else:
            self.host_down[host] = self.host_down.get(host, 0) + 1
            self.pool.is_up[host] = False
            if not outage.is_drain:
                for run in [r for r in self.running.values() if any(g.host == host for g in r.grants)]:
                    self.stop(now, run, "failed")
        self.pool.changes += 1
        self.pool.changed_at[host] = self.pool.changes

    def stop(self, now: float, run: Running, outcome: str) -> None:
        """Take a job off its accelerators; unless it is done, it waits again."""
        run.settle(now)
        del self.running[run.number]
        for grant in run.grants:
            self.pool.give_back(grant)
        job = run.job
        self.held[job.tenant] = self.held.get(job.tenant, 0.0) - job.accelerators
        self.ended.append(run)
        for observer in self.observers:
            observer.end(now, run, outcome)
        if outcome == "done":
            for known in (self.asks, self.left_s, self.since_s):
                known.pop(run.number, None)
            return
        left = self.left_s[run.number]
        every = self.rules.checkpoint_every_s
        done = left - run.left_s
        kept = done - math.fmod(done, every) if every > 0 else done
        self.left_s[run.number] = left - max(kept, 0.0) + self.rules.restart_s
        self.since_s[run.number] = now
        self.line.add(run.number, job)

    def schedule(self, now: float) -> str:
        """Start what can start; return why the first that cannot is blocked."""
        blocked, place, plan = "", 0, None
        backfill = self.rules.backfill
        looked = 0
        while place < len(self.line):
            number, job = self.line.at(place)
            why = self.try_start(now, place, number, job, plan)
            if not why:
                continue
            blocked = blocked or why
            if backfill == "none" and why != "quota":
                break
            if plan is None and backfill in ("easy", "conservative") and why != "quota":
                plan = plan_for_head(self.pool, self.scheduler, self.running.values(), self.asks[number], job, now)
            elif plan is not None and backfill == "conservative":
                plan.reserve(job, now)
            place += 1
            looked += 1
            if looked > self.rules.backfill_depth:
                break
        return blocked

    def try_start(self, now: float, place: int, number: int, job: TraceJob, plan: Plan | None) -> str:
        """Start a job; return why not if not: ``quota``, ``room`` or ``order``."""
        quota = self.rules.quotas.get(job.tenant)
        if quota is not None and self.held.get(job.tenant, 0.0) + job.accelerators > quota + 1e-9:
            return "quota"
        asks = self.asks[number]
        grants = self.scheduler.choose(self.pool, asks)
        if grants is None and self.rules.can_preempt and plan is None:
            grants = self.preempt(now, job, asks)
        if grants is None:
            return "room"
        if plan is not None and not may_overtake(plan, job, grants, now, self.left_s[number]):
            return "order"
        self.line.pop(place if self.line.at(place)[0] == number else self.place_of(number))
        self.begin(now, number, job, grants)
        return ""

    def place_of(self, number: int) -> int:
        return next(i for i, (n, _) in enumerate(self.line) if n == number)

    def begin(self, now: float, number: int, job: TraceJob, grants: list[Grant]) -> None:
        """Give a job its accelerators."""
        for grant in grants:
            self.pool.take(grant)
        self.held[job.tenant] = self.held.get(job.tenant, 0.0) + job.accelerators
        run = Running(number, job, grants, now, self.left_s[number], now)
        run.end_s = now + run.left_s
        self.running[number] = run
        self.events.add(run.end_s, Happens.FINISH, (run, run.version))
        self.started.append(run)
        for observer in self.observers:
            observer.start(now, run, self.since_s[number])

    def preempt(self, now: float, job: TraceJob, asks: tuple[Ask, ...]) -> list[Grant] | None:
        """Stop the youngest jobs of least priority until the job fits; none if that would not help."""
        lower = [run for run in self.running.values() if run.job.priority < job.priority]
        lower.sort(key=lambda run: (run.job.priority, -run.start_s, -run.number))
        freed: list[Running] = []
        grants = None
        for run in lower:
            for grant in run.grants:
                self.pool.give_back(grant)
            freed.append(run)
            grants = self.scheduler.choose(self.pool, asks)
            if grants is not None:
                break
        for run in freed:
            for grant in run.grants:
                self.pool.take(grant)
        if grants is None:
            return None
        wanted = {grant.host for grant in grants}
        for run in freed:
            if any(grant.host in wanted for grant in run.grants):
                self.stop(now, run, "preempted")
        return self.scheduler.choose(self.pool, asks)

    def restretch(self, now: float) -> None:
        """Ask how neighbours slow each other down now, and move the ends of those that changed."""
        if self.stretch is None:
            return
        for number, slowdown in self.stretch.changed(self.running, self.started, self.ended).items():
            run = self.running[number]
            run.settle(now)
            for observer in self.observers:
                observer.slowed(now, run, slowdown)
            run.slowdown = slowdown
            run.version += 1
            run.end_s = now + run.left_s * slowdown
            self.events.add(run.end_s, Happens.FINISH, (run, run.version))
