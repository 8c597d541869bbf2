"""What a replay looked like over time: means over spans of equal length, few enough to draw and exact in their sums."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from planner.replay.fragmentation import Float64s
from planner.replay.stranded import CAUSES

__all__ = ["MEANS", "SLOT_SIZES", "TimeBins", "Timeline"]

SLOT_SIZES = (1, 8, 64, 512)
"""Accelerators of the jobs for which slots are counted."""

MEANS = ("allocated", "working", "useful", "running_jobs", "waiting_jobs", "waiting_accelerators", "watts")
_FIRST_WIDTH_S = 60.0
_MOST_BINS = 512


@dataclass(frozen=True)
class Timeline:
    """Span k lasts from ``edges_s[k]`` to ``edges_s[k + 1]``; everything else has an entry a span.

    Attributes
    ----------
    edges_s
        One more than spans; from the first submission on, in the trace's time.
    allocated
        Mean accelerators held, at work or not.
    working
        Of those, by work that has launched. `working` and all of `idle` add up to all accelerators.
    useful
        The same, less what waits on the network.
    idle
        Cause (`planner.replay.stranded.CAUSES`) → mean accelerators that do nothing for it.
    running_jobs, waiting_jobs, waiting_accelerators
        Means; replicas of serving pools count as jobs.
    watts
        Mean power of the hosts.
    deployable
        At the start of the span: accelerators at work, and of the free ones what jobs as in the trace could use.
    slots
        At the start of the span: jobs of 1, 8, 64 and 512 accelerators (as text) that could start.
    """

    edges_s: tuple[float, ...]
    allocated: tuple[float, ...]
    working: tuple[float, ...]
    useful: tuple[float, ...]
    idle: dict[str, tuple[float, ...]]
    running_jobs: tuple[float, ...]
    waiting_jobs: tuple[float, ...]
    waiting_accelerators: tuple[float, ...]
    watts: tuple[float, ...]
    deployable: tuple[float, ...]
    slots: dict[str, tuple[float, ...]]

    @property
    def middle_s(self) -> tuple[float, ...]:
        """Middle of each span since the first."""
        start = self.edges_s[0]
        return tuple((a + b) / 2 - start for a, b in pairwise(self.edges_s))


class TimeBins:
    """Adds up step functions in spans of equal length; the length doubles when spans get too many.

    Parameters
    ----------
    num_values
        Values that are added up.
    num_samples
        Values that are looked at once a span.
    """

    def __init__(self, num_values: int, num_samples: int) -> None:
        self.width_s = _FIRST_WIDTH_S
        self.start_s: float | None = None
        self.end_s = 0.0
        self._sums = np.zeros((_MOST_BINS, num_values))
        self._samples = np.full((_MOST_BINS, num_samples), np.nan)

    def wants_sample(self, now_s: float) -> bool:
        """Tell whether nothing was looked at so far in the span of a time."""
        return bool(np.isnan(self._samples[self._span(now_s), 0]))

    def put_sample(self, now_s: float, values: Sequence[float]) -> None:
        """Keep what was seen at a time for its span."""
        self._samples[self._span(now_s)] = values

    def add(self, start_s: float, end_s: float, values: Float64s) -> None:
        """Add values that held for a while."""
        last, first = self._span(end_s), self._span(start_s)
        self.end_s = end_s
        if first == last:
            self._sums[first] += (end_s - start_s) * values
            return
        origin, width = self.start_s or 0.0, self.width_s
        self._sums[first] += (origin + (first + 1) * width - start_s) * values
        self._sums[first + 1 : last] += width * values
        self._sums[last] += (end_s - origin - last * width) * values

    def _span(self, now_s: float) -> int:
        """Return the span of a time, of longer spans if there would be too many."""
        if self.start_s is None:
            self.start_s = self.end_s = now_s
        while (now_s - self.start_s) / self.width_s >= _MOST_BINS:
            self._double()
        return int((now_s - self.start_s) / self.width_s)

    def _double(self) -> None:
        half = _MOST_BINS // 2
        self.width_s *= 2
        sums, samples = self._sums, self._samples
        merged = sums[0::2] + sums[1::2]
        seen = np.where(np.isnan(samples[0::2]), samples[1::2], samples[0::2])
        sums[:half], sums[half:] = merged, 0.0
        samples[:half], samples[half:] = seen, np.nan

    @property
    def lasted_s(self) -> float:
        """From the first time to the last."""
        return self.end_s - (self.start_s or 0.0)

    def totals(self) -> Float64s:
        """Return the integrals over all time, ``(num_values,)``."""
        found: Float64s = self._sums.sum(axis=0)
        return found

    def spans(self) -> tuple[Float64s, Float64s, Float64s]:
        """Return edges ``(T + 1,)``, means ``(T, num_values)`` and samples ``(T, num_samples)``, carried forward."""
        start = self.start_s or 0.0
        count = min(int(np.ceil((self.end_s - start) / self.width_s - 1e-9)), _MOST_BINS)
        edges = np.append(start + self.width_s * np.arange(count), self.end_s)
        samples = self._samples[:count].copy()
        for k in range(1, count):
            if np.isnan(samples[k, 0]):
                samples[k] = samples[k - 1]
        lasts = np.diff(edges)[:, None]
        return edges, self._sums[:count] / np.where(lasts > 0, lasts, 1.0), samples

    def timeline(self) -> Timeline:
        """Return the timeline of `MEANS`, then causes, and of what is deployable and slots."""
        edges, means, samples = self.spans()

        def column(table: Float64s, k: int) -> tuple[float, ...]:
            return tuple(np.round(table[:, k], 6).tolist())

        by_name = {name: column(means, k) for k, name in enumerate(MEANS)}
        idle = {cause: column(means, len(MEANS) + k) for k, cause in enumerate(CAUSES)}
        slots = {str(size): column(samples, 1 + k) for k, size in enumerate(SLOT_SIZES)}
        return Timeline(tuple(edges.tolist()), idle=idle, deployable=column(samples, 0), slots=slots, **by_name)
