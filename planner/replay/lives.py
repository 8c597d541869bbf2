"""Jobs and their lives in a replay: they come, start, work, are slowed down, and stop."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from planner.replay.events import EventQueue, Happens
from planner.replay.fleet import Fleet
from planner.replay.pool import Ask, Grant, HostPool
from planner.replay.queues import WaitingLine
from planner.replay.rules import Outage, Rules
from planner.replay.running import Observer, Running, Stretch, asks_of
from planner.replay.serving_pools import SERVING
from planner.replay.site import Site
from planner.traces.trace import TraceJob

__all__ = ["Lives"]


class Lives:
    """Who waits, who runs, and what happens to them; replicas of serving pools have negative numbers.

    Attributes
    ----------
    line, running
        Who waits, and who has his accelerators, by number.
    started, ended
        Since the last instant was over.
    left_s, since_s, asks
        By number: work left at the last start, since when it waits, what it asks for.
    held
        Accelerators by tenant.
    launching
        Accelerators of jobs that do not work yet.
    num_replicas
        Replicas that run or wait.
    """

    def __init__(self, pool: HostPool, rules: Rules, observers: Sequence[Observer], stretch: Stretch | None) -> None:
        self.pool, self.rules, self.observers, self.stretch = pool, rules, observers, stretch
        self.site = Site(pool, rules)
        self.fleet = Fleet(rules.pools)
        self.line = WaitingLine(rules.order)
        self.events: EventQueue[tuple[object, ...]] = EventQueue()
        self.running: dict[int, Running] = {}
        self.left_s: dict[int, float] = {}
        self.since_s: dict[int, float] = {}
        self.asks: dict[int, tuple[Ask, ...]] = {}
        self.held: dict[str, float] = {}
        self.started: list[Running] = []
        self.ended: list[Running] = []
        self.launching = 0.0
        self.num_replicas = 0
        self._host_down: dict[int, int] = {}
        self._never_runs: dict[tuple[Ask, int], str] = {}
        self._tried: set[int] = set()  # numbers that had their chance not to launch

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
        known = self._never_runs.get((asks[0], len(asks)))
        if known is None:
            known = self._never_runs[asks[0], len(asks)] = self.why_never(asks)
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
            self._host_down[host] -= 1
            self.pool.is_up[host] = self._host_down[host] == 0
        else:
            self._host_down[host] = self._host_down.get(host, 0) + 1
            self.pool.is_up[host] = False
            if not outage.is_drain:
                for run in [r for r in self.running.values() if any(g.host == host for g in r.grants)]:
                    self.stop(now, run, "failed")
        self.pool.changes += 1
        self.pool.changed_at[host] = self.pool.changes

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
        if not frac or number < 0 or number in self._tried:
            return False
        self._tried.add(number)
        return bool(np.random.default_rng((self.rules.seed, number)).random() < frac)

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
