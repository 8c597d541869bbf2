"""What came out of a replay: waits, utilization, stranded capacity, energy and goodput, added up as it runs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from planner.replay.engine import Running, asks_of
from planner.replay.pool import HostPool
from planner.replay.queues import WaitingLine
from planner.replay.stranded import CAUSES, stranded
from planner.traces.trace import TraceJob

__all__ = ["SIZE_CLASSES", "Group", "Metrics", "Moment", "Summary", "size_class"]

SIZE_CLASSES = ((1, "1"), (8, "2-8"), (64, "9-64"), (512, "65-512"))
SLOWDOWN_FLOOR_S = 10.0
"""Bounded slow-down counts shorter jobs as so long (Feitelson & Rudolph 1998)."""


@dataclass(frozen=True, slots=True)
class Moment:
    """What held from one instant to the next, in accelerators."""

    time_s: float
    allocated: float
    waiting_jobs: int
    stranded: Mapping[str, float]


@dataclass(slots=True)
class Group:
    """Sums over jobs of one size class or tenant."""

    jobs: int = 0
    wait_s: float = 0.0
    jct_s: float = 0.0
    slowdown: float = 0.0
    allocated_s: float = 0.0
    useful_s: float = 0.0
    good_s: float = 0.0

    def as_dict(self) -> dict[str, float]:
        """Return means and accelerator-hours."""
        n = max(self.jobs, 1)
        return {
            "jobs": self.jobs,
            "mean_wait_s": self.wait_s / n,
            "mean_jct_s": self.jct_s / n,
            "mean_bounded_slowdown": self.slowdown / n,
            "allocated_gpu_h": self.allocated_s / 3600,
            "useful_gpu_h": self.useful_s / 3600,
            "good_gpu_h": self.good_s / 3600,
        }


@dataclass(frozen=True)
class Summary:
    """The figures of a whole replay; times in seconds, shares from 0 to 1.

    Attributes
    ----------
    goodput_frac
        Work of jobs that ended over capacity × makespan: useful work, less what failures and preemption undid.
    """

    jobs: int
    refused: Mapping[str, int]
    mean_wait_s: float
    p90_wait_s: float
    mean_jct_s: float
    mean_bounded_slowdown: float
    makespan_s: float
    allocated_frac: float
    useful_frac: float
    goodput_frac: float
    stranded_frac: Mapping[str, float]
    failures: int
    preemptions: int


class Metrics:
    """An observer that adds up.

    Parameters
    ----------
    pool
        Whose.
    keep_moments
        Whether every moment is kept, not only the sums.
    """

    def __init__(self, pool: HostPool, *, keep_moments: bool = False) -> None:
        self.capacity = pool.capacity_milli / 1000
        self.by_size: dict[str, Group] = {}
        self.by_tenant: dict[str, Group] = {}
        self.refused_why: Counter[str] = Counter()
        self.outcomes: Counter[str] = Counter()
        self.stranded_s = dict.fromkeys(CAUSES, 0.0)
        self.moments: list[Moment] = []
        self.waits_s: list[float] = []
        self._keep = keep_moments
        self._last: Moment | None = None
        self._started: dict[int, float] = {}
        self._done_s: dict[int, float] = {}
        self._since: dict[int, float] = {}
        self._first_s: float | None = None
        self._last_end_s = 0.0
        self._allocated_s = 0.0
        self._useful_s = 0.0
        self._good_s = 0.0
        self._jct_s = 0.0
        self._slowdown = 0.0

    def start(self, now_s: float, run: Running, waited_since_s: float) -> None:
        """Note the wait."""
        self._since[run.number] = self._since.get(run.number, 0.0) + now_s - waited_since_s
        self._done_s[run.number] = run.left_s

    def slowed(self, now_s: float, run: Running, slowdown: float) -> None:
        """Nothing: what is useful follows from the work done."""

    def end(self, now_s: float, run: Running, outcome: str) -> None:
        """Add a stay up."""
        job = run.job
        self.outcomes[outcome] += 1
        held = (now_s - run.start_s) * job.accelerators
        useful = (self._done_s.pop(run.number) - run.left_s) * job.accelerators
        self._last_end_s = max(self._last_end_s, now_s)
        self._useful_s += useful
        groups = [self.by_size.setdefault(size_class(job), Group()), self.by_tenant.setdefault(job.tenant, Group())]
        for group in groups:
            group.allocated_s += held
            group.useful_s += useful
        if outcome != "done":
            return
        wait = self._since.pop(run.number)
        jct = now_s - job.submit_s
        slowdown = max(jct / max(job.duration_s, SLOWDOWN_FLOOR_S), 1.0)
        self.waits_s.append(wait)
        for group in groups:
            group.jobs += 1
            group.wait_s += wait
            group.jct_s += jct
            group.slowdown += slowdown
            group.good_s += job.duration_s * job.accelerators
        self._jct_s += jct
        self._slowdown += slowdown
        self._good_s += job.duration_s * job.accelerators

    def settled(self, now_s: float, pool: HostPool, line: WaitingLine, blocked: str) -> None:
        """Close the moment before, and open the next."""
        if self._first_s is None:
            self._first_s = now_s
        self._close(now_s)
        first = line.at(0)[1] if len(line) else None
        causes = stranded(pool, asks_of(first, pool.width) if first is not None else None, why=blocked)
        self._last = Moment(now_s, self.capacity - sum(causes.values()), len(line), causes)
        if self._keep:
            self.moments.append(self._last)

    @property
    def moment(self) -> Moment | None:
        """What holds since the last instant; None before the first."""
        return self._last

    def _close(self, now_s: float) -> None:
        last = self._last
        if last is None:
            return
        lasted = now_s - last.time_s
        self._allocated_s += last.allocated * lasted
        for cause, accelerators in last.stranded.items():
            self.stranded_s[cause] += accelerators * lasted

    def refused(self, now_s: float, job: TraceJob, why: str) -> None:
        """Count a job that can never run."""
        self.refused_why[why] += 1

    def summary(self) -> Summary:
        """Return the figures of the whole."""
        jobs = sum(group.jobs for group in self.by_size.values())
        n = max(jobs, 1)
        makespan = self._last_end_s - (self._first_s or 0.0) if jobs else 0.0
        whole = self.capacity * makespan or 1.0
        waits = np.array(self.waits_s or [0.0])
        return Summary(
            jobs=jobs,
            refused=dict(self.refused_why),
            mean_wait_s=float(waits.mean()),
            p90_wait_s=float(np.quantile(waits, 0.9)),
            mean_jct_s=self._jct_s / n,
            mean_bounded_slowdown=self._slowdown / n,
            makespan_s=makespan,
            allocated_frac=self._allocated_s / whole,
            useful_frac=self._useful_s / whole,
            goodput_frac=self._good_s / whole,
            stranded_frac={cause: amount / whole for cause, amount in self.stranded_s.items()},
            failures=self.outcomes["failed"],
            preemptions=self.outcomes["preempted"],
        )


def size_class(job: TraceJob) -> str:
    """Return the name of a job's class of sizes."""
    return next((name for most, name in SIZE_CLASSES if job.gpus <= most), "513+")
