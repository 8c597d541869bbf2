"""A replay over time in few numbers: what held in each of a few hundred equal spans, however long the trace is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from planner.replay.engine import Running
from planner.replay.metrics import Metrics, size_class
from planner.replay.pool import HostPool
from planner.replay.queues import WaitingLine
from planner.replay.stranded import CAUSES
from planner.traces.trace import TraceJob

__all__ = ["Timeline", "Watch"]

Float64s = npt.NDArray[np.float64]

_MOST_SPANS = 512
_FIRST_SPAN_S = 60.0
_SERIES = ("allocated", "waiting", *CAUSES)


@dataclass(frozen=True, eq=False)
class Timeline:
    """Means over equal spans of time; arrays are ``(T,)`` and read-only.

    Attributes
    ----------
    start_s
        When the replay began.
    span_s
        How long a span is.
    covered_s
        How much of each span the replay covers: all, but for the last.
    capacity
        Accelerators in all.
    allocated
        Accelerators held by jobs.
    idle
        Cause, as in `planner.replay.stranded.CAUSES` → accelerators idle for it.
    waiting
        Jobs in line.
    waits_s
        Size class → wait of each job that ended, ``(n,)``.
    """

    start_s: float
    span_s: float
    covered_s: Float64s
    capacity: float
    allocated: Float64s
    idle: Mapping[str, Float64s]
    waiting: Float64s
    waits_s: Mapping[str, Float64s]

    @property
    def middle_s(self) -> Float64s:
        """Middle of each span since the start, ``(T,)``."""
        return np.asarray((np.arange(len(self.covered_s)) + 0.5) * self.span_s, np.float64)


class Watch:
    """An observer that draws the timeline from what `Metrics` sees; it stands behind it in the row of observers.

    Spans start at a minute and double whenever more than 512 would be needed, so memory stays the same.
    """

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics
        self._sums = np.zeros((_MOST_SPANS, len(_SERIES) + 1))
        self._span_s = _FIRST_SPAN_S
        self._start_s: float | None = None
        self._since_s = 0.0
        self._held: Float64s | None = None
        self._wait_s: dict[int, float] = {}
        self._waits: dict[str, list[float]] = {}

    def start(self, now_s: float, run: Running, waited_since_s: float) -> None:
        """Add to the job's wait."""
        self._wait_s[run.number] = self._wait_s.get(run.number, 0.0) + now_s - waited_since_s

    def end(self, now_s: float, run: Running, outcome: str) -> None:
        """Note the wait of a job that is done."""
        if outcome == "done":
            self._waits.setdefault(size_class(run.job), []).append(self._wait_s.pop(run.number))

    def refused(self, now_s: float, job: TraceJob, why: str) -> None:
        """Nothing to note."""

    def slowed(self, now_s: float, run: Running, slowdown: float) -> None:
        """Nothing to note."""

    def settled(self, now_s: float, pool: HostPool, line: WaitingLine, blocked: str) -> None:
        """Close the moment before and open the next."""
        if self._start_s is None:
            self._start_s = self._since_s = now_s
        if self._held is not None and now_s > self._since_s:
            self._add(self._since_s - self._start_s, now_s - self._start_s, self._held)
        moment = self._metrics.moment
        if moment is not None:
            idle = [moment.stranded[cause] for cause in CAUSES]
            self._held = np.array([moment.allocated, moment.waiting_jobs, *idle, 1.0])
        self._since_s = now_s

    def _add(self, begin_s: float, end_s: float, held: Float64s) -> None:
        """Add what held from one instant to another to the spans that it touches."""
        while end_s > self._span_s * _MOST_SPANS:
            pairs = self._sums.reshape(_MOST_SPANS // 2, 2, -1).sum(axis=1)
            self._sums[: len(pairs)], self._sums[len(pairs) :] = pairs, 0.0
            self._span_s *= 2
        first, last = int(begin_s // self._span_s), min(int(end_s // self._span_s), _MOST_SPANS - 1)
        edges = np.arange(first, last + 2) * self._span_s
        overlap = np.minimum(edges[1:], end_s) - np.maximum(edges[:-1], begin_s)
        self._sums[first : last + 1] += np.maximum(overlap, 0.0)[:, None] * held

    def timeline(self) -> Timeline:
        """Return what was seen."""
        covered = self._sums[:, -1]
        count = int(np.flatnonzero(covered > 0)[-1]) + 1 if covered.any() else 0
        means = self._sums[:count, :-1] / np.maximum(covered[:count, None], 1e-12)
        means.flags.writeable = False
        column = dict(zip(_SERIES, means.T, strict=True))
        return Timeline(
            start_s=self._start_s or 0.0,
            span_s=self._span_s,
            covered_s=covered[:count].copy(),
            capacity=self._metrics.capacity,
            allocated=column["allocated"],
            idle={cause: column[cause] for cause in CAUSES},
            waiting=column["waiting"],
            waits_s={name: np.array(waits) for name, waits in self._waits.items()},
        )
