"""The replay: arrivals, a waiting line, a scheduler, and jobs that run as fast as their neighbours let them."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence

import numpy as np

from planner.replay.backfill import Plan, may_overtake, plan_for_head
from planner.replay.batches import BatchScheduler, candidates
from planner.replay.events import EventQueue, Happens
from planner.replay.fleet import Fleet
from planner.replay.fragmentation import Mix
from planner.replay.gangs import GangHolds
from planner.replay.moving import Mover
from planner.replay.pool import Ask, Grant, HostPool
from planner.replay.queues import WaitingLine
from planner.replay.rules import Outage, Rules
from planner.replay.running import Instant, Observer, Running, Stretch, asks_of
from planner.replay.scheduler import Scheduler
from planner.replay.serving_pools import SERVING
from planner.replay.site import Site
from planner.traces.trace import TraceJob
from topologies.errors import InputError

__all__ = ["replay"]


def replay(
    pool: HostPool,
    jobs: Iterable[TraceJob],
    scheduler: Scheduler,
    rules: Rules,
    observers: Sequence[Observer] = (),
    *,
    mix: Mix | None = None,
    stretch: Stretch | None = None,
    mover: Mover | None = None,
    tick: Callable[[float], None] | None = None,
) -> None:
    """Replay jobs, sorted by submission, until all have ended or none that waits can start.

    Serving pools end with the last job.

    Parameters
    ----------
    pool
        The hosts; as it is handed in, it is changed.
    mix
        What is expected, for schedulers that look ahead; left out, they expect whole hosts.
    stretch
        How neighbours slow each other down; left out, they do not.
    mover
        Says what to move where the rules want running jobs moved together.
    tick
        Called with the time after every instant, for progress; what it raises ends the replay.

    Raises
    ------
    InputError
        If the jobs are not sorted.
    """
    _Replay(pool, iter(jobs), scheduler, rules, observers, mix, stretch, mover, tick).run()


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
        mover: Mover | None,
        tick: Callable[[float], None] | None,
    ) -> None:
        self.pool, self.scheduler, self.rules, self.observers = pool, scheduler, rules, observers
        self.stretch, self.mover, self.tick = stretch, mover, tick
        self.site = Site(pool, rules)
        self.fleet = Fleet(rules.pools)
        self.holds = GangHolds(rules.gang_hold_s)
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
        self.now = 0.0
        self.launching = 0.0
        self.num_replicas = 0  # that run or wait
        self.next_batch_s = self.batch_set_s = -math.inf
        self.last_submit_s = -math.inf
        self.to_come = 0
        self.asks: dict[int, tuple[Ask, ...]] = {}
        self.never_runs: dict[tuple[Ask, int], str] = {}
        self.tried: set[int] = set()  # numbers that had their chance not to launch
        self.later = 0  # events known from the start that are still to come
        self.batch = scheduler if isinstance(scheduler, BatchScheduler) else None
        scheduler.prepare(pool, mix or Mix((Ask(max(pool.width, 1)),), (1.0,)), seed=rules.seed)
        self.add_known_events()
        self.next_arrival()

    def add_known_events(self) -> None:
        """Put into the events what is known from the start."""
        for outage in self.rules.outages:
            what = Happens.DRAIN if outage.is_drain else Happens.FAIL
            self.events.add(outage.start_s, what, (outage,))
            self.events.add(outage.end_s, Happens.REPAIR, (outage,))
            self.later += 2
        for kept in self.rules.reservations:
            for edge in (kept.start_s, kept.end_s):
                if edge < math.inf:
                    self.events.add(edge, Happens.WAKE, ("reserve",))
                    self.later += 1
        for place, pool in enumerate(self.rules.pools):
            for time in pool.times_s():
                self.events.add(time, Happens.WAKE, ("rescale", place))
                self.later += 1
        if self.rules.defrag_every_s and self.mover is not None:
            self.events.add(self.rules.defrag_every_s, Happens.WAKE, ("defrag",))

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
        """Handle instant after instant; if that is interrupted, what runs is cut off, and everybody told."""
        try:
            now = self.go_on()
        except KeyboardInterrupt:
            for run in list(self.running.values()):
                self.take_off(max(self.now, run.start_s), run, "cut")
            raise
        for run in [run for run in self.running.values() if run.job.kind == SERVING]:
            self.stop(now, run, "done")

    def go_on(self) -> float:
        """Handle instant after instant; return the last."""
        events, now = self.events, 0.0
        while len(events):
            if self.to_come == 0 and len(self.running) + len(self.line) == self.num_replicas:
                break  # only outages and replicas are left
            now = self.now = events.next_s
            while events.next_s == now:
                _, what, payload = events.pop()
                self.handle(now, what, payload)
            blocked = self.schedule(now)
            if self.stretch is not None and (self.started or self.ended):
                self.restretch(now)
            self.started.clear()
            self.ended.clear()
            self.tell(now, blocked)
            if self.tick is not None:
                self.tick(now)
        return now

    def tell(self, now: float, blocked: str) -> None:
        """Tell observers that an instant is over."""
        pools = self.fleet.now(now, self.running) if self.fleet.pools else ()
        held = self.holds.accelerators if self.rules.gang_hold_s else 0.0
        instant = Instant(self.pool, self.site, self.line, self.running, blocked, self.launching, held, pools)
        for observer in self.observers:
            observer.settled(now, instant)

    def handle(self, now: float, what: int, payload: tuple[object, ...]) -> None:
        """Handle one event."""
        if what == Happens.FINISH:
            run, version = payload
            if isinstance(run, Running) and run.version == version and self.running.get(run.number) is run:
                self.stop(now, run, "done" if run.left_s < math.inf else "never-launched")
        elif what == Happens.ARRIVE:
            number, job = payload
            if isinstance(job, TraceJob) and isinstance(number, int):
                self.arrive(now, number, job)
            self.next_arrival()
        elif what == Happens.WAKE:
            self.wake(now, *payload)
        elif isinstance(payload[0], Outage):
            self.later -= 1
            self.outage(now, what, payload[0])

    def wake(self, now: float, what: object, of: object = None) -> None:
        """Handle a time that was set."""
        if what == "works" and isinstance(of, Running):
            self.works(of)
        elif what == "rescale" and isinstance(of, int):
            self.later -= 1
            self.rescale(now, of)
        elif what == "reserve":
            self.later -= 1
        elif what == "let-go" and isinstance(of, int):
            if self.holds.has(of):
                self.holds.let_go(self.site, of, now)
                self.events.add(now + self.rules.gang_hold_s, Happens.WAKE, ("look",))
        elif what == "defrag":
            self.defrag(now)
            if self.is_going_on:
                self.events.add(now + self.rules.defrag_every_s, Happens.WAKE, ("defrag",))

    @property
    def is_going_on(self) -> bool:
        """Whether anything but the passing of time may still change: what is set again and again stops without it."""
        return bool(self.to_come or self.later or any(number >= 0 for number in self.running))

    def arrive(self, now: float, number: int, job: TraceJob) -> None:
        """Put a job in line, unless it could never run here."""
        asks = asks_of(job, self.pool.width)
        why = self.never(job, asks)
        if why:
            if number < 0:
                self.fleet.forget(number)
            for observer in self.observers:
                observer.refused(now, job, why)
            return
        self.asks[number] = asks
        self.left_s[number] = job.duration_s
        self.since_s[number] = now
        self.num_replicas += number < 0
        self.line.add(number, job, goes_first=number < 0)

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

    def rescale(self, now: float, place: int) -> None:
        """Let replicas of a serving pool come and go."""
        for number in self.fleet.surplus(place, now, self.running):
            self.num_replicas -= 1
            run = self.running.get(number)
            if run is not None:
                self.stop(now, run, "done")
            else:
                self.line.remove(number)
                self.forget(number)
        for number, job in self.fleet.missing(place, now):
            self.arrive(now, number, job)

    def defrag(self, now: float) -> None:
        """Move running jobs together if that makes room for the first that waits."""
        if self.mover is None or not len(self.line):
            return
        number, job = self.line.at(0)
        self.site.admit(job, now)
        if self.site.choose(self.scheduler, self.asks[number]) is not None:
            return
        moves = self.mover.moves(self.pool, self.running, job)
        moved = [self.running[n] for n in moves]
        for run in moved:
            self.take_off(now, run, "moved")
        for run in moved:
            self.left_s[run.number] = run.left_s + self.rules.move_s
            self.since_s[run.number] = now
            self.begin(now, run.number, run.job, moves[run.number], launch_s=0.0)

    def take_off(self, now: float, run: Running, outcome: str) -> None:
        """Take a job off its accelerators."""
        run.settle(now)
        del self.running[run.number]
        self.site.give_back(run.grants)
        self.works(run)
        self.held[run.job.tenant] = self.held.get(run.job.tenant, 0.0) - run.job.accelerators
        self.ended.append(run)
        for observer in self.observers:
            observer.end(now, run, outcome)

    def works(self, run: Running) -> None:
        """Note that a job launches no more."""
        if run.is_launching:
            run.is_launching = False
            self.launching -= run.job.accelerators

    def forget(self, number: int) -> None:
        """Forget a job that is done."""
        for known in (self.asks, self.left_s, self.since_s):
            known.pop(number, None)

    def stop(self, now: float, run: Running, outcome: str) -> None:
        """Stop a job; unless it is done, it waits again."""
        self.take_off(now, run, outcome)
        if outcome == "done":
            self.forget(run.number)
            return
        self.since_s[run.number] = now
        if run.job.kind != SERVING and outcome != "never-launched":
            left = self.left_s[run.number]
            every = self.rules.checkpoint_every_s
            done = left - run.left_s
            kept = done - math.fmod(done, every) if every > 0 else done
            self.left_s[run.number] = left - max(kept, 0.0) + self.rules.restart_s
        self.line.add(run.number, run.job, goes_first=run.number < 0)

    def schedule(self, now: float) -> str:
        """Start what can start; return why the first that cannot is blocked."""
        if self.batch is not None:
            return self.schedule_batch(now, self.batch)
        blocked, place, plan = "", 0, None
        looked = 0
        while place < len(self.line):
            number, job = self.line.at(place)
            why = self.try_start(now, place, number, job, plan)
            if not why:
                continue
            blocked = blocked or why
            if self.rules.backfill == "none" and why != "quota":
                break
            plan = self.planned(now, number, job, why, plan)
            place += 1
            looked += 1
            if looked > self.rules.backfill_depth:
                break
        return blocked

    def planned(self, now: float, number: int, job: TraceJob, why: str, plan: Plan | None) -> Plan | None:
        """Return what is promised once a job turned out to be blocked."""
        if plan is None and self.rules.backfill in ("easy", "conservative") and why != "quota":
            plain = self.scheduler if self.batch is None else self.batch.planner
            return plan_for_head(self.site, plain, self.running.values(), self.asks[number], job, now)
        if plan is not None and self.rules.backfill == "conservative":
            plan.reserve(job, now)
        return plan

    def schedule_batch(self, now: float, scheduler: BatchScheduler) -> str:
        """Place all that waits and might fit at once, when it is time; see `schedule`."""
        if not len(self.line):
            return ""
        every = self.rules.batch_every_s
        if every and now < self.next_batch_s:
            self.wake_for_batch()
            return "order"
        tried = candidates(self.site, self.rules, self.line, self.asks, self.held, now)
        found = scheduler.choose_batch(self.site, tried, self.running, now)
        blocked, plan, place = "", None, 0
        looked = 0
        numbers = {wanted.number for wanted in tried}
        while place < len(self.line) and looked <= self.rules.backfill_depth:
            number, job = self.line.at(place)
            grants = found.get(number)
            is_over = self.over_quota(job)
            if (
                grants is not None
                and not is_over
                and (plan is None or may_overtake(plan, job, grants, now, self.left_s[number]))
            ):
                self.line.pop(place)
                self.begin(now, number, job, grants)
                continue
            why = "quota" if is_over else "order" if grants is not None else "room"
            blocked = blocked or why
            if self.rules.backfill == "none" and why != "quota":
                break
            if number in numbers or plan is None:
                plan = self.planned(now, number, job, why, plan)
            place += 1
            looked += 1
        if every:
            self.next_batch_s = (math.floor(now / every) + 1) * every
            if self.is_going_on:
                self.wake_for_batch()
        return blocked

    def wake_for_batch(self) -> None:
        """Set the time of the next batch, once."""
        if self.batch_set_s != self.next_batch_s:
            self.batch_set_s = self.next_batch_s
            self.events.add(self.next_batch_s, Happens.WAKE, ("look",))

    def over_quota(self, job: TraceJob) -> bool:
        """Tell whether a job would hold more than its tenant may."""
        quota = self.rules.quotas.get(job.tenant)
        return quota is not None and self.held.get(job.tenant, 0.0) + job.accelerators > quota + 1e-9

    def try_start(self, now: float, place: int, number: int, job: TraceJob, plan: Plan | None) -> str:
        """Start a job; return why not if not: ``quota``, ``room`` or ``order``."""
        if self.over_quota(job):
            return "quota"
        asks = self.asks[number]
        self.site.admit(job, now)
        grants = None if self.holds.has(number) else self.site.choose(self.scheduler, asks)
        if grants is None and self.rules.can_preempt and plan is None:
            grants = self.preempt(now, job, asks)
        if grants is None and self.rules.gang_hold_s and len(asks) > 1 and plan is None:
            grants = self.hold(now, number, job, asks)
            if grants is not None:
                self.site.give_back(grants)
        if grants is None:
            return "room"
        if plan is not None and not may_overtake(plan, job, grants, now, self.left_s[number]):
            return "order"
        self.line.pop(place if self.line.at(place)[0] == number else self.place_of(number))
        self.begin(now, number, job, grants)
        return ""

    def hold(self, now: float, number: int, job: TraceJob, asks: tuple[Ask, ...]) -> list[Grant] | None:
        """Let a gang take what there is; return its grants if that is all it needs."""
        may_grow = self.holds.may_try(number, now) and (self.is_going_on or self.holds.accelerators > 0)
        if may_grow and self.holds.grow(self.site, self.scheduler, number, asks, job.tenant):
            self.events.add(now + self.rules.gang_hold_s, Happens.WAKE, ("let-go", number))
        return self.holds.complete(number, asks)

    def place_of(self, number: int) -> int:
        return next(i for i, (n, _) in enumerate(self.line) if n == number)

    def begin(
        self, now: float, number: int, job: TraceJob, grants: list[Grant], *, launch_s: float | None = None
    ) -> None:
        """Give a job its accelerators."""
        self.site.take(grants, job.tenant)
        self.held[job.tenant] = self.held.get(job.tenant, 0.0) + job.accelerators
        if launch_s is None:
            launch_s = self.fleet.lag_s(number) if number < 0 else self.rules.launch_s
        works = now + launch_s
        run = Running(number, job, grants, now, self.left_s[number], works, work_s=works)
        run.end_s = works + run.left_s
        if self.does_not_launch(number):
            run.left_s, run.work_s, run.seen_s = math.inf, math.inf, math.inf
            run.end_s = now + self.rules.launch_timeout_s
        self.running[number] = run
        if run.end_s < math.inf:
            self.events.add(run.end_s, Happens.FINISH, (run, run.version))
        if run.work_s > now:
            run.is_launching = True
            self.launching += job.accelerators
            if run.work_s < math.inf:
                self.events.add(run.work_s, Happens.WAKE, ("works", run))
        self.started.append(run)
        for observer in self.observers:
            observer.start(now, run, self.since_s[number])

    def does_not_launch(self, number: int) -> bool:
        """Tell, once for each job of the trace, whether it fails to come up."""
        frac = self.rules.never_launch_frac
        if not frac or number < 0 or number in self.tried:
            return False
        self.tried.add(number)
        return bool(np.random.default_rng((self.rules.seed, number)).random() < frac)

    def preempt(self, now: float, job: TraceJob, asks: tuple[Ask, ...]) -> list[Grant] | None:
        """Stop the youngest jobs of least priority until the job fits; none if that would not help."""
        lower = [run for run in self.running.values() if run.job.priority < job.priority]
        lower.sort(key=lambda run: (run.job.priority, -run.start_s, -run.number))
        freed: list[Running] = []
        grants = None
        for run in lower:
            self.site.give_back(run.grants)
            freed.append(run)
            self.site.admit(job, now)
            grants = self.site.choose(self.scheduler, asks)
            if grants is not None:
                break
        for run in freed:
            self.site.take(run.grants, run.job.tenant)
        self.site.admit(job, now)
        if grants is None:
            return None
        wanted = {grant.host for grant in grants}
        for run in freed:
            if any(grant.host in wanted for grant in run.grants):
                self.stop(now, run, "preempted")
        self.site.admit(job, now)
        return self.site.choose(self.scheduler, asks)

    def restretch(self, now: float) -> None:
        """Ask how neighbours slow each other down now, and move the ends of those that changed."""
        if self.stretch is None:
            return
        for number, slowdown in self.stretch.changed(self.running, self.started, self.ended).items():
            run = self.running[number]
            if run.left_s == math.inf:
                continue
            run.settle(now)
            for observer in self.observers:
                observer.slowed(now, run, slowdown)
            run.slowdown = slowdown
            run.version += 1
            run.end_s = max(now, run.work_s) + run.left_s * slowdown
            self.events.add(run.end_s, Happens.FINISH, (run, run.version))
