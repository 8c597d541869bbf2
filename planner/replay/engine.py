"""The replay: arrivals, a waiting line, a scheduler, and jobs that run as fast as their neighbours let them."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence

from planner.replay.backfill import Plan, may_overtake, plan_for_head
from planner.replay.batches import BatchScheduler, candidates
from planner.replay.events import Happens
from planner.replay.fragmentation import Mix
from planner.replay.gangs import GangHolds
from planner.replay.lives import Lives
from planner.replay.moving import Mover
from planner.replay.pool import Ask, Grant, HostPool
from planner.replay.rules import Outage, Rules
from planner.replay.running import Instant, Observer, Running, Stretch
from planner.replay.scheduler import Scheduler
from planner.replay.serving_pools import SERVING
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


class _Replay(Lives):
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
        super().__init__(pool, rules, observers, stretch)
        self.scheduler, self.mover, self.tick = scheduler, mover, tick
        self.holds = GangHolds(rules.gang_hold_s)
        self.jobs = enumerate(jobs)
        self.now = 0.0
        self.next_batch_s = self.batch_set_s = -math.inf
        self.last_submit_s = -math.inf
        self.to_come = 0
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
